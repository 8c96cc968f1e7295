/* SPDX-License-Identifier: MIT */
/*
 * Which transport serves this process. Runs once, in the first cuInit.
 */
#include "transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "log.h"

static int try_open(struct vgpu_transport *t, const struct vgpu_transport_ops *ops,
		    const struct vgpu_config *config)
{
	memset(t, 0, sizeof(*t));
	t->ops = ops;
	t->memory_fd = -1;
	t->wake_fd = -1;
	t->link_fd = -1;
	return ops->open(t, config);
}

int vgpu_transport_open(struct vgpu_transport *t, const struct vgpu_config *config)
{
	int r;

	if (config->transport != VGPU_TRANSPORT_UNIX) {
		r = try_open(t, &vgpu_transport_pci, config);
		if (r != -ENODEV || config->transport == VGPU_TRANSPORT_PCI)
			return r;
		vgpu_debug("transport pci: %s", t->text);
	}
	return try_open(t, &vgpu_transport_unix, config);
}
