/* SPDX-License-Identifier: MIT */
/* Numbers in arguments of commands. Written by the shim, checked by the worker; include/api has the fields. */
#ifndef VGPU_OPERANDS_H
#define VGPU_OPERANDS_H

/* Fields `src_kind` and `dst_kind` of memcpy_2d, `kind` of a side of a box: where the side lies. */
enum vgpu_copy_kind {
	VGPU_COPY_DEVICE = 1,	/* an address of the device */
	VGPU_COPY_ARENA = 2,	/* an offset into the shared memory */
	VGPU_COPY_ARRAY = 3,	/* an array's id; boxes only */
};

/* Field `flags` of launch. */
#define VGPU_LAUNCH_COOPERATIVE	1u

/* Field `what` of graph_list. */
enum vgpu_list_kind {
	VGPU_LIST_NODES = 0,
	VGPU_LIST_ROOTS = 1,
	VGPU_LIST_EDGES = 2,
	VGPU_LIST_DEPENDENCIES = 3,	/* of a node */
	VGPU_LIST_DEPENDENTS = 4,
	VGPU_LIST_CAPTURE = 5,		/* what the next operation of a captured stream will depend on */
};

#endif
