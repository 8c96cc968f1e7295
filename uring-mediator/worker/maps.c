/* SPDX-License-Identifier: MIT */
/*
 * Which addresses the cuda driver has, or will take, in this process.
 *
 * With unified addressing the driver reserves host addresses for everything that a device can see.  Some are its own
 * choice (seen with driver 580: 4 GiB from 0x200000000, 64 MiB from 0x10000000000); the others, all later allocations
 * among them, are wherever the kernel maps the next free stretch.  So a guest must keep two things free: what is in
 * /proc/self/maps now, and the area in which the kernel will go on mapping.  That area normally lies where every
 * process has its libraries, and would collide with the guest's own in many of its random layouts.
 * vgpu_maps_prepare() therefore starts this program anew with the kernel's legacy layout, in which the area begins at
 * a third of the address space and grows upwards, where an ordinary guest has nothing.  One worker in four keeps the
 * ordinary layout, for guests that run with the legacy one themselves.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "device.h"

#define LEAST	(1ull << 20)	/* smaller reservations are guard pages of thread stacks and the like */

#define ALIGN	(2ull << 20)

/*
 * The driver's low area: it begins at 0x200000000, and memory pools go on behind it (seen with driver 580 on an H100:
 * cuMemAllocAsync at 0x302000000).  Go programs have their heaps from 0xc000000000.
 */
#define LOW_LOW		0x200000000ull
#define LOW_HIGH	0xc000000000ull

/* The kernel's areas for mappings without a wish: legacy layout (upwards), ordinary layout (downwards). */
#define LEGACY_LOW	0x2a0000000000ull
#define LEGACY_HIGH	0x550000000000ull
#define ORDINARY_LOW	0x7d0000000000ull
#define ORDINARY_HIGH	0x800000000000ull

#if defined(__SANITIZE_THREAD__)
#define LAYOUT_IS_FREE false	/* ThreadSanitizer wants its own */
#else
#define LAYOUT_IS_FREE true
#endif

void vgpu_maps_prepare(char **argv)
{
	int now = personality(0xffffffff);

	if (!LAYOUT_IS_FREE || now < 0 || now & ADDR_COMPAT_LAYOUT || getpid() % 4 == 3)
		return;
	if (personality((unsigned long)now | ADDR_COMPAT_LAYOUT) >= 0)
		execv("/proc/self/exe", argv);
	/* Not permitted: then the ordinary layout it is. */
}

struct mapping {
	uint64_t start, end;
	char perms[5];
	char path[128];
};

static bool parse(const char *line, struct mapping *m)
{
	m->path[0] = 0;
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %127s", &m->start, &m->end, m->perms, m->path) >= 3;
}

static bool is_drivers(const struct mapping *m)
{
	if (!strncmp(m->path, "/dev/nvidia", 11))
		return true;
	return !m->path[0] && !strncmp(m->perms, "---", 3) && m->end - m->start >= LEAST;
}

/* Join the two neighbours with the smallest gap: the guest then keeps the gap free, too. */
static uint32_t join_closest(struct vgpu_range *r, uint32_t n)
{
	uint64_t best = UINT64_MAX;
	uint32_t at = 0;

	for (uint32_t i = 0; i + 1 < n; i++) {
		uint64_t gap = r[i + 1].start - (r[i].start + r[i].size);

		if (gap < best) {
			best = gap;
			at = i;
		}
	}
	r[at].size = r[at + 1].start + r[at + 1].size - r[at].start;
	memmove(&r[at + 1], &r[at + 2], (n - at - 2) * sizeof(*r));
	return n - 1;
}

static uint32_t add_range(struct vgpu_range *r, uint32_t n, uint32_t max, uint64_t start, uint64_t end)
{
	if (n && r[n - 1].start + r[n - 1].size == start)
		r[n - 1].size = end - r[n - 1].start;
	else
		r[n++] = (struct vgpu_range){ start, end - start };
	return n > max ? join_closest(r, n) : n;
}

/* The kernel's area as far as it is in use, and as far as it may grow. */
struct area {
	bool legacy;
	uint64_t low, high;	/* of the mappings in it */
};

static bool in_area(const struct area *a, const struct mapping *m)
{
	if (!strncmp(m->path, "[", 1))	/* stack, vdso: neither moves nor grows into it */
		return false;
	return a->legacy ? m->start >= LEGACY_LOW && m->end <= LEGACY_HIGH :
			   m->start >= ORDINARY_LOW && m->end <= ORDINARY_HIGH;
}

static uint32_t add_area(struct vgpu_range *r, uint32_t n, const struct area *a, uint64_t spare)
{
	uint64_t low = a->low, high = a->high;

	if (!high)
		return n;
	if (a->legacy)
		high = high + spare < LEGACY_HIGH ? high + spare : LEGACY_HIGH;
	else
		low = low > ORDINARY_LOW + spare ? low - spare : ORDINARY_LOW;
	low &= ~(ALIGN - 1);
	high = (high + ALIGN - 1) & ~(ALIGN - 1);
	r[n] = (struct vgpu_range){ low, high - low };
	return n + 1;
}

/* Let the driver's low area be one, and grow by `spare` as far as LOW_HIGH. The number of ranges that remain. */
static uint32_t extend_low(struct vgpu_range *r, uint32_t n, uint64_t spare)
{
	uint32_t first = 0, last;
	uint64_t end;

	while (first < n && r[first].start < LOW_LOW)
		first++;
	for (last = first; last + 1 < n && r[last + 1].start < LOW_HIGH;)
		last++;
	if (first == n || r[first].start >= LOW_HIGH || r[last].start + r[last].size >= LOW_HIGH)
		return n;
	end = r[last].start + r[last].size;
	end = spare < LOW_HIGH - end ? end + spare : LOW_HIGH;
	r[first].size = (end & ~(ALIGN - 1)) - r[first].start;
	memmove(&r[first + 1], &r[last + 1], (n - last - 1) * sizeof(*r));
	return n - (last - first);
}

uint32_t vgpu_maps_driver_ranges(struct vgpu_range *ranges, uint32_t max, uint64_t spare)
{
	struct area area = { .legacy = personality(0xffffffff) & ADDR_COMPAT_LAYOUT };
	FILE *f = fopen("/proc/self/maps", "re");
	struct vgpu_range r[VGPU_MAX_RANGES + 1];
	struct mapping m;
	char line[512];
	uint32_t n = 0;

	if (!f || !max || max > VGPU_MAX_RANGES)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!parse(line, &m))
			continue;
		if (in_area(&area, &m)) {
			area.low = area.high ? area.low : m.start;
			area.high = m.end;
		} else if (is_drivers(&m)) {
			n = add_range(r, n, max - 1, m.start, m.end);
		}
	}
	fclose(f);
	n = extend_low(r, n, spare);
	n = add_area(r, n, &area, spare);
	memcpy(ranges, r, n * sizeof(*r));
	return n;
}
