/* SPDX-License-Identifier: MIT */
/* Which devices are near a processor or each other, of those that this machine has. No state; any thread. */
#include <unistd.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

typedef bool (*device_test)(nvmlDevice_t device, nvmlDevice_t near, unsigned int level);

/* As many as there is room for; the count of all comes back. Without room, only the count is asked for. */
static nvmlReturn_t collect(device_test is, nvmlDevice_t near, unsigned int level, unsigned int *count,
			    nvmlDevice_t *devices)
{
	unsigned int all, i, found = 0;
	nvmlDevice_t device;
	nvmlReturn_t r;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!count || (*count && !devices))
		return NVML_ERROR_INVALID_ARGUMENT;
	r = nvmlDeviceGetCount_v2(&all);
	for (i = 0; !r && i < all; i++) {
		r = nvmlDeviceGetHandleByIndex_v2(i, &device);
		if (r || !is(device, near, level))
			continue;
		if (found < *count)
			devices[found] = device;
		found++;
	}
	if (!r)
		*count = found;
	return r;
}

/* All processors are equally near, see affinity.c. */
static bool any(nvmlDevice_t device, nvmlDevice_t near, unsigned int level)
{
	(void)device, (void)near, (void)level;
	return true;
}

static bool meets(nvmlDevice_t device, nvmlDevice_t near, unsigned int level)
{
	unsigned int common;

	return device != near && !nvmlDeviceGetTopologyCommonAncestor(device, near, &common) && common == level;
}

nvmlReturn_t nvmlSystemGetTopologyGpuSet(unsigned int processor, unsigned int *count, nvmlDevice_t *devices)
{
	if (processor >= (unsigned int)sysconf(_SC_NPROCESSORS_CONF))
		return nvml_initialised() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
	return collect(any, NULL, 0, count, devices);
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, unsigned int level, unsigned int *count,
					      nvmlDevice_t *devices)
{
	uint32_t index;

	if (!nvml_device_index(device, &index))
		return nvml_initialised() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
	return collect(meets, device, level, count, devices);
}
