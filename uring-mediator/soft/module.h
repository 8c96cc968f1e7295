/* SPDX-License-Identifier: MIT */
/*
 * Loaded code. A module belongs to a context: PTX bound to memory there. A library is independent of contexts: it has
 * an instance (a module) in each context that uses it. A function belongs to a module, a kernel to a library; calls
 * take either.
 *
 * Functions hold their module, operations in queues hold their function; so code lives until the last launch is done,
 * whatever was unloaded meanwhile.
 */
#ifndef VGPU_SOFT_MODULE_H
#define VGPU_SOFT_MODULE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "context.h"
#include "entries.h"
#include "handle.h"
#include "image.h"

/* What can be set for a kernel; the rest follows from its code. */
struct soft_settings {
	atomic_int max_dynamic_shared;
	atomic_int carveout;
};

struct soft_function {
	struct soft_object obj;        /* SOFT_FUNCTION */
	struct soft_module *module;    /* a reference */
	const struct ptx_entry *entry;
	struct soft_settings settings;
};

struct soft_module {
	struct soft_object obj;
	struct ptx_module *ptx;
	struct soft_entries functions;
	uint64_t *globals; /* addresses, in the order of the variables */
	uint64_t library;  /* handle, 0 for a module that was loaded as such */
};

struct soft_kernel {
	struct soft_object obj;       /* SOFT_KERNEL */
	struct soft_library *library; /* a reference */
	const struct ptx_entry *entry;
	size_t index;
	struct soft_settings settings;
};

/* Makes a module of @ptx in @ctx, with a handle; the caller's reference is in *out. Takes over @ptx, also on failure. */
CUresult soft_module_create(struct soft_context *ctx, struct ptx_module *ptx, uint64_t library, struct soft_module **out);
/* Takes the module's handle and those of its functions away. False when there is no such module. */
bool soft_module_unload(uint64_t handle);
/* The function at @index, with a reference. */
struct soft_function *soft_module_function(struct soft_module *m, size_t index);
/* Address and size of a variable, `managed`: of one that the host reaches, too; NOT_FOUND. */
CUresult soft_module_variable(struct soft_module *m, const char *name, bool managed, CUdeviceptr *dptr, size_t *bytes);

/*
 * The function behind a CUfunction, or behind a CUkernel in @ctx (instantiated there if need be), with a reference.
 * INVALID_HANDLE for anything else.
 */
CUresult soft_function_of(CUfunction handle, struct soft_context *ctx, struct soft_function **out);
/* The same for a kernel object. */
CUresult soft_kernel_function(struct soft_kernel *k, struct soft_context *ctx, struct soft_function **out);

CUresult soft_attribute_get(const struct ptx_entry *e, struct soft_settings *s, CUfunction_attribute which, int *value);
/* Blocks of @threads threads that a multiprocessor holds at once, with @dynamic bytes of shared memory each. */
int soft_blocks_per_sm(const struct ptx_entry *e, unsigned threads, uint64_t dynamic);

#endif
