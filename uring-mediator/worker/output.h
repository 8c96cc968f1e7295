/* SPDX-License-Identifier: MIT */
/*
 * What kernels print: natively a driver writes it to the standard output of its process when that process
 * synchronises, and to the standard error which assert has failed.  A worker's descriptors for both are pieces of memory of fixed size; after the guest has
 * synchronised it fetches what is there.  Text that nobody fetches stops coming when the memory is full.
 */
#ifndef VGPU_WORKER_OUTPUT_H
#define VGPU_WORKER_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct vgpu_session;

/*
 * Make descriptors 1 and 2 such memory each; log lines, and what a sanitizer reports, go to the old 2 from then on.
 * Once, before the device is opened. 0 or -errno.
 */
int vgpu_output_catch(void);

/* May kernels of this image, which has been loaded, print? */
bool vgpu_output_may_come(const struct vgpu_session *s, uint64_t image, uint32_t kind);

/* The context has died: another one may get its number. */
void vgpu_output_forget(struct vgpu_session *s, uint32_t context);
void vgpu_output_release(struct vgpu_session *s);

#endif
