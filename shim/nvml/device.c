/* SPDX-License-Identifier: MIT */
/* From indices, UUIDs, bus ids and serial numbers to handles of devices, see device.h. */
#include "nvml/device.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "nvml/call.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define UUID_TEXT 96

/* Only the addresses count. */
static uint8_t handles[NVML_DEVICES];

bool nvml_device_index(nvmlDevice_t device, uint32_t *index)
{
	uintptr_t at = (uintptr_t)device - (uintptr_t)handles;

	if (at >= NVML_DEVICES)
		return false;
	*index = (uint32_t)at;
	return true;
}

nvmlDevice_t nvml_device_handle(uint32_t index)
{
	return (nvmlDevice_t)(void *)&handles[index < NVML_DEVICES ? index : 0];
}

static nvmlReturn_t device_count(unsigned int *count)
{
	nvmlReturn_t r = nvmlDeviceGetCount_v2(count);

	if (!r && *count > NVML_DEVICES)
		*count = NVML_DEVICES;
	return r;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
	unsigned int count;
	nvmlReturn_t r = device_count(&count);

	if (r)
		return r;
	if (!device || index >= count)
		return NVML_ERROR_INVALID_ARGUMENT;
	*device = nvml_device_handle(index);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
	return nvmlDeviceGetHandleByIndex_v2(index, device);
}

typedef bool (*device_test)(nvmlDevice_t device, const char *text);

static nvmlReturn_t find(device_test is, const char *text, nvmlDevice_t *device)
{
	unsigned int count, i;
	nvmlReturn_t r = device_count(&count);

	if (r)
		return r;
	if (!text || !device)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (i = 0; i < count && !is(nvml_device_handle(i), text); i++)
		;
	if (i == count)
		return NVML_ERROR_NOT_FOUND;
	*device = nvml_device_handle(i);
	return NVML_SUCCESS;
}

static bool has_uuid(nvmlDevice_t device, const char *text)
{
	char uuid[UUID_TEXT];

	return !nvmlDeviceGetUUID(device, uuid, sizeof(uuid)) && !strcasecmp(uuid, text);
}

static bool has_serial(nvmlDevice_t device, const char *text)
{
	char serial[UUID_TEXT];

	return !nvmlDeviceGetSerial(device, serial, sizeof(serial)) && !strcmp(serial, text);
}

/* "[DOMAIN:]BUS:DEVICE[.0]", hexadecimal. */
static bool has_bus_id(nvmlDevice_t device, const char *text)
{
	unsigned int domain = 0, bus, slot;
	nvmlPciInfo_t pci;

	if (sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3) {
		domain = 0;
		if (sscanf(text, "%x:%x", &bus, &slot) != 2)
			return false;
	}
	return !nvmlDeviceGetPciInfo_v3(device, &pci) && pci.domain == domain && pci.bus == bus && pci.device == slot;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
	return find(has_uuid, uuid, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUIDV(const void *uuid, nvmlDevice_t *device)
{
	nvmlUUID_t u;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!uuid)
		return NVML_ERROR_INVALID_ARGUMENT;
	memcpy(&u, uuid, sizeof(u.version) + sizeof(u.type));
	if (u.version != NVML_STRUCT_WORD(sizeof(u), 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	memcpy(&u, uuid, sizeof(u));
	u.bytes[sizeof(u.bytes) - 1] = 0;
	if (u.type != NVML_UUID_TYPE_ASCII)
		return NVML_ERROR_INVALID_ARGUMENT;
	return find(has_uuid, (const char *)u.bytes, device);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device)
{
	return find(has_bus_id, bus_id, device);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvmlDevice_t *device)
{
	return find(has_bus_id, bus_id, device);
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device)
{
	return find(has_serial, serial, device);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
	uint32_t at;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!index || !nvml_device_index(device, &at))
		return NVML_ERROR_INVALID_ARGUMENT;
	*index = at;
	return NVML_SUCCESS;
}

/* Instances are not handed out, so no handle is one's. */
nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_mig)
{
	nvmlReturn_t r = nvmlDeviceGetIndex(device, is_mig);

	if (!r)
		*is_mig = 0;
	return r;
}

nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t device, nvmlDevice_t peer, int *same)
{
	unsigned int one, other;
	nvmlReturn_t r;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!same)
		return NVML_ERROR_INVALID_ARGUMENT;
	r = nvmlDeviceGetBoardId(device, &one);
	if (!r)
		r = nvmlDeviceGetBoardId(peer, &other);
	if (!r)
		*same = one == other;
	return r;
}

/* Counters are of all who share the device: none is a guest's to clear, which each value says for itself. */
nvmlReturn_t nvmlDeviceClearFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
	uint32_t index;
	int i;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (count <= 0 || !values || !nvml_device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	for (i = 0; i < count; i++)
		values[i].nvmlReturn = NVML_ERROR_NO_PERMISSION;
	return NVML_SUCCESS;
}
