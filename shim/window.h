/* SPDX-License-Identifier: MIT */
/* Register mode in a VM: the registers of version 1 in BAR0 and their data window, BAR1. */
#ifndef VGPU_SHIM_WINDOW_H
#define VGPU_SHIM_WINDOW_H

#include "transport.h"

/*
 * One call through the window, `call` of the pci transport (transport.h). Any number of processes of the VM; in
 * each, one thread at a time. Needs t->registers, t->window, t->memory_fd, t->channel and t->generation.
 */
int vgpu_window_call(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size, uint64_t until,
		     struct vgpu_transport_result *result);

#endif
