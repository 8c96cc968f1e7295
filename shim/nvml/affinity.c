/* SPDX-License-Identifier: MIT */
/*
 * Which processors and memory nodes are near a device. The device's host is another machine, or hidden behind one:
 * from here all are equally near. No state; any thread.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define SCOPE_MOST 1u	/* node 0, socket 1 */
#define WORD_BITS (8 * sizeof(unsigned long))

static nvmlReturn_t first_bits(nvmlDevice_t device, size_t bits, unsigned int words, unsigned long *set,
			       unsigned int scope)
{
	uint32_t index;
	size_t i;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!words || !set || scope > SCOPE_MOST || !nvml_device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	memset(set, 0, words * sizeof(*set));
	for (i = 0; i < bits && i < words * WORD_BITS; i++)
		set[i / WORD_BITS] |= 1ul << i % WORD_BITS;
	return NVML_SUCCESS;
}

static size_t processors(void)
{
	return (size_t)sysconf(_SC_NPROCESSORS_CONF);
}

/* The kernel numbers nodes from 0; one that was built without them has one. */
static size_t memory_nodes(void)
{
	char path[64];
	size_t n = 0;

	do
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%zu", ++n);
	while (!access(path, F_OK));
	return n;
}

nvmlReturn_t nvmlDeviceGetCpuAffinityWithinScope(nvmlDevice_t device, unsigned int words, unsigned long *set,
						 unsigned int scope)
{
	return first_bits(device, processors(), words, set, scope);
}

nvmlReturn_t nvmlDeviceGetMemoryAffinity(nvmlDevice_t device, unsigned int words, unsigned long *set,
					 unsigned int scope)
{
	return first_bits(device, memory_nodes(), words, set, scope);
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int words, unsigned long *set)
{
	return nvmlDeviceGetCpuAffinityWithinScope(device, words, set, 0);
}

/* The calling thread may run on the processors near the device: on all. */
nvmlReturn_t nvmlDeviceSetCpuAffinity(nvmlDevice_t device)
{
	unsigned long set[CPU_SETSIZE / WORD_BITS];
	nvmlReturn_t r = nvmlDeviceGetCpuAffinity(device, sizeof(set) / sizeof(set[0]), set);

	if (r)
		return r;
	return sched_setaffinity(0, sizeof(set), (const cpu_set_t *)set) < 0 ? NVML_ERROR_UNKNOWN : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceClearCpuAffinity(nvmlDevice_t device)
{
	return nvmlDeviceSetCpuAffinity(device);
}
