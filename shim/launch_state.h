/* SPDX-License-Identifier: MIT */
/* What the calls of CUDA 3 set on a function, for its next launch by cuLaunch and its like. */
#ifndef VGPU_SHIM_LAUNCH_STATE_H
#define VGPU_SHIM_LAUNCH_STATE_H

struct vgpu_function;

/* The function is going away and its state with it. Any thread; no call of this function is under way. */
void vgpu_launch_state_drop(struct vgpu_function *f);

#endif
