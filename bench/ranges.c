/* SPDX-License-Identifier: MIT */
/* The guest's table of allocations with few and with a million live ones: finding one, and an allocation's coming and going. */
#include <stdlib.h>

#include "shim/range.h"

#include "gbench.h"

#define STEP	(2ull << 20)

static struct vgpu_range_info range(uint64_t i)
{
	return (struct vgpu_range_info){ .start = (i + 1) * STEP, .size = STEP / 2 };
}

static struct vgpu_range_map filled(struct gbench *b)
{
	struct vgpu_range_map m = { 0 };
	struct vgpu_range_info r;

	for (int64_t i = 0; i < gbench_argument(b); i++) {
		r = range((uint64_t)i);
		if (vgpu_range_insert(&m, &r))
			gbench_fail(b, "no memory");
	}
	return m;
}

static uint64_t next(uint64_t *random, uint64_t most)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return (*random >> 33) % most;
}

static void find(struct gbench *b)
{
	struct vgpu_range_map m = filled(b);
	struct vgpu_range_info r;
	uint64_t random = 1;
	bool all = true;

	while (gbench_next(b))
		all &= vgpu_range_find(&m, range(next(&random, (uint64_t)gbench_argument(b))).start + 100, &r);
	if (!all)
		gbench_fail(b, "a range is missing");
}

static void come_and_go(struct gbench *b)
{
	struct vgpu_range_map m = filled(b);
	struct vgpu_range_info r;
	uint64_t random = 1;
	bool all = true;

	while (gbench_next(b)) {
		r = range(next(&random, (uint64_t)gbench_argument(b)));
		all &= vgpu_range_remove(&m, r.start, NULL);
		all &= !vgpu_range_insert(&m, &r);
	}
	if (!all)
		gbench_fail(b, "a range is missing");
}

int main(int argc, char **argv)
{
	gbench_add("ranges/find", find, 10);
	gbench_add("ranges/find", find, 1000000);
	gbench_add("ranges/remove_insert", come_and_go, 10);
	gbench_add("ranges/remove_insert", come_and_go, 1000000);
	return gbench_main(argc, argv);
}
