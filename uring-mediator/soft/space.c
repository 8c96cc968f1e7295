/* SPDX-License-Identifier: MIT */
/*
 * Reservations and mappings: two arrays sorted by address, under one reader-writer lock. What is reserved is PROT_NONE
 * until memory is mapped there and a device was given access. Taking memory away waits for all work of all contexts,
 * because a kernel that runs into an address without memory would take the process with it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "calls.h"
#include "context.h"
#include "physical.h"
#include "space.h"

struct piece {
	uint64_t start, size;
	struct soft_physical *memory; /* of a mapping, with a reference */
	uint64_t id;
	bool access[SOFT_MAX_DEVICES];
};

struct pieces {
	struct piece *at;
	uint32_t count, room;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct vgpu_range area;
static struct pieces reserved, mapped;
static uint64_t next_id = 1ull << 56; /* apart from the heaps' */

int soft_space_init(uint64_t base, uint64_t span)
{
	void *p = mmap((void *)base, span + SOFT_CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	area.start = ((uint64_t)p + SOFT_CHUNK - 1) & ~(SOFT_CHUNK - 1);
	area.size = span;
	return 0;
}

struct vgpu_range soft_space_range(void)
{
	return area;
}

bool soft_space_owns(uint64_t addr)
{
	return addr - area.start < area.size;
}

/* ---- sorted arrays ---- */

/* Index of the first piece that ends behind @addr. */
static uint32_t lower_bound(const struct pieces *s, uint64_t addr)
{
	uint32_t lo = 0, hi = s->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->at[mid].start + s->at[mid].size <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct piece *piece_at(const struct pieces *s, uint64_t addr)
{
	uint32_t i = lower_bound(s, addr);

	return i < s->count && s->at[i].start <= addr ? &s->at[i] : NULL;
}

static bool is_free(const struct pieces *s, uint64_t start, uint64_t size)
{
	uint32_t i = lower_bound(s, start);

	return i == s->count || s->at[i].start - start >= size;
}

/* The pieces that fill exactly [start, start + size): the first, and their number; 0 when they do not. */
static uint32_t pieces_of(const struct pieces *s, uint64_t start, uint64_t size, struct piece **first)
{
	uint32_t at = lower_bound(s, start), i;
	uint64_t end = start;

	for (i = at; i < s->count && s->at[i].start == end && end - start < size; i++)
		end += s->at[i].size;
	*first = &s->at[at];
	return end - start == size ? i - at : 0;
}

static int insert(struct pieces *s, const struct piece *p)
{
	uint32_t i = lower_bound(s, p->start), room;
	struct piece *more;

	if (s->count == s->room) {
		room = s->room ? s->room * 2 : 64;
		more = realloc(s->at, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->at = more;
		s->room = room;
	}
	memmove(&s->at[i + 1], &s->at[i], (s->count - i) * sizeof(*s->at));
	s->at[i] = *p;
	s->count++;
	return 0;
}

static void erase(struct pieces *s, struct piece *first, uint32_t n)
{
	uint32_t end = (uint32_t)(first - s->at) + n;

	memmove(first, first + n, (s->count - end) * sizeof(*s->at));
	s->count -= n;
}

/* ---- reservations ---- */

static bool fits(uint64_t start, uint64_t size)
{
	return soft_space_owns(start) && size <= area.size - (start - area.start) && is_free(&reserved, start, size);
}

/* The lowest free stretch; 0 when there is none. */
static uint64_t find_room(uint64_t size, uint64_t align)
{
	uint64_t at = (area.start + align - 1) & ~(align - 1);
	uint32_t i;

	for (i = 0; i < reserved.count && !fits(at, size); i++)
		at = (reserved.at[i].start + reserved.at[i].size + align - 1) & ~(align - 1);
	return fits(at, size) ? at : 0;
}

static CUresult soft_cuMemAddressReserve(CUdeviceptr *out, size_t size, size_t align, CUdeviceptr wish,
					 unsigned long long flags)
{
	struct piece p = { .size = size };
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || flags || !size || size % SOFT_CHUNK || align & (align - 1))
		return CUDA_ERROR_INVALID_VALUE;
	if (align < SOFT_CHUNK)
		align = SOFT_CHUNK;
	pthread_rwlock_wrlock(&lock);
	p.start = wish && !(wish & (align - 1)) && fits(wish, size) ? wish : find_room(size, align);
	if (!p.start || insert(&reserved, &p) < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	pthread_rwlock_unlock(&lock);
	if (!rc)
		*out = p.start;
	return rc;
}

static CUresult soft_cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
	struct piece *p;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	pthread_rwlock_wrlock(&lock);
	p = piece_at(&reserved, ptr);
	if (p && p->start == ptr && p->size == size && is_free(&mapped, ptr, size))
		erase(&reserved, p, 1);
	else
		rc = CUDA_ERROR_INVALID_VALUE;
	pthread_rwlock_unlock(&lock);
	return rc;
}

/* ---- mappings ---- */

bool soft_space_find(uint64_t addr, struct soft_region *out)
{
	const struct piece *p;
	bool found = false;
	unsigned i;

	pthread_rwlock_rdlock(&lock);
	p = piece_at(&mapped, addr);
	for (i = 0; p && i < SOFT_MAX_DEVICES; i++)
		found = found || p->access[i];
	if (found)
		*out = (struct soft_region){ .start = p->start, .size = p->size, .id = p->id, .kind = SOFT_MEM_DEVICE,
					     .context = SOFT_TAG_CONTEXT, .tag = SOFT_TAG_MAPPED | SOFT_TAG_CONTEXT,
					     .device = p->memory->prop.location.id };
	pthread_rwlock_unlock(&lock);
	return found;
}

/* Lock held. */
static CUresult map(const struct piece *p)
{
	const struct piece *r = piece_at(&reserved, p->start);
	void *at = (void *)p->start;

	if (!r || p->size > r->size - (p->start - r->start) || !is_free(&mapped, p->start, p->size))
		return CUDA_ERROR_INVALID_VALUE;
	if (mmap(at, p->size, PROT_NONE, MAP_SHARED | MAP_FIXED, p->memory->fd, 0) == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!insert(&mapped, p))
		return CUDA_SUCCESS;
	mmap(at, p->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult soft_cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
			      unsigned long long flags)
{
	struct piece p = { .start = ptr, .size = size };
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!size || size % SOFT_CHUNK || ptr % SOFT_CHUNK || offset || flags)
		return CUDA_ERROR_INVALID_VALUE;
	p.memory = soft_physical_get(handle);
	if (!p.memory)
		return CUDA_ERROR_INVALID_VALUE;
	rc = CUDA_ERROR_INVALID_VALUE;
	if (size <= p.memory->size) {
		pthread_rwlock_wrlock(&lock);
		p.id = next_id++;
		rc = map(&p);
		pthread_rwlock_unlock(&lock);
	}
	if (rc)
		soft_put(&p.memory->obj);
	return rc;
}

static CUresult soft_cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	struct piece *first;
	uint32_t i, n;
	CUresult rc = soft_enter_any();
	bool nothing;

	if (rc)
		return rc;
	if (!soft_space_owns(ptr) || !size)
		return CUDA_ERROR_INVALID_VALUE;
	soft_context_drain_all();
	pthread_rwlock_wrlock(&lock);
	nothing = !is_free(&reserved, ptr, 1) && is_free(&mapped, ptr, size);
	n = pieces_of(&mapped, ptr, size, &first);
	if (n)
		mmap((void *)ptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	for (i = 0; i < n; i++)
		soft_put(&first[i].memory->obj);
	if (n)
		erase(&mapped, first, n);
	pthread_rwlock_unlock(&lock);
	return n || nothing ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_access(const CUmemAccessDesc *desc, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
			return CUDA_ERROR_INVALID_VALUE;
		if (!soft_device_get(desc[i].location.id))
			return CUDA_ERROR_INVALID_DEVICE;
		if (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READ) {
			soft_log(VGPU_SOFT_WARNING, "cuMemSetAccess: memory that can only be read is not supported");
			return CUDA_ERROR_NOT_SUPPORTED;
		}
		if (desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

/* Lock held. */
static void set_access(struct piece *p, const CUmemAccessDesc *desc, size_t count)
{
	bool any = false;
	size_t i;

	for (i = 0; i < count; i++)
		p->access[desc[i].location.id] = desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	for (i = 0; i < SOFT_MAX_DEVICES; i++)
		any = any || p->access[i];
	mprotect((void *)p->start, p->size, any ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static CUresult soft_cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
	struct piece *first;
	uint32_t i, n;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!desc || !count || !soft_space_owns(ptr))
		return CUDA_ERROR_INVALID_VALUE;
	rc = check_access(desc, count);
	if (rc)
		return rc;
	soft_context_drain_all();
	pthread_rwlock_wrlock(&lock);
	n = pieces_of(&mapped, ptr, size, &first);
	for (i = 0; i < n; i++)
		set_access(&first[i], desc, count);
	pthread_rwlock_unlock(&lock);
	return n ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr ptr)
{
	const struct piece *p;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!soft_device_get(location->id))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_rwlock_rdlock(&lock);
	p = piece_at(&mapped, ptr);
	if (p)
		*flags = p->access[location->id] ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	pthread_rwlock_unlock(&lock);
	return p ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *out, void *addr)
{
	const struct piece *p;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_rwlock_rdlock(&lock);
	p = piece_at(&mapped, (uint64_t)addr);
	*out = p ? soft_physical_retain(p->memory) : 0;
	pthread_rwlock_unlock(&lock);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void soft_fill_space(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemAddressReserve);
	SOFT_SLOT(d, cuMemAddressFree);
	SOFT_SLOT(d, cuMemMap);
	SOFT_SLOT(d, cuMemUnmap);
	SOFT_SLOT(d, cuMemSetAccess);
	SOFT_SLOT(d, cuMemGetAccess);
	SOFT_SLOT(d, cuMemRetainAllocationHandle);
}
