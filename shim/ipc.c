/* SPDX-License-Identifier: MIT */
/*
 * Memory shared with other processes of this VM. A handle that an application passes on holds a token of the host,
 * which the host honours for this VM only: as CUipcMemHandle it is the 64 bytes, as a file descriptor it is a small
 * sealed file of this machine's memory with the same content. Any thread.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "handle.h"
#include "log.h"
#include "memory.h"

#define TOKEN_BYTES 16

enum { OF_ALLOCATION = 1, OF_PHYSICAL = 2 };

struct passport {
	char magic[8];
	uint32_t kind;
	uint32_t reserved;
	uint8_t token[TOKEN_BYTES];
	uint8_t zero[32];
};

static const char magic[8] = "vGPUshr1";

_Static_assert(sizeof(struct passport) == sizeof(CUipcMemHandle), "one is sent as the other");
_Static_assert(sizeof(((struct vgpu_ret_ipc_get_memory *)0)->token) == TOKEN_BYTES, "the host's size");

static struct passport passport_of(uint32_t kind, const uint8_t *token)
{
	struct passport p = { .kind = kind };

	memcpy(p.magic, magic, sizeof(magic));
	memcpy(p.token, token, sizeof(p.token));
	return p;
}

static bool is_passport(const struct passport *p, uint32_t kind)
{
	return !memcmp(p->magic, magic, sizeof(magic)) && p->kind == kind;
}

/* ---- allocations ---- */

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr dptr)
{
	struct vgpu_args_ipc_get_memory *a;
	const struct vgpu_ret_ipc_get_memory *o;
	struct passport p;
	struct vgpu_call c;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_memory_check(dptr, 1);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_ipc_get_memory, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->pointer = dptr;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		p = passport_of(OF_ALLOCATION, o->token);
		memcpy(handle, &p, sizeof(*handle));
	}
	vgpu_call_end(&c);
	return r;
}

static CUresult open_token(const uint8_t *token, unsigned int flags, uint64_t *start, uint64_t *size)
{
	struct vgpu_args_ipc_open_memory *a;
	const struct vgpu_ret_ipc_open_memory *o;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_ipc_open_memory, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);

	if (r)
		return r;
	a = c.args;
	memcpy(a->token, token, sizeof(a->token));
	a->flags = flags;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*start = o->pointer;
		*size = o->size;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int flags)
{
	struct vgpu_range_info info;
	struct passport p;
	uint64_t start, size;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	memcpy(&p, &handle, sizeof(p));
	if (!pdptr || flags & ~(unsigned int)CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	if (!is_passport(&p, OF_ALLOCATION))
		return CUDA_ERROR_INVALID_HANDLE;
	r = open_token(p.token, flags, &start, &size);
	if (r)
		return r;
	/* Opened before: it is there, and the worker counts how often. */
	if (!vgpu_memory_find(start, &info) || info.kind != VGPU_RANGE_IMPORTED)
		r = vgpu_memory_add(VGPU_RANGE_IMPORTED, start, size, 0);
	if (!r)
		*pdptr = start;
	return r;
}

CUresult cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int flags)
{
	return cuIpcOpenMemHandle_v2(pdptr, handle, flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	struct vgpu_args_ipc_close_memory *a;
	const struct vgpu_ret_ipc_close_memory *o;
	struct vgpu_range_info info;
	struct vgpu_call c;
	bool last = false;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!vgpu_memory_find(dptr, &info) || info.kind != VGPU_RANGE_IMPORTED || info.start != dptr)
		return CUDA_ERROR_INVALID_VALUE;
	/* What the device still does with it is waited for. */
	r = vgpu_context_synchronize_all();
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_ipc_close_memory, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->pointer = dptr;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		last = !o->left;
	}
	vgpu_call_end(&c);
	if (last)
		vgpu_memory_remove(dptr, 1u << VGPU_RANGE_IMPORTED, &info);
	return r;
}

/* ---- memory of cuMemCreate, as a file descriptor ---- */

static CUresult make_file(const struct passport *p, int *out)
{
	int fd = memfd_create("vgpu-shared-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	if (write(fd, p, sizeof(*p)) != sizeof(*p) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		close(fd);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	*out = fd;
	return CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
				      unsigned long long flags)
{
	const struct vgpu_ret_memory_export *o;
	struct vgpu_args_memory_export *a;
	struct vgpu_call c;
	struct passport p;
	uint64_t wire;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!out || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return vgpu_unsupported("cuMemExportToShareableHandle of other handles than file descriptors");
	r = vgpu_handle_wire(VGPU_HANDLE_MEMGENERIC, (const void *)(uintptr_t)handle, &wire);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_memory_export, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->handle = wire;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		p = passport_of(OF_PHYSICAL, o->token);
	}
	vgpu_call_end(&c);
	return r ? r : make_file(&p, out);
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *os_handle,
					CUmemAllocationHandleType type)
{
	struct vgpu_args_memory_import *a;
	struct vgpu_call c;
	struct passport p;
	uint64_t wire;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return vgpu_unsupported("cuMemImportFromShareableHandle of other handles than file descriptors");
	if (pread((int)(intptr_t)os_handle, &p, sizeof(p), 0) != sizeof(p) || !is_passport(&p, OF_PHYSICAL))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_new(VGPU_HANDLE_MEMGENERIC, &wire);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_memory_import, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (!r) {
		a = c.args;
		a->handle = wire;
		memcpy(a->token, p.token, sizeof(a->token));
		r = vgpu_call_finish(&c);
	}
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_MEMGENERIC, wire);
	else
		*handle = (CUmemGenericAllocationHandle)(uintptr_t)vgpu_handle_app(VGPU_HANDLE_MEMGENERIC, wire);
	return r;
}
