/* SPDX-License-Identifier: MIT */
/*
 * Sets of events. The monitor has a set of the driver's for each of them, under a number; it never waits in it, since
 * other threads ask other things meanwhile. The wait is here: look, sleep for a share of the time waited so far, look
 * again. A set is the caller's from create to free; any thread may wait in it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vgpu/clock.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define NAP_LEAST_NS	1000000ull
#define NAP_MOST_NS	50000000ull
#define NAP_SHARE	20u		/* of the time waited */
#define EVENT_V1_BYTES	24u

struct nvmlEventSet_st {
	struct nvmlEventSet_st *self;	/* a set that is alive points to itself */
	unsigned int number;		/* at the monitor */
};

static nvmlReturn_t check(nvmlEventSet_t set)
{
	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	return set && set->self == set ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
	struct nvmlEventSet_st *s;
	nvmlReturn_t r;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!set)
		return NVML_ERROR_INVALID_ARGUMENT;
	s = malloc(sizeof(*s));
	if (!s)
		return NVML_ERROR_MEMORY;
	s->self = s;
	r = vgpu_nvml_event_set_create(&s->number);
	if (r)
		free(s);
	else
		*set = s;
	return r;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
	nvmlReturn_t r = check(set);

	if (r)
		return r;
	r = vgpu_nvml_event_set_free(set->number);
	set->self = NULL;
	free(set);
	return r;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
	nvmlReturn_t r = check(set);

	return r ? r : vgpu_nvml_event_register(device, types, set->number);
}

static void nap(uint64_t waited, uint64_t left)
{
	uint64_t ns = waited / NAP_SHARE;
	struct timespec t = { 0 };

	ns = ns < NAP_LEAST_NS ? NAP_LEAST_NS : ns > NAP_MOST_NS ? NAP_MOST_NS : ns;
	t.tv_nsec = (long)(ns < left ? ns : left);
	nanosleep(&t, NULL);
}

/* `bytes`: what the caller has room for. */
static nvmlReturn_t await(nvmlEventSet_t set, void *data, size_t bytes, unsigned int milliseconds)
{
	uint64_t start, past = 0, most = (uint64_t)milliseconds * 1000000;
	nvmlReturn_t r = check(set);
	nvmlEventData_t event;

	if (!r && !data)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (r)
		return r;
	start = vgpu_clock_ns();
	r = vgpu_nvml_event_wait(set->number, &event);
	while (r == NVML_ERROR_TIMEOUT && past < most) {
		nap(past, most - past);
		r = vgpu_nvml_event_wait(set->number, &event);
		past = vgpu_clock_ns() - start;
	}
	if (r)
		return r;
	event.device = nvml_device_handle((uint32_t)(uintptr_t)event.device);
	memcpy(data, &event, bytes);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, void *data, unsigned int milliseconds)
{
	return await(set, data, sizeof(nvmlEventData_t), milliseconds);
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, void *data, unsigned int milliseconds)
{
	return await(set, data, EVENT_V1_BYTES, milliseconds);
}
