/* SPDX-License-Identifier: MIT */
/*
 * Functions of modules and kernels of libraries: one kind of object for both,
 * since launches take a CUkernel for a CUfunction. All that a launch needs
 * came with the reply that made it.
 */
#ifndef VGPU_SHIM_FUNCTION_H
#define VGPU_SHIM_FUNCTION_H

#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/handle.h>

#include "call.h"
#include "function_table.h"
#include "handle.h"

#define VGPU_FUNCTION_ATTRIBUTES	24u

struct vgpu_context;
struct vgpu_launch_state;

struct vgpu_param {
	uint16_t offset, size;	/* bytes, in the parameter block */
};

struct vgpu_function {
	uint64_t wire;
	uint64_t owner;		/* wire id of its module or library */
	uint64_t kernel;	/* function made of a kernel: that kernel's wire id; else 0 */
	enum vgpu_handle_kind kind;	/* FUNCTION or KERNEL */
	char *name;
	struct vgpu_param *params;
	uint32_t param_count, param_bytes;
	uint32_t attribute_count;
	_Atomic int attributes[VGPU_FUNCTION_ATTRIBUTES];
	_Atomic uint64_t occupancy;	/* occupancy.c: the last question about blocks on a multiprocessor, and its answer; 0: none */
	_Atomic uint64_t proved;	/* launch.c: the shape in clusters that the driver has taken last; 0: none */
	struct vgpu_launch_state *launch_state;	/* launch_state.c; NULL until one of its calls */
	struct vgpu_function *next;	/* function_table.c */
};

/* A module or library: what it holds of the above. */
struct vgpu_module {
	uint64_t wire;
	struct vgpu_context *context;	/* module: the context it was loaded in; library: NULL */
	uint64_t library;		/* module of a library: that library's wire id */
	struct vgpu_function_table functions;
	struct vgpu_module *modules;	/* library: its modules, one for each context that asked */
	struct vgpu_module *next;
};

/* Function or kernel behind a handle, or NULL. */
static inline struct vgpu_function *vgpu_function_get(const void *app)
{
	enum vgpu_handle_kind kind = vgpu_handle_kind_of(vgpu_handle_to_wire(app));

	return kind == VGPU_HANDLE_FUNCTION || kind == VGPU_HANDLE_KERNEL ? vgpu_handle_object(kind, app) : NULL;
}
/* The function of that name, asked for once and remembered. `op`: module_get_function or library_get_kernel. */
CUresult vgpu_function_find(struct vgpu_module *m, enum vgpu_handle_kind kind, const char *name,
			    struct vgpu_function **f);
/* The function of a kernel in the current context. */
CUresult vgpu_function_of_kernel(struct vgpu_function *kernel, struct vgpu_function **f);
/* module.c: the module of a library in the current context, made on first use. */
CUresult vgpu_library_module(struct vgpu_module *library, struct vgpu_module **m);
/* library.c: the context is going away and its modules with it. */
void vgpu_library_forget_context(const struct vgpu_context *ctx);
/* Forget all functions of a module or library, its handles included. */
void vgpu_functions_drop(struct vgpu_module *m);
/* occupancy.c: something was set that the occupancy of any function may depend on. */
void vgpu_occupancy_forget(void);
/* Fetch attributes again after one was changed. */
CUresult vgpu_function_refresh(struct vgpu_function *f);

#endif
