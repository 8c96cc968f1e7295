/* SPDX-License-Identifier: MIT */
/*
 * What a guest has none of: units (racks of devices), host interface cards, devices excluded from use, instances of
 * devices. That there are none is the answer, as on most hosts. No state; any thread.
 */
#include "nvml/call.h"
#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

static nvmlReturn_t none(unsigned int *count)
{
	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!count)
		return NVML_ERROR_INVALID_ARGUMENT;
	*count = 0;
	return NVML_SUCCESS;
}

/* Of things that are counted from 0 and are none. */
static nvmlReturn_t no_such(nvmlReturn_t error)
{
	return nvml_initialised() ? error : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t nvml_wrong(const char *name)
{
	(void)name;
	return no_such(NVML_ERROR_INVALID_ARGUMENT);
}

nvmlReturn_t nvml_missing(unsigned int id)
{
	return no_such(id ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT);
}

nvmlReturn_t nvmlUnitGetCount(unsigned int *count)
{
	return none(count);
}

nvmlReturn_t nvmlUnitGetHandleByIndex(unsigned int index, void *unit)
{
	(void)index, (void)unit;
	return no_such(NVML_ERROR_INVALID_ARGUMENT);
}

nvmlReturn_t nvmlSystemGetHicVersion(unsigned int *count, void *cards)
{
	(void)cards;
	return none(count);
}

nvmlReturn_t nvmlGetExcludedDeviceCount(unsigned int *count)
{
	return none(count);
}

nvmlReturn_t nvmlGetExcludedDeviceInfoByIndex(unsigned int index, void *info)
{
	(void)index, (void)info;
	return no_such(NVML_ERROR_INVALID_ARGUMENT);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
{
	uint32_t index;

	if (!nvml_device_index(device, &index))
		return no_such(NVML_ERROR_INVALID_ARGUMENT);
	return none(count);
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int at, nvmlDevice_t *instance)
{
	uint32_t index;

	(void)at, (void)instance;
	return no_such(nvml_device_index(device, &index) ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT);
}
