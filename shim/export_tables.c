/* SPDX-License-Identifier: MIT */
/*
 * cuGetExportTable: tables of functions that NVIDIA's own libraries ask for.
 * Which tables and slots they call was observed by running them against a
 * logging stand-in; every other slot answers CUDA_ERROR_NOT_SUPPORTED and is
 * named in the log. The first word of a table (slot 0) is its size in bytes,
 * except for context-local storage. All answers come from this process. Works
 * before cuInit.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <vgpu/identity.h>

#include "call.h"
#include "context.h"
#include "context_storage.h"
#include "device.h"
#include "export_slots.h"
#include "handle.h"
#include "integrity.h"
#include "log.h"
#include "stream.h"

EXPORT_SLOTS(interface)
EXPORT_SLOTS(hooks)
EXPORT_SLOTS(tools)
EXPORT_SLOTS(checks)
EXPORT_SLOTS(identity)
EXPORT_SLOTS(heuristics)
EXPORT_SLOTS(plans)

#define SLOT(fn)	((vgpu_slot)(void (*)(void))(fn))

/* A slot without a function gets its own of the unused ones before first use. */
#define TABLE(name, words)	static vgpu_slot name##_table[words]

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

TABLE(interface, 10) = { [2] = SLOT(primary_handle) };

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

TABLE(hooks, 7) = { [2] = SLOT(hooks_first), [6] = SLOT(hooks_second) };

/* Thread-local state of tools: cuBLAS asks for the current context. */
static CUresult tools_context(CUcontext *out)
{
	return cuCtxGetCurrent(out);
}

TABLE(tools, 4) = { [2] = SLOT(tools_context) };

static const struct {
	vgpu_slot slot[4];
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

TABLE(checks, 4) = { [2] = SLOT(check_context), [3] = SLOT(check_nothing) };

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint8_t out[16]);

static const struct {
	size_t size;
	vgpu_slot slot[1];
} integrity_table = { sizeof(integrity_table), { SLOT(integrity_check) } };

static CUresult integrity_check(uint32_t version, uint64_t unix_seconds, uint8_t out[16])
{
	struct vgpu_integrity_device devices[VGPU_DEVICES];
	struct vgpu_integrity in = {
		.pid = (uint32_t)getpid(),
		.thread = (uint32_t)(uintptr_t)pthread_self(),
		.interface_table = (uint64_t)(uintptr_t)interface_table,
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

TABLE(identity, 93) = { [4] = SLOT(context_id), [39] = SLOT(stream_object_id), [51] = SLOT(stream_object) };

/* cuBLASLt asks for data to choose its algorithms by, and chooses without: a driver need not have any. */
static CUresult heuristics_data(const uint8_t **data, size_t *size)
{
	(void)data;
	(void)size;
	return CUDA_ERROR_NOT_SUPPORTED;
}

TABLE(heuristics, 17) = { [4] = SLOT(heuristics_data) };

/* cuFFT shows its plan each kernel of a module; it takes 1 for success. */
static int each_function(CUcontext ctx, CUmodule module, void (*show)(void *user, CUfunction), void *user)
{
	CUfunction *functions;
	unsigned int i, count;
	int done;

	(void)ctx;
	if (!show || cuModuleGetFunctionCount(&count, module))
		return 0;
	functions = calloc(count + 1, sizeof(CUfunction));
	if (!functions)
		return 0;
	done = !count || !cuModuleEnumerateFunctions(functions, count, module);
	for (i = 0; done && i < count; i++)
		show(user, functions[i]);
	free(functions);
	return done;
}

TABLE(plans, 99) = { [7] = SLOT(each_function) };

_Static_assert(sizeof(identity_table) == 744 && sizeof(heuristics_table) == 136 && sizeof(plans_table) == 792,
	       "as on the driver of the 580 series");

static void fill(vgpu_slot *slot, size_t size, const vgpu_slot *unused)
{
	size_t i;

	for (i = 1; i < size / sizeof(*slot); i++)
		if (!slot[i])
			slot[i] = unused[i];
	memcpy(slot, &size, sizeof(size));
}

static void fill_tables(void)
{
#define FILL(name)	fill(name##_table, sizeof(name##_table), name##_unused)
	FILL(interface);
	FILL(hooks);
	FILL(tools);
	FILL(checks);
	FILL(identity);
	FILL(heuristics);
	FILL(plans);
#undef FILL
}

static const struct {
	uint8_t id[16];
	const void *table;
} tables[] = {
	{ { 0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9 }, interface_table },
	{ { 0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66 }, hooks_table },
	{ { 0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc }, tools_table },
	{ { 0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93 }, &storage_table },
	{ { 0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e }, checks_table },
	{ { 0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2 }, &integrity_table },
	{ { 0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2 }, identity_table },
	{ { 0x17, 0x34, 0xdc, 0x26, 0x80, 0x0d, 0x47, 0x45, 0x87, 0x26, 0xc0, 0xf1, 0xe7, 0xdd, 0x8b, 0xca }, heuristics_table },
	{ { 0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d, 0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1, 0x99, 0x1e }, plans_table },
};

CUresult cuGetExportTable(const void **table, const CUuuid *table_id)
{
	static const CUuuid ours = VGPU_IDENTITY_TABLE;
	static const size_t ours_size = sizeof(ours_size);
	static pthread_once_t filled = PTHREAD_ONCE_INIT;
	size_t i;

	if (!table || !table_id)
		return CUDA_ERROR_INVALID_VALUE;
	if (!memcmp(table_id, &ours, sizeof(ours))) {
		*table = &ours_size;
		return CUDA_SUCCESS;
	}
	pthread_once(&filled, fill_tables);
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
