/* SPDX-License-Identifier: MIT */
/*
 * Sets of events, by number: those of the driver's library, which nobody ever waits in (a guest looks again), and over
 * them what a VM may hear. Clocks, power, ECC and errors of the device itself are the device's and told to all who
 * share it. An Xid that a program causes tells that some program failed: no VM hears of another's. The worker's only
 * thread.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

#define SETS_MOST 64u	/* of one guest process */

static struct {
	nvmlReturn_t (*create)(nvmlEventSet_t *set);
	nvmlReturn_t (*free)(nvmlEventSet_t set);
	nvmlReturn_t (*add)(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set);
	nvmlReturn_t (*wait)(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int milliseconds);
} driver;

static nvmlEventSet_t sets[SETS_MOST];	/* NULL: free */

/* ---- the driver's ---- */

static nvmlEventSet_t numbered(unsigned int set)
{
	return set < SETS_MOST ? sets[set] : NULL;
}

static nvmlReturn_t set_create(unsigned int *set)
{
	for (*set = 0; *set < SETS_MOST; ++*set)
		if (!sets[*set])
			return driver.create(&sets[*set]);
	return NVML_ERROR_INSUFFICIENT_RESOURCES;
}

static nvmlReturn_t set_free(unsigned int set)
{
	nvmlEventSet_t s = numbered(set);

	if (!s)
		return NVML_ERROR_INVALID_ARGUMENT;
	sets[set] = NULL;
	return driver.free(s);
}

static nvmlReturn_t set_add(nvmlDevice_t device, unsigned long long types, unsigned int set)
{
	nvmlEventSet_t s = numbered(set);

	return s ? driver.add(device, types, s) : NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t set_look(unsigned int set, void *event)
{
	nvmlEventSet_t s = numbered(set);

	return s ? driver.wait(s, event, 0) : NVML_ERROR_INVALID_ARGUMENT;
}

static void fill(struct vgpu_nvml *table)
{
	table->event_set_create = set_create;
	table->event_set_free = set_free;
	table->event_register = set_add;
	table->event_wait = set_look;
}

void vgpu_nvml_driver_events(struct vgpu_nvml *table, void *lib)
{
	if (vgpu_nvml_symbol(lib, "nvmlEventSetCreate", &driver.create) &&
	    vgpu_nvml_symbol(lib, "nvmlEventSetFree", &driver.free) &&
	    vgpu_nvml_symbol(lib, "nvmlDeviceRegisterEvents", &driver.add) &&
	    vgpu_nvml_symbol(lib, "nvmlEventSetWait_v2", &driver.wait))
		fill(table);
}

/* ---- the soft device's: there are none to register, so nothing comes ---- */

static nvmlReturn_t soft_create(nvmlEventSet_t *set)
{
	*set = malloc(1);
	return *set ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

static nvmlReturn_t soft_free(nvmlEventSet_t set)
{
	free(set);
	return NVML_SUCCESS;
}

static nvmlReturn_t soft_add(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
	(void)set;
	return device && !types ? NVML_SUCCESS : device ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t soft_wait(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int milliseconds)
{
	(void)set, (void)data, (void)milliseconds;
	return NVML_ERROR_TIMEOUT;
}

static nvmlReturn_t soft_types(nvmlDevice_t device, unsigned long long *types)
{
	*types = 0;
	return device ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

void vgpu_nvml_soft_events(struct vgpu_nvml *table)
{
	driver.create = soft_create;
	driver.free = soft_free;
	driver.add = soft_add;
	driver.wait = soft_wait;
	table->nvmlDeviceGetSupportedEventTypes = soft_types;
	fill(table);
}

/* ---- the VM's view ---- */

static struct vgpu_monitor *monitor;

/*
 * NVIDIA's list of Xids names these as what a program may cause: exceptions of its kernels, faults of its addresses,
 * and the end of its channels.
 */
static bool of_a_program(const nvmlEventData_t *e)
{
	static const unsigned char xids[] = { 8, 13, 31, 32, 43, 45, 68, 69, 109 };

	return e->eventType == NVML_EVENT_XID && e->eventData <= UINT8_MAX &&
	       memchr(xids, (int)e->eventData, sizeof(xids));
}

/* The device as the guest counts; false for one that it does not have. */
static bool name_device(nvmlEventData_t *e)
{
	for (uint32_t i = 0; i < monitor->count; i++)
		if (monitor->devices[i] == e->device) {
			e->device = (nvmlDevice_t)(uintptr_t)i;
			return true;
		}
	return false;
}

static nvmlReturn_t view_wait(unsigned int set, void *event)
{
	nvmlReturn_t r;

	do
		r = monitor->backend.event_wait(set, event);
	while (!r && (of_a_program(event) || !name_device(event)));
	return r;
}

void vgpu_nvml_view_events(struct vgpu_monitor *m)
{
	monitor = m;
	if (m->table.event_wait)
		m->table.event_wait = view_wait;
}
