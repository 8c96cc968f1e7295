/* SPDX-License-Identifier: MIT */
/*
 * Running kernels, seen from the rest of the device: they can be stopped.
 */
#ifndef VGPU_SOFT_LAUNCH_H
#define VGPU_SOFT_LAUNCH_H

struct soft_context;

/* Stops running kernels of @ctx, or all when it is NULL; returns at once. */
void soft_kernels_cancel(struct soft_context *ctx);
/* Ends the threads that help with kernels; none may be running. */
void soft_kernels_stop(void);

#endif
