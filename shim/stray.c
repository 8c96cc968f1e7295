/* SPDX-License-Identifier: MIT */
/* Device addresses outside the worker's offer, see stray.h. Reservations are never undone: drivers reuse addresses. */
#include "stray.h"

#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "range.h"
#include "session.h"

static struct {
	struct vgpu_range_map map;	/* what is reserved */
	bool warned;
} strays;

static void clash(uint64_t start, uint64_t size)
{
	if (!strays.warned)
		vgpu_warn("device memory lies at %#llx, %#llx bytes, where this process has memory of its own: calls that take either kind of pointer believe it is device memory",
			  (unsigned long long)start, (unsigned long long)size);
	strays.warned = true;
}

static void reserve(uint64_t start, uint64_t end)
{
	struct vgpu_range_info info = { .start = start, .size = end - start };
	void *p = mmap((void *)start, end - start, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == (void *)start && !vgpu_range_insert(&strays.map, &info))
		return;
	if (p != MAP_FAILED)
		munmap(p, end - start);
	clash(start, end - start);
}

/* Reserve those pages of [start, end) that are not reserved yet. */
static void reserve_new(uint64_t start, uint64_t end)
{
	struct vgpu_range_info info;
	uint64_t stop;

	while (start < end) {
		if (vgpu_range_find(&strays.map, start, &info)) {
			start = info.start + info.size;
			continue;
		}
		stop = vgpu_range_next(&strays.map, start, &info) && info.start < end ? info.start : end;
		reserve(start, stop);
		start = stop;
	}
}

bool vgpu_stray_note(uint64_t start, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end = start + size;

	if (!size || end < start || end > UINT64_MAX - page)
		return false;
	if (vgpu_session_is_device(start) && vgpu_session_is_device(end - 1))
		return false;
	reserve_new(start & ~(page - 1), (end + page - 1) & ~(page - 1));
	return true;
}
