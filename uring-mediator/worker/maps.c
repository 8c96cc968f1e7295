/* SPDX-License-Identifier: MIT */
/*
 * Which addresses the cuda driver holds in this process.  With unified addressing it reserves host addresses for
 * everything that a device can see: large inaccessible mappings, and mappings of its device nodes.  Those of
 * /proc/self/maps are the ranges that the guest must keep free.  Read once, before a session.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "device.h"

#define LEAST	(1ull << 20)	/* smaller reservations are guard pages of thread stacks and the like */

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

uint32_t vgpu_maps_driver_ranges(struct vgpu_range *ranges, uint32_t max)
{
	FILE *f = fopen("/proc/self/maps", "re");
	struct vgpu_range r[VGPU_MAX_RANGES + 1];
	struct mapping m;
	char line[512];
	uint32_t n = 0;

	if (!f || max > VGPU_MAX_RANGES)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!parse(line, &m) || !is_drivers(&m))
			continue;
		if (n && r[n - 1].start + r[n - 1].size == m.start)
			r[n - 1].size = m.end - r[n - 1].start;
		else
			r[n++] = (struct vgpu_range){ m.start, m.end - m.start };
		if (n > max)
			n = join_closest(r, n);
	}
	fclose(f);
	memcpy(ranges, r, n * sizeof(*r));
	return n;
}
