/* SPDX-License-Identifier: MIT */
/*
 * Sets of events. No device offers any (they would tell of all who share it), so a set stays empty, and waiting for
 * one of it takes the time that the caller gives. A set is the caller's from create to free.
 */
#include <stdlib.h>
#include <time.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

struct nvmlEventSet_st {
	struct nvmlEventSet_st *self;	/* a set that is alive points to itself */
};

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!set)
		return NVML_ERROR_INVALID_ARGUMENT;
	*set = malloc(sizeof(**set));
	if (!*set)
		return NVML_ERROR_MEMORY;
	(*set)->self = *set;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!set || set->self != set)
		return NVML_ERROR_INVALID_ARGUMENT;
	set->self = NULL;
	free(set);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, void *data, unsigned int milliseconds)
{
	struct timespec nap = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!set || set->self != set || !data)
		return NVML_ERROR_INVALID_ARGUMENT;
	nanosleep(&nap, NULL);
	return NVML_ERROR_TIMEOUT;
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, void *data, unsigned int milliseconds)
{
	return nvmlEventSetWait_v2(set, data, milliseconds);
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *types)
{
	uint32_t index;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!types || !nvml_device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	*types = 0;
	return NVML_SUCCESS;
}
