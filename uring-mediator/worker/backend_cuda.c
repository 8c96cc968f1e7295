/* SPDX-License-Identifier: MIT */
/*
 * The cuda backend: libcuda.so.1 opened at run time (nothing links it), every slot of the driver table resolved by
 * cuGetProcAddress with the version that the description names, else by the exported symbol.  A slot that the driver
 * lacks stays NULL.  Called once by the worker's only thread; the library stays open until the process ends.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <gen/driver_table.h>
#include <vgpu/identity.h>

#include "device.h"

typedef CUresult (*proc_address)(const char *symbol, void **fn, int version, cuuint64_t flags,
				 CUdriverProcAddressQueryResult *status);

static struct vgpu_driver table;

/*
 * cuGetProcAddress gives the newest form not above the version, which can be a later one than the slot's type (the
 * name has no suffix there), so the exported symbol with its suffix is asked first where there is one.
 */
static void *resolve(void *lib, proc_address get, const struct vgpu_driver_slot *slot)
{
	void *fn = dlsym(lib, slot->symbol);

	if (!fn && get && get(slot->base, &fn, slot->since, CU_GET_PROC_ADDRESS_LEGACY_STREAM, NULL))
		fn = NULL;
	return fn;
}

/* The mediator was started with the guest's library path: without this a worker would wait for a worker. */
static bool is_guest_library(void *lib)
{
	typedef CUresult (*export_table)(const void **table, const CUuuid *id);
	static const CUuuid ours = VGPU_IDENTITY_TABLE;
	export_table get = (export_table)(uintptr_t)dlsym(lib, "cuGetExportTable");
	const void *found = NULL;

	return get && !get(&found, &ours);
}

const struct vgpu_driver *vgpu_cuda_driver(char *why, size_t size)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	proc_address get;

	if (!lib) {
		snprintf(why, size, "no NVIDIA driver on this host: %s", dlerror());
		return NULL;
	}
	if (is_guest_library(lib)) {
		snprintf(why, size, "libcuda.so.1 is the guest library of vgpu here, not a driver: start the mediator "
			 "without it on LD_LIBRARY_PATH");
		dlclose(lib);
		return NULL;
	}
	get = (proc_address)(uintptr_t)dlsym(lib, "cuGetProcAddress_v2");
	for (size_t i = 0; i < VGPU_DRIVER_SLOTS; i++) {
		void *fn = resolve(lib, get, &vgpu_driver_slots[i]);

		memcpy((char *)&table + vgpu_driver_slots[i].offset, &fn, sizeof(fn));
	}
	if (table.cuInit)
		return &table;
	snprintf(why, size, "libcuda.so.1 has no cuInit");
	dlclose(lib);
	return NULL;
}
