/* SPDX-License-Identifier: MIT */
/* What the worker gives up before it meets a guest. */
#ifndef VGPU_WORKER_CONFINE_H
#define VGPU_WORKER_CONFINE_H

#include <stddef.h>

/* Close every descriptor from `from` on. First thing in main. */
void vgpu_confine_descriptors(int from);

/* No new privileges, no core dumps, no ptrace by others. 0 or -errno with a line in `why`. */
int vgpu_confine(char *why, size_t size);

#endif
