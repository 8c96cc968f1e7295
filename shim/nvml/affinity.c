/* SPDX-License-Identifier: MIT */
/*
 * Which processors are near a device. The device's host is another machine, or hidden behind one: from here all
 * processors are equally near. No state; any thread.
 */
#include <string.h>
#include <unistd.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define SCOPE_MOST 1u	/* node 0, socket 1 */
#define WORD_BITS (8 * sizeof(unsigned long))

nvmlReturn_t nvmlDeviceGetCpuAffinityWithinScope(nvmlDevice_t device, unsigned int words, unsigned long *set,
						 unsigned int scope)
{
	long processors = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t index;
	size_t i;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!words || !set || scope > SCOPE_MOST || !nvml_device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	memset(set, 0, words * sizeof(*set));
	for (i = 0; i < (size_t)processors && i < words * WORD_BITS; i++)
		set[i / WORD_BITS] |= 1ul << i % WORD_BITS;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int words, unsigned long *set)
{
	return nvmlDeviceGetCpuAffinityWithinScope(device, words, set, 0);
}
