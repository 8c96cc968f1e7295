/* SPDX-License-Identifier: MIT */
/*
 * cuGetExportTable: tables of functions that NVIDIA's own libraries ask for.
 * Which tables and slots they call was observed by running them against a
 * logging stand-in; every other slot answers CUDA_ERROR_NOT_SUPPORTED. The
 * first word of a table is its size in bytes, except for context-local storage.
 * All answers come from this process. Works before cuInit.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <vgpu/identity.h>

#include "call.h"
#include "context.h"
#include "context_storage.h"
#include "device.h"
#include "handle.h"
#include "integrity.h"
#include "log.h"
#include "stream.h"

typedef CUresult (*slot_fn)(void);

static CUresult unused_slot(void)
{
	return vgpu_unsupported("a slot of an export table");
}

#define SLOT(fn)	((slot_fn)(void (*)(void))(fn))
#define U		SLOT(unused_slot)
#define U4		U, U, U, U
#define U16		U4, U4, U4, U4

/* cudart interface: the primary context's handle, without activating it. */
static CUresult primary_handle(CUcontext *out, CUdevice dev)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*out = vgpu_context_app(vgpu_context_primary(dev));
	return CUDA_SUCCESS;
}

static const struct {
	size_t size;
	slot_fn slot[9];
} interface_table = { sizeof(interface_table), { U, SLOT(primary_handle), U4, U, U, U } };

/* Callback hooks of tools: arrays of zeros, which no tool ever fills here. */
static void *hooks_large[1024], *hooks_small[14];

static CUresult hooks_first(void **buffer, size_t *count)
{
	*buffer = hooks_large;
	*count = sizeof(hooks_large) / sizeof(hooks_large[0]);
	return CUDA_SUCCESS;
}

static CUresult hooks_second(void **buffer, size_t *count)
{
	*buffer = hooks_small;
	*count = sizeof(hooks_small) / sizeof(hooks_small[0]);
	return CUDA_SUCCESS;
}

static const struct {
	size_t size;
	slot_fn slot[6];
} hooks_table = { sizeof(hooks_table), { U, SLOT(hooks_first), U, U, U, SLOT(hooks_second) } };

/* Thread-local state of tools: cuBLAS asks for the current context. */
static CUresult tools_context(CUcontext *out)
{
	return cuCtxGetCurrent(out);
}

static const struct {
	size_t size;
	slot_fn slot[3];
} tools_table = { sizeof(tools_table), { U, SLOT(tools_context), U } };

static const struct {
	slot_fn slot[4];
} storage_table = { { SLOT(vgpu_context_storage_put), SLOT(vgpu_context_storage_delete), SLOT(vgpu_context_storage_get), NULL } };

static CUresult check_context(CUcontext ctx, uint32_t *a, void **b)
{
	(void)ctx;
	(void)b;
	*a = 0;
	return CUDA_SUCCESS;
}

static CUresult check_nothing(void)
{
	return CUDA_SUCCESS;
}

static const struct {
	size_t size;
	slot_fn slot[3];
} checks_table = { sizeof(checks_table), { U, SLOT(check_context), SLOT(check_nothing) } };

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint8_t out[16]);

static const struct {
	size_t size;
	slot_fn slot[1];
} integrity_table = { sizeof(integrity_table), { SLOT(integrity_check) } };

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint8_t out[16])
{
	struct vgpu_integrity_device devices[VGPU_DEVICES];
	struct vgpu_integrity in = {
		.pid = (uint32_t)getpid(),
		.thread = (uint32_t)(uintptr_t)pthread_self(),
		.interface_table = (uint64_t)(uintptr_t)&interface_table,
		.integrity_table = (uint64_t)(uintptr_t)&integrity_table,
		.integrity_slot = (uint64_t)(uintptr_t)integrity_table.slot[0],
	};
	int i, count = vgpu_device_count(), version_now = 0;
	const struct vgpu_device *d;

	cuDriverGetVersion(&version_now);
	in.driver_version = (uint32_t)version_now;
	for (i = 0; i < count; i++) {
		d = vgpu_device(i);
		memcpy(devices[i].uuid, d->uuid, 16);
		devices[i].pci_domain = d->pci_domain;
		devices[i].pci_bus = d->pci_bus;
		devices[i].pci_device = d->pci_device;
	}
	vgpu_integrity_answer(&in, devices, (size_t)count, version, unix_seconds, out);
	return CUDA_SUCCESS;
}

/* cuBLAS, cuFFT, torch: identities of contexts and streams. */
static CUresult context_id(CUcontext ctx, uint64_t *id)
{
	unsigned long long value;
	CUresult r = cuCtxGetId(ctx, &value);

	if (!r)
		*id = value;
	return r;
}

static CUresult stream_object(CUcontext ctx, CUstream stream, void **handle, int per_thread)
{
	struct vgpu_stream *s;
	CUresult r;

	(void)ctx;
	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_get(!stream && per_thread ? CU_STREAM_PER_THREAD : stream, &s);
	if (!r)
		*handle = s;
	return r;
}

static CUresult stream_object_id(CUcontext ctx, void *handle, uint64_t *id)
{
	(void)ctx;
	if (!handle || !id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = ((const struct vgpu_stream *)handle)->id;
	return CUDA_SUCCESS;
}

static const struct {
	size_t size;
	slot_fn slot[92];
} identity_table = { sizeof(identity_table), {
	U, U, U, SLOT(context_id),						/* 1-4 */
	U16, U16, U, U, SLOT(stream_object_id),					/* 5-39 */
	U4, U4, U, U, U, SLOT(stream_object),					/* 40-51 */
	U16, U16, U4, U4, U,							/* 52-92 */
} };

_Static_assert(sizeof(identity_table) == 744, "as on the driver of the 580 series");

static const struct {
	size_t size;
	slot_fn slot[16];
} heuristics_table = { sizeof(heuristics_table), { U16 } };

_Static_assert(sizeof(heuristics_table) == 136, "as on the driver of the 580 series");

static const struct {
	uint8_t id[16];
	const void *table;
} tables[] = {
	{ { 0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9 }, &interface_table },
	{ { 0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66 }, &hooks_table },
	{ { 0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc }, &tools_table },
	{ { 0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93 }, &storage_table },
	{ { 0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e }, &checks_table },
	{ { 0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2 }, &integrity_table },
	{ { 0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2 }, &identity_table },
	{ { 0x17, 0x34, 0xdc, 0x26, 0x80, 0x0d, 0x47, 0x45, 0x87, 0x26, 0xc0, 0xf1, 0xe7, 0xdd, 0x8b, 0xca }, &heuristics_table },
};

CUresult cuGetExportTable(const void **table, const CUuuid *table_id)
{
	static const CUuuid ours = VGPU_IDENTITY_TABLE;
	static const size_t ours_size = sizeof(ours_size);
	size_t i;

	if (!table || !table_id)
		return CUDA_ERROR_INVALID_VALUE;
	if (!memcmp(table_id, &ours, sizeof(ours))) {
		*table = &ours_size;
		return CUDA_SUCCESS;
	}
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!memcmp(tables[i].id, table_id->bytes, 16)) {
			*table = tables[i].table;
			return CUDA_SUCCESS;
		}
	vgpu_debug("cuGetExportTable: no table %02x%02x%02x%02x…", (uint8_t)table_id->bytes[0],
		   (uint8_t)table_id->bytes[1], (uint8_t)table_id->bytes[2], (uint8_t)table_id->bytes[3]);
	*table = NULL;
	return CUDA_ERROR_INVALID_VALUE;
}
