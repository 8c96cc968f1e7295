/* SPDX-License-Identifier: MIT */
/*
 * Running a kernel's grid: its blocks are dealt out in slices to the executor that runs the operation and to helper
 * threads, as many in all as the configuration says; those of a cooperative one stay with the executor. Running grids are in a list, so that they can be stopped.
 */
#ifndef VGPU_SOFT_GRID_H
#define VGPU_SOFT_GRID_H

#include "module.h"

struct soft_grid {
	uint32_t grid[3], block[3];
	uint32_t dynamic_shared;
	bool cooperative; /* all blocks at once, which then may meet */
	const void *params; /* function->entry->params_size bytes */
};

/* Runs all blocks and returns. A fault poisons the process and is logged. */
void soft_grid_run(struct soft_function *f, const struct soft_grid *grid);
/* Stops running grids of @ctx, or all when it is NULL; returns at once. */
void soft_grids_cancel(struct soft_context *ctx);
/* Ends the helper threads. */
void soft_grids_stop(void);

#endif
