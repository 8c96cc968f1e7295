/* SPDX-License-Identifier: MIT */
/*
 * Memory pools of several processes. A shareable pool has a name, random bits; its descriptor is a small sealed file that
 * says the name, and an imported pool is one that has the name but allocates nothing: what it holds are blocks whose
 * memory the exporting process has moved into a descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "context.h"
#include "memory.h"
#include "physical.h"
#include "pool.h"

#define MAGIC 0x56505346504f4f4cull
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct label {
	uint64_t magic;
	struct soft_pool_name name;
	uint64_t device;
};

/* What stands in CUmemPoolPtrExportData. */
struct pointer {
	struct soft_pool_name name;
	uint64_t offset, size; /* in the descriptor, bytes */
};

_Static_assert(sizeof(struct pointer) <= sizeof(CUmemPoolPtrExportData), "it fits");

void soft_pool_offer(struct soft_pool *p)
{
	p->shareable = getrandom(&p->name, sizeof(p->name), 0) == sizeof(p->name);
}

static bool same(const struct soft_pool_name *a, const struct soft_pool_name *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

/* ---- pools ---- */

static int make_file(const struct soft_pool *p)
{
	const struct label l = { MAGIC, p->name, (uint64_t)p->device };
	int fd = memfd_create("vgpu-soft-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write(fd, &l, sizeof(l)) == sizeof(l) && !fcntl(fd, F_ADD_SEALS, SEALS))
		return fd;
	close(fd);
	return -1;
}

static CUresult soft_cuMemPoolExportToShareableHandle(void *out, CUmemoryPool handle, CUmemAllocationHandleType type,
						      unsigned long long flags)
{
	struct soft_pool *p;
	CUresult rc = soft_enter_any();
	int fd = -1;

	if (rc)
		return rc;
	if (!out || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	p = soft_get((uint64_t)(uintptr_t)handle, SOFT_POOL);
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->shareable)
		fd = make_file(p);
	rc = fd >= 0 ? CUDA_SUCCESS : p->shareable ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
	soft_put(&p->obj);
	if (!rc)
		memcpy(out, &fd, sizeof(fd));
	return rc;
}

static bool read_label(int fd, struct label *l)
{
	struct stat st;

	return !fstat(fd, &st) && (fcntl(fd, F_GET_SEALS) & SEALS) == SEALS && st.st_size == sizeof(*l) &&
	       pread(fd, l, sizeof(*l), 0) == sizeof(*l) && l->magic == MAGIC && l->device < SOFT_MAX_DEVICES &&
	       soft_device_get((int)l->device);
}

static CUresult soft_cuMemPoolImportFromShareableHandle(CUmemoryPool *out, void *handle, CUmemAllocationHandleType type,
							unsigned long long flags)
{
	struct soft_pool *p;
	struct label l;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !read_label((int)(intptr_t)handle, &l))
		return CUDA_ERROR_INVALID_VALUE;
	p = soft_pool_make((int)l.device, 0);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->imported = true;
	p->name = l.name;
	*out = (CUmemoryPool)(uintptr_t)p->obj.handle;
	return CUDA_SUCCESS;
}

/* ---- pointers ---- */

CUresult vgpu_soft_share_pointer(CUdeviceptr start, CUmemPoolPtrExportData *data, int *fd)
{
	struct pointer out = { .offset = 0 };
	struct soft_region r;
	struct soft_pool *p;
	bool shareable;

	if (!soft_memory_find(start, &r) || r.start != start || r.kind != SOFT_MEM_DEVICE || r.tag & SOFT_TAG_FREEING)
		return CUDA_ERROR_INVALID_VALUE;
	p = r.tag & SOFT_TAG_MAPPED ? NULL : soft_pool_of(r.tag);
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	shareable = p->shareable;
	out.name = p->name;
	out.size = r.size;
	soft_put(&p->obj);
	if (!shareable)
		return CUDA_ERROR_INVALID_VALUE;
	if (vgpu_soft_share(start, fd, &out.offset) < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memset(data, 0, sizeof(*data));
	memcpy(data, &out, sizeof(out));
	return CUDA_SUCCESS;
}

static CUresult open_pointer(struct soft_pool *p, const struct soft_context *ctx, const struct pointer *in, int fd,
			     CUdeviceptr *start)
{
	uint32_t tag = ctx->index | SOFT_TAG_POOL | p->number << SOFT_TAG_POOL_NUMBER;
	uint64_t room = soft_physical_size(fd, p->device), at;

	if (!p->imported || !same(&p->name, &in->name) || in->offset >= SOFT_CHUNK || in->offset >= room || !in->size ||
	    in->size > room - in->offset)
		return CUDA_ERROR_INVALID_VALUE;
	if (soft_heap_import(&soft_devices[p->device].heap, fd, in->offset, in->size, tag, &at))
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_pool_count(p, in->size);
	*start = at;
	return CUDA_SUCCESS;
}

CUresult vgpu_soft_open_pointer(CUmemoryPool pool, const CUmemPoolPtrExportData *data, int fd, CUdeviceptr *start)
{
	struct soft_context *ctx;
	struct soft_pool *p;
	struct pointer in;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	p = soft_get((uint64_t)(uintptr_t)pool, SOFT_POOL);
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&in, data, sizeof(in));
	rc = open_pointer(p, ctx, &in, fd, start);
	soft_put(&p->obj);
	return rc;
}

void soft_fill_pool_share(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemPoolExportToShareableHandle);
	SOFT_SLOT(d, cuMemPoolImportFromShareableHandle);
}
