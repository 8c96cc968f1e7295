/* SPDX-License-Identifier: MIT */
/*
 * Processes in the forms of NVML that a plain list does not carry: their share of the load, and structs that point to
 * the caller's own arrays. The facts come from the monitor's lists. No state; any thread.
 */
#include <stddef.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define MODES		3u	/* processes that compute, draw, go through MPS */
#define MOST		64u	/* as many as a monitor tells of */

struct utilization {
	unsigned long long time;
	unsigned int pid, sm, memory, encoder, decoder, jpeg, flow;
};

struct utilizations {
	unsigned int version, count;
	unsigned long long since;
	struct utilization *items;
};

struct detail {
	unsigned int pid;
	unsigned long long used;
	unsigned int instance, compute_instance;
	unsigned long long protected;
};

struct details {
	unsigned int version, mode, count;
	struct detail *items;
};

_Static_assert(sizeof(struct utilization) == 40 && sizeof(struct utilizations) == 24, "as NVML has it");
_Static_assert(sizeof(struct detail) == 32 && sizeof(struct details) == 24, "as NVML has it");

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples,
					     unsigned int *count, unsigned long long since)
{
	nvmlReturn_t r;

	if (!count)
		return nvml_initialised() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
	/* Without a place for samples the question is how many there are. */
	if (!samples)
		*count = 0;
	r = vgpu_nvml_process_utilization(device, since, count, samples);
	return !r && !*count ? NVML_ERROR_NOT_FOUND : r;
}

/* A struct of one version, which opens with its word. */
static nvmlReturn_t check(nvmlDevice_t device, const unsigned int *version, size_t bytes)
{
	uint32_t index;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!version || !nvml_device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	return *version == NVML_STRUCT_WORD(bytes, 1) ? NVML_SUCCESS : NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device, void *info)
{
	nvmlProcessUtilizationSample_t found[MOST];
	struct utilizations *to = info;
	nvmlReturn_t r = check(device, info, sizeof(*to));
	unsigned int n, room;

	if (r)
		return r;
	room = to->items ? to->count : 0;
	n = room < MOST ? room : MOST;
	r = nvmlDeviceGetProcessUtilization(device, n ? found : NULL, &n, to->since);
	if (!r || r == NVML_ERROR_INSUFFICIENT_SIZE)
		to->count = n;
	for (unsigned int i = 0; !r && i < n; i++)
		to->items[i] = (struct utilization){
			.time = found[i].timeStamp, .pid = found[i].pid, .sm = found[i].smUtil, .memory = found[i].memUtil,
			.encoder = found[i].encUtil, .decoder = found[i].decUtil,
		};
	return r;
}

nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, void *list)
{
	static nvmlReturn_t (*const of_mode[MODES])(nvmlDevice_t, unsigned int *, void *) = {
		nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetGraphicsRunningProcesses_v3,
		nvmlDeviceGetMPSComputeRunningProcesses_v3,
	};
	nvmlProcessInfo_t found[MOST];
	struct details *to = list;
	nvmlReturn_t r = check(device, list, sizeof(*to));
	unsigned int n;

	if (r)
		return r;
	if (to->mode >= MODES)
		return NVML_ERROR_INVALID_ARGUMENT;
	n = !to->items ? 0 : to->count < MOST ? to->count : MOST;
	r = of_mode[to->mode](device, &n, found);
	if (!r || r == NVML_ERROR_INSUFFICIENT_SIZE)
		to->count = n;
	for (unsigned int i = 0; !r && i < n; i++)
		to->items[i] = (struct detail){
			.pid = found[i].pid, .used = found[i].usedGpuMemory, .instance = found[i].gpuInstanceId,
			.compute_instance = found[i].computeInstanceId,
		};
	return r;
}
