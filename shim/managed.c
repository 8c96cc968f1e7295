/* SPDX-License-Identifier: MIT */
/*
 * Advice about managed memory. Managed memory is host memory that application and device share at one address; it never
 * moves, so a prefetch or a preferred location changes nothing but what cuMemRangeGetAttribute answers, and that is, by
 * CUDA's own definition, what was last asked for and not where the pages are. Advice is kept in spans sorted by
 * address; what no span covers was never advised. Any thread; one mutex.
 */
#include "managed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>

#include "batch.h"
#include "call.h"
#include "capture.h"
#include "device.h"
#include "memory.h"
#include "stream.h"
#include "thread.h"

#define KINDS	(1u << VGPU_RANGE_MANAGED | 1u << VGPU_RANGE_MIRROR)
#define NODES	64	/* bits of `accessed`: devices, and above them the host */

struct advice {
	CUmemLocation preferred, prefetched;	/* type INVALID: none */
	uint64_t accessed;		/* bit: device; bit NODES - 1: the host */
	bool read_mostly;
};

struct span {
	uint64_t start, end;
	struct advice advice;
};

static struct {
	pthread_mutex_t lock;
	struct span *at;
	uint32_t count, room;
} spans = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct advice nothing;

/* ---- spans; the lock is held ---- */

