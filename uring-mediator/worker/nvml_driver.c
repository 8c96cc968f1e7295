/* SPDX-License-Identifier: MIT */
/*
 * The NVIDIA driver's libnvidia-ml.so.1, opened at run time (nothing links it), as a table.  What it lacks stays NULL.
 * Called once by a monitor's only thread; the library stays open until the process ends.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vgpu/identity.h>

#include "monitor.h"

/* The mediator was started with the guest's library path: without this a monitor would wait for a monitor. */
static bool is_guest_library(void *lib)
{
	return dlsym(lib, VGPU_IDENTITY_NVML);
}

bool vgpu_nvml_symbol(void *lib, const char *name, void *to)
{
	void *fn = dlsym(lib, name);

	memcpy(to, &fn, sizeof(fn));
	return fn;
}

static nvmlReturn_t (*process_samples)(nvmlDevice_t, nvmlProcessUtilizationSample_t *, unsigned int *,
				       unsigned long long);

static nvmlReturn_t process_utilization(nvmlDevice_t device, unsigned long long since, unsigned int *count,
					void *samples)
{
	return process_samples(device, samples, count, since);
}

static void fill(struct vgpu_nvml *table, void *lib)
{
	memset(table, 0, sizeof(*table));
	for (size_t i = 0; i < NVML_ROWS; i++)
		if (nvml_rows[i].symbol)
			vgpu_nvml_symbol(lib, nvml_rows[i].symbol, (char *)table + nvml_rows[i].offset);
	if (vgpu_nvml_symbol(lib, "nvmlDeviceGetProcessUtilization", &process_samples))
		table->process_utilization = process_utilization;
	vgpu_nvml_driver_events(table, lib);
	vgpu_nvml_driver_gpm(table, lib);
}

static int start(const struct vgpu_nvml *table, void *lib, nvmlDevice_t *devices, uint32_t most, char *why, size_t size)
{
	nvmlReturn_t (*init)(void) = (nvmlReturn_t (*)(void))(uintptr_t)dlsym(lib, "nvmlInit_v2");
	nvmlReturn_t (*by_index)(unsigned int, nvmlDevice_t *) =
		(nvmlReturn_t (*)(unsigned int, nvmlDevice_t *))(uintptr_t)dlsym(lib, "nvmlDeviceGetHandleByIndex_v2");
	unsigned int count = 0, kept = 0;
	nvmlReturn_t r;

	if (!init || !by_index || !table->nvmlDeviceGetCount_v2) {
		snprintf(why, size, "libnvidia-ml.so.1 lacks functions: is it a driver's?");
		return -ENODEV;
	}
	r = init();
	if (!r)
		r = table->nvmlDeviceGetCount_v2(&count);
	for (unsigned int i = 0; !r && i < count && kept < most; i++)
		kept += !by_index(i, &devices[kept]);
	if (kept)
		return (int)kept;
	snprintf(why, size, "NVML has no device (error %d)", r);
	return -ENODEV;
}

int vgpu_nvml_driver(struct vgpu_nvml *table, nvmlDevice_t *devices, uint32_t most, char *why, size_t size)
{
	void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	int n;

	if (!lib) {
		snprintf(why, size, "no NVML on this host: %s", dlerror());
		return -ENODEV;
	}
	if (is_guest_library(lib)) {
		snprintf(why, size, "libnvidia-ml.so.1 is the guest library of vgpu here, not a driver's: start the "
			 "mediator without it on LD_LIBRARY_PATH");
		dlclose(lib);
		return -ENODEV;
	}
	fill(table, lib);
	n = start(table, lib, devices, most, why, size);
	if (n < 0)
		dlclose(lib);
	return n;
}
