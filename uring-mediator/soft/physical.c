/* SPDX-License-Identifier: MIT */
/*
 * Physical device memory: made, released, described, exported and imported. A mutex guards the counts of handles; the
 * table of handles and the heap's account have locks of their own. Behind the memory, each memfd has one page that says
 * what it is, for the process that imports it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "context.h"
#include "physical.h"

#define LABEL_MAGIC 0x5650534d454d4850ull
#define LABEL_ROOM 4096u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct label {
	uint64_t magic, size;
	CUmemAllocationProp prop;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void release(struct soft_object *o)
{
	struct soft_physical *p = (struct soft_physical *)o;

	close(p->fd);
	soft_heap_uncharge(&soft_devices[p->prop.location.id].heap, p->charged);
	free(p);
}

static int make_file(uint64_t size, const CUmemAllocationProp *prop)
{
	struct label l = { LABEL_MAGIC, size, *prop };
	int fd = memfd_create("vgpu-soft-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)(size + LABEL_ROOM)) || pwrite(fd, &l, sizeof(l), (off_t)size) != sizeof(l) ||
	    fcntl(fd, F_ADD_SEALS, SEALS)) {
		close(fd);
		return -1;
	}
	return fd;
}

int soft_physical_file(uint64_t size, int ordinal)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR };
	int fd;

	prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	prop.location.id = ordinal;
	fd = make_file(size, &prop);
	return fd < 0 ? -ENOMEM : fd;
}

/* An object for @fd, which is its own from now on, and its first handle; 0 for want of memory. */
static CUmemGenericAllocationHandle adopt(int fd, uint64_t size, uint64_t charged, const CUmemAllocationProp *prop)
{
	struct soft_physical *p = calloc(1, sizeof(*p));

	if (!p)
		return 0;
	soft_object_init(&p->obj, SOFT_PHYSICAL, NULL, release);
	p->handles = 1;
	p->fd = fd;
	p->size = size;
	p->charged = charged;
	p->prop = *prop;
	if (!soft_bind(&p->obj))
		return p->obj.handle;
	free(p);
	return 0;
}

struct soft_physical *soft_physical_get(CUmemGenericAllocationHandle handle)
{
	return soft_get(handle, SOFT_PHYSICAL);
}

CUmemGenericAllocationHandle soft_physical_retain(struct soft_physical *p)
{
	CUmemGenericAllocationHandle handle;

	pthread_mutex_lock(&lock);
	if (!p->handles) {
		soft_ref(&p->obj);
		if (soft_bind(&p->obj) < 0) {
			pthread_mutex_unlock(&lock);
			soft_put(&p->obj);
			return 0;
		}
	}
	p->handles++;
	handle = p->obj.handle;
	pthread_mutex_unlock(&lock);
	return handle;
}

/* Memory of a device, for this process or to be passed on as a descriptor. */
static CUresult check_properties(const CUmemAllocationProp *prop)
{
	if (prop->type != CU_MEM_ALLOCATION_TYPE_PINNED || prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!soft_device_get(prop->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	if (prop->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    prop->allocFlags.compressionType != CU_MEM_ALLOCATION_COMP_NONE || prop->allocFlags.usage)
		return CUDA_ERROR_NOT_SUPPORTED;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemCreate(CUmemGenericAllocationHandle *out, size_t size, const CUmemAllocationProp *prop,
				 unsigned long long flags)
{
	struct soft_heap *heap;
	CUresult rc = soft_enter_any();
	int fd;

	if (rc)
		return rc;
	if (!out || !prop || flags || !size || size % SOFT_CHUNK)
		return CUDA_ERROR_INVALID_VALUE;
	rc = check_properties(prop);
	if (rc)
		return rc;
	heap = &soft_devices[prop->location.id].heap;
	if (soft_heap_charge(heap, size) < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	fd = make_file(size, prop);
	*out = fd < 0 ? 0 : adopt(fd, size, size, prop);
	if (*out)
		return CUDA_SUCCESS;
	if (fd >= 0)
		close(fd);
	soft_heap_uncharge(heap, size);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult soft_cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct soft_physical *p;
	CUresult rc = soft_enter_any();
	bool last;

	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	p = soft_physical_get(handle);
	if (!p) {
		pthread_mutex_unlock(&lock);
		return CUDA_ERROR_INVALID_VALUE;
	}
	last = !--p->handles && soft_take(handle, SOFT_PHYSICAL);
	pthread_mutex_unlock(&lock);
	if (last)
		soft_put(&p->obj);
	soft_put(&p->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemGetAllocationGranularity(size_t *out, const CUmemAllocationProp *prop,
						   CUmemAllocationGranularity_flags option)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || !prop ||
	    (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM && option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
		return CUDA_ERROR_INVALID_VALUE;
	rc = check_properties(prop);
	if (!rc)
		*out = SOFT_CHUNK;
	return rc;
}

static CUresult soft_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
							    CUmemGenericAllocationHandle handle)
{
	struct soft_physical *p;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	p = prop ? soft_physical_get(handle) : NULL;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	*prop = p->prop;
	soft_put(&p->obj);
	return CUDA_SUCCESS;
}

/* The descriptor stays valid without this process, and must be closed by the caller. */
static CUresult soft_cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle,
						  CUmemAllocationHandleType type, unsigned long long flags)
{
	struct soft_physical *p;
	CUresult rc = soft_enter_any();
	int fd;

	if (rc)
		return rc;
	p = out && !flags && type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ? soft_physical_get(handle) : NULL;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	rc = CUDA_ERROR_INVALID_VALUE;
	if (p->prop.requestedHandleTypes & type) {
		fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
		rc = fd < 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
		if (!rc)
			*(int *)out = fd;
	}
	soft_put(&p->obj);
	return rc;
}

/* Whether @fd is memory that some soft device made: then what it says of itself holds. */
static bool read_label(int fd, struct label *l)
{
	struct stat st;

	if (fstat(fd, &st) || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS || st.st_size <= (off_t)LABEL_ROOM)
		return false;
	if (pread(fd, l, sizeof(*l), st.st_size - (off_t)LABEL_ROOM) != sizeof(*l) || l->magic != LABEL_MAGIC)
		return false;
	return l->size == (uint64_t)st.st_size - LABEL_ROOM && !(l->size % SOFT_CHUNK) && !check_properties(&l->prop);
}

uint64_t soft_physical_size(int fd, int ordinal)
{
	struct label l;

	return read_label(fd, &l) && l.prop.location.id == ordinal ? l.size : 0;
}

static CUresult soft_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *out, void *os_handle,
						    CUmemAllocationHandleType type)
{
	struct label l;
	CUresult rc = soft_enter_any();
	int fd;

	if (rc)
		return rc;
	if (!out || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !read_label((int)(intptr_t)os_handle, &l))
		return CUDA_ERROR_INVALID_VALUE;
	fd = fcntl((int)(intptr_t)os_handle, F_DUPFD_CLOEXEC, 0);
	*out = fd < 0 ? 0 : adopt(fd, l.size, 0, &l.prop);
	if (*out)
		return CUDA_SUCCESS;
	if (fd >= 0)
		close(fd);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

void soft_fill_physical(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemCreate);
	SOFT_SLOT(d, cuMemRelease);
	SOFT_SLOT(d, cuMemGetAllocationGranularity);
	SOFT_SLOT(d, cuMemGetAllocationPropertiesFromHandle);
	SOFT_SLOT(d, cuMemExportToShareableHandle);
	SOFT_SLOT(d, cuMemImportFromShareableHandle);
}