/* Index of the first span that ends behind `address`. */
static uint32_t lower_bound(uint64_t address)
{
	uint32_t low = 0, high = spans.count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (spans.at[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool make_room(uint32_t more)
{
	uint32_t room = spans.room ? spans.room : 16;
	struct span *at;

	while (room < spans.count + more)
		room *= 2;
	at = room == spans.room ? spans.at : realloc(spans.at, room * sizeof(*at));
	if (!at)
		return false;
	spans.at = at;
	spans.room = room;
	return true;
}

static void insert(uint32_t i, struct span s)
{
	memmove(&spans.at[i + 1], &spans.at[i], (spans.count - i) * sizeof(s));
	spans.at[i] = s;
	spans.count++;
}

/* Let a span begin at `address` if one goes across it. There is room. */
static void cut(uint64_t address)
{
	uint32_t i = lower_bound(address);
	struct span s;

	if (i == spans.count || spans.at[i].start >= address)
		return;
	s = spans.at[i];
	spans.at[i].end = address;
	s.start = address;
	insert(i + 1, s);
}

/* Spans without a gap over [start, end), none of which reaches out of it. False without memory. */
static bool cover(uint64_t start, uint64_t end)
{
	uint32_t i, gaps = 1;

	for (i = lower_bound(start); i < spans.count && spans.at[i].start < end; i++)
		gaps++;
	if (!make_room(gaps + 2))
		return false;
	cut(start);
	cut(end);
	for (i = lower_bound(start); start < end; i++) {
		uint64_t stop = i < spans.count && spans.at[i].start < end ? spans.at[i].start : end;

		if (start < stop)
			insert(i, (struct span){ start, stop, nothing });
		start = spans.at[i].end;
	}
	return true;
}

void vgpu_managed_forget(uint64_t start, uint64_t size)
{
	uint32_t i, n = 0;

	vgpu_lock(&spans.lock);
	i = lower_bound(start);
	while (i + n < spans.count && spans.at[i + n].start < start + size)
		n++;
	if (n)
		memmove(&spans.at[i], &spans.at[i + n], (spans.count - i - n) * sizeof(*spans.at));
	spans.count -= n;
	vgpu_unlock(&spans.lock);
}

/* ---- arguments ---- */

static bool is_managed(CUdeviceptr ptr, size_t bytes)
{
	struct vgpu_range_info info;

	return bytes && vgpu_memory_find(ptr, &info) && 1u << info.kind & KINDS &&
	       bytes <= info.size - (ptr - info.start);
}

static CUmemLocation location_of(CUdevice device)
{
	if (device == CU_DEVICE_CPU)
		return (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_HOST };
	return (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device };
}

static CUdevice device_of(CUmemLocation l)
{
	if (l.type == CU_MEM_LOCATION_TYPE_DEVICE)
		return l.id;
	return l.type == CU_MEM_LOCATION_TYPE_INVALID ? CU_DEVICE_INVALID : CU_DEVICE_CPU;
}

static CUresult check_location(CUmemLocation l)
{
	switch (l.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return vgpu_device_valid(l.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* A stream for work that does nothing: it must exist, and it cannot be captured, as natively. */
static CUresult check_stream(CUstream stream)
{
	struct vgpu_stream *s;
	CUresult r = vgpu_stream_get(stream, &s);

	return r ? r : vgpu_capture_never(stream);
}

/* ---- advice ---- */

static bool names_location(CUmem_advise advice)
{
	return advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION || advice == CU_MEM_ADVISE_SET_ACCESSED_BY ||
	       advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
}

static uint64_t node_bit(CUmemLocation l)
{
	return 1ull << (l.type == CU_MEM_LOCATION_TYPE_DEVICE ? l.id % (NODES - 1) : NODES - 1);
}

static void take(struct advice *a, CUmem_advise advice, CUmemLocation l)
{
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		a->read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
		return;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		a->preferred = l;
		return;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		a->preferred = nothing.preferred;
		return;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
		a->accessed |= node_bit(l);
		return;
	default:
		a->accessed &= ~node_bit(l);
	}
}

/* As natively: whichever device it names, a hint that is not about a place is one; the others want a place that is there. */
static CUresult check_advised(CUmem_advise advice, CUmemLocation l)
{
	bool numa = l.type == CU_MEM_LOCATION_TYPE_HOST_NUMA || l.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;

	if (l.type < CU_MEM_LOCATION_TYPE_DEVICE || l.type > CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT)
		return CUDA_ERROR_INVALID_VALUE;
	if (!names_location(advice))
		return CUDA_SUCCESS;
	if (numa && advice != CU_MEM_ADVISE_SET_PREFERRED_LOCATION)
		return CUDA_ERROR_INVALID_VALUE;
	return check_location(l) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuMemAdvise_v2(CUdeviceptr ptr, size_t bytes, CUmem_advise advice, CUmemLocation location)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);
	uint32_t i;

	if (r)
		return r;
	if (!is_managed(ptr, bytes) || advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		return CUDA_ERROR_INVALID_VALUE;
	r = check_advised(advice, location);
	if (r)
		return r;
	vgpu_lock(&spans.lock);
	if (!cover(ptr, ptr + bytes))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	for (i = lower_bound(ptr); !r && i < spans.count && spans.at[i].start < ptr + bytes; i++)
		take(&spans.at[i].advice, advice, location);
	vgpu_unlock(&spans.lock);
	return r;
}

CUresult cuMemAdvise(CUdeviceptr ptr, size_t bytes, CUmem_advise advice, CUdevice device)
{
	CUmemLocation l = location_of(device);
	CUresult r = cuMemAdvise_v2(ptr, bytes, advice, l);

	return r == CUDA_ERROR_INVALID_VALUE && names_location(advice) && check_location(l) ? CUDA_ERROR_INVALID_DEVICE : r;
}

static CUresult prefetch(CUdeviceptr ptr, size_t bytes, CUmemLocation location)
{
	CUresult r = CUDA_SUCCESS;
	uint32_t i;

	vgpu_lock(&spans.lock);
	if (!cover(ptr, ptr + bytes))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	for (i = lower_bound(ptr); !r && i < spans.count && spans.at[i].start < ptr + bytes; i++)
		spans.at[i].advice.prefetched = location;
	vgpu_unlock(&spans.lock);
	return r;
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr ptr, size_t bytes, CUmemLocation location, unsigned int flags, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (flags || !is_managed(ptr, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = check_location(location);
	if (!r)
		r = check_stream(stream);
	return r ? r : prefetch(ptr, bytes, location);
}

CUresult cuMemPrefetchAsync(CUdeviceptr ptr, size_t bytes, CUdevice device, CUstream stream)
{
	return cuMemPrefetchAsync_v2(ptr, bytes, location_of(device), 0, stream);
}

/* The ranges of a batch, which may not go into the default stream. */
static CUresult check_batch(const CUdeviceptr *ptrs, const size_t *sizes, size_t count, unsigned long long flags,
			    CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	size_t i;

	if (r)
		return r;
	if (!ptrs || !sizes || !count || flags || !stream || stream == CU_STREAM_LEGACY)
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < count; i++)
		if (!is_managed(ptrs[i], sizes[i]))
			return CUDA_ERROR_INVALID_VALUE;
	return check_stream(stream);
}

static CUresult check_locations(size_t count, const CUmemLocation *locations, const size_t *idxs, size_t num)
{
	CUresult r = CUDA_SUCCESS;
	size_t k;

	if (!locations || !vgpu_batch_splits(count, idxs, num))
		return CUDA_ERROR_INVALID_VALUE;
	for (k = 0; k < num && !r; k++)
		r = check_location(locations[k]);
	return r;
}

CUresult cuMemPrefetchBatchAsync(CUdeviceptr *ptrs, size_t *sizes, size_t count, CUmemLocation *locations,
				 size_t *location_idxs, size_t num_locations, unsigned long long flags, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = check_batch(ptrs, sizes, count, flags, stream);
	size_t i, k = 0;

	if (!r)
		r = check_locations(count, locations, location_idxs, num_locations);
	for (i = 0; i < count && !r; i++) {
		k += k + 1 < num_locations && location_idxs[k + 1] == i;
		r = prefetch(ptrs[i], sizes[i], locations[k]);
	}
	return r;
}

/* What is discarded may be read as anything: as what it was, too. */
CUresult cuMemDiscardBatchAsync(CUdeviceptr *ptrs, size_t *sizes, size_t count, unsigned long long flags, CUstream stream)
{
	return check_batch(ptrs, sizes, count, flags, stream);
}

CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *ptrs, size_t *sizes, size_t count, CUmemLocation *locations,
					   size_t *location_idxs, size_t num_locations, unsigned long long flags,
					   CUstream stream)
{
	return cuMemPrefetchBatchAsync(ptrs, sizes, count, locations, location_idxs, num_locations, flags, stream);
}

/* Whose the memory is while kernels run: anybody's, always. */
CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr ptr, size_t bytes, unsigned int flags)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_range_info info;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!vgpu_memory_find(ptr, &info) || !(1u << info.kind & KINDS) || info.start != ptr ||
	    (bytes && bytes != info.size))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST && flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags == CU_MEM_ATTACH_SINGLE && (!stream || stream == CU_STREAM_LEGACY))
		return CUDA_ERROR_INVALID_VALUE;
	return check_stream(stream);
}

/* ---- attributes ---- */

static bool same_location(CUmemLocation a, CUmemLocation b)
{
	return a.type == b.type && (a.id == b.id || a.type == CU_MEM_LOCATION_TYPE_HOST);
}

/* What holds of all of the range. */
static struct advice common_advice(uint64_t start, uint64_t end)
{
	struct advice all = nothing;
	uint64_t at = start;
	uint32_t i;

	vgpu_lock(&spans.lock);
	for (i = lower_bound(start); i < spans.count && spans.at[i].start <= at && at < end; i++) {
		const struct advice *a = &spans.at[i].advice;

		if (at == start)
			all = *a;
		all.read_mostly = all.read_mostly && a->read_mostly;
		all.accessed &= a->accessed;
		if (!same_location(all.preferred, a->preferred))
			all.preferred = nothing.preferred;
		if (!same_location(all.prefetched, a->prefetched))
			all.prefetched = nothing.prefetched;
		at = spans.at[i].end;
	}
	vgpu_unlock(&spans.lock);
	return at < end ? nothing : all;
}

static void put_accessed(int32_t *out, size_t room, uint64_t accessed)
{
	size_t n = 0;
	int bit;

	for (bit = 0; bit < NODES && n < room; bit++)
		if (accessed & 1ull << bit)
			out[n++] = bit == NODES - 1 ? CU_DEVICE_CPU : bit;
	while (n < room)
		out[n++] = CU_DEVICE_INVALID;
}

static CUresult put(void *data, size_t size, CUmem_range_attribute attribute, const struct advice *a)
{
	int32_t value;

	if (!data || !size || size % sizeof(value))
		return CUDA_ERROR_INVALID_VALUE;
	if (attribute == CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY) {
		put_accessed(data, size / sizeof(value), a->accessed);
		return CUDA_SUCCESS;
	}
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		value = a->read_mostly;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
		value = device_of(a->preferred);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		value = device_of(a->prefetched);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
		value = (int32_t)a->preferred.type;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
		value = a->preferred.id;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
		value = (int32_t)a->prefetched.type;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
		value = a->prefetched.id;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (size != sizeof(value))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

CUresult cuMemRangeGetAttributes(void **data, size_t *sizes, CUmem_range_attribute *attributes, size_t num,
				 CUdeviceptr ptr, size_t bytes)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	struct advice a;
	size_t i;

	if (r)
		return r;
	if (!data || !sizes || !attributes || !num || !is_managed(ptr, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	a = common_advice(ptr, ptr + bytes);
	for (i = 0; i < num && !r; i++)
		r = put(data[i], sizes[i], attributes[i], &a);
	return r;
}

CUresult cuMemRangeGetAttribute(void *data, size_t size, CUmem_range_attribute attribute, CUdeviceptr ptr, size_t bytes)
{
	return cuMemRangeGetAttributes(&data, &size, &attribute, 1, ptr, bytes);
}
