/* SPDX-License-Identifier: MIT */
/*
 * Variables of modules in managed memory (__managed__). Their place is the driver's, in the worker, so this process has
 * a mirror at the same address: private pages where only a reservation was. CUDA lets the host touch them while no
 * kernel runs, which is what makes this right: what the host has changed is sent before the next work, and what the
 * device has changed is fetched when somebody has waited. Any thread; nothing happens in signal handlers. Programs
 * without such variables pay a load of one word.
 */
#ifndef VGPU_SHIM_MIRROR_H
#define VGPU_SHIM_MIRROR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_context;

extern _Atomic bool vgpu_mirrors;	/* there are some */

/*
 * A managed variable of the module or library `owner` (wire id): from here on the application may touch it. In the
 * current context; `hold`: that is the primary one of device 0, which is retained for it. NOT_SUPPORTED, with a log line,
 * where this process has other memory at the address.
 */
CUresult vgpu_mirror_make(CUdeviceptr start, size_t bytes, uint64_t owner, bool hold);
/* Its variables go: those of a module or library, or all in a context. The other argument is 0 or NULL. */
void vgpu_mirror_drop(uint64_t owner, const struct vgpu_context *ctx);

void vgpu_mirror_send(void);
void vgpu_mirror_fetch(void);

static inline bool vgpu_mirrored(void)
{
	return __builtin_expect(atomic_load_explicit(&vgpu_mirrors, memory_order_relaxed), false);
}

/* Before work for the device. */
static inline void vgpu_mirror_push(void)
{
	if (vgpu_mirrored())
		vgpu_mirror_send();
}

/* After a wait. */
static inline void vgpu_mirror_pull(void)
{
	if (vgpu_mirrored())
		vgpu_mirror_fetch();
}

#endif
