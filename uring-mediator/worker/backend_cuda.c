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

#define DRIVER_LEAST 11070	/* cuStreamWriteValue64_v2: the fences */

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

/* What nothing works without, and the worker calls without asking. */
static const char *missing(void)
{
	static const struct {
		const char *name;
		size_t offset;
	} needed[] = {
#define NEEDED(name) { #name, offsetof(struct vgpu_driver, name) }
		NEEDED(cuInit), NEEDED(cuDriverGetVersion), NEEDED(cuDeviceGetCount), NEEDED(cuDeviceGetName),
		NEEDED(cuDeviceTotalMem_v2), NEEDED(cuDeviceGetAttribute), NEEDED(cuDevicePrimaryCtxRetain),
		NEEDED(cuCtxSetCurrent), NEEDED(cuMemAlloc_v2), NEEDED(cuMemFree_v2), NEEDED(cuMemHostRegister_v2),
		NEEDED(cuMemHostUnregister), NEEDED(cuStreamCreate), NEEDED(cuStreamQuery),
		NEEDED(cuStreamWriteValue64_v2),
#undef NEEDED
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		void *fn;

		memcpy(&fn, (char *)&table + needed[i].offset, sizeof(fn));
		if (!fn)
			return needed[i].name;
	}
	return NULL;
}

/* A driver that is too old lacks functions, too: that it is old is the better thing to say. */
static bool usable(char *why, size_t size)
{
	const char *name = missing();
	int version = 0;

	if (table.cuDriverGetVersion && !table.cuDriverGetVersion(&version) && version < DRIVER_LEAST)
		snprintf(why, size, "the NVIDIA driver is too old: it is for CUDA %d.%d, and %d.%d is the oldest that will do",
			 version / 1000, version % 1000 / 10, DRIVER_LEAST / 1000, DRIVER_LEAST % 1000 / 10);
	else if (name)
		snprintf(why, size, "libcuda.so.1 has no %s: is it a driver?", name);
	else
		return true;
	return false;
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
	if (usable(why, size))
		return &table;
	dlclose(lib);
	return NULL;
}
