/* SPDX-License-Identifier: MIT */
/*
 * NVML as a VM may see it: its own processes under their own numbers, and of the memory what its limit leaves.  These
 * functions stand in front of the backend's of the same names.  A monitor serves one session, so there is one view;
 * the worker's only thread.
 */
#include <string.h>
#include <time.h>

#include <vgpu/clock.h>

#include "monitor.h"

#define LOOK_LEAST_NS 20000000ull	/* a shorter time says nothing of the load */
#define LOOK_NS 200000000ull		/* after this, the next load is measured anew */
#define SAMPLES_MOST 512u		/* of all processes of the host, from the driver */
#define ACCOUNTED_MOST 4096u		/* more than a driver keeps */
#define NOBODY UINT32_MAX		/* no process's number */
#define FBC_STATS_BYTES 12u

static struct vgpu_monitor *monitor;

/* ---- memory ---- */

static uint64_t own_memory(void)
{
	struct vgpu_ctl_census census;
	uint64_t sum = 0;

	if (!vgpu_monitor_census(monitor, &census))
		return 0;
	for (uint32_t i = 0; i < census.count; i++)
		sum += census.entries[i].memory_used;
	return sum;
}

/* Where a limit is set, that is the device; where none is, the device is shared and its own numbers are true. */
static void limit_memory(unsigned long long *total, unsigned long long *reserved, unsigned long long *free,
			 unsigned long long *used)
{
	if (!monitor->memory_limit && !monitor->soft)
		return;
	if (monitor->memory_limit && monitor->memory_limit < *total)
		*total = monitor->memory_limit;
	*reserved = 0;
	*used = own_memory();
	if (*used > *total)	/* the limit is of each process */
		*used = *total;
	*free = *total - *used;
}

static nvmlReturn_t view_memory(nvmlDevice_t device, void *memory)
{
	nvmlMemory_t *m = memory;
	unsigned long long reserved = 0;
	nvmlReturn_t r = monitor->backend.nvmlDeviceGetMemoryInfo(device, memory);

	if (!r)
		limit_memory(&m->total, &reserved, &m->free, &m->used);
	return r;
}

static nvmlReturn_t view_memory_v2(nvmlDevice_t device, void *memory)
{
	nvmlMemory_v2_t *m = memory;
	nvmlReturn_t r = monitor->backend.nvmlDeviceGetMemoryInfo_v2(device, memory);

	if (!r)
		limit_memory(&m->total, &m->reserved, &m->free, &m->used);
	return r;
}

/* ---- processes ---- */

static void put_process(void *items, uint32_t at, uint32_t size, const struct vgpu_census_entry *e)
{
	nvmlProcessInfo_t p = {
		.pid = e->guest_pid, .usedGpuMemory = e->memory_used, .gpuInstanceId = NVML_NO_INSTANCE,
		.computeInstanceId = NVML_NO_INSTANCE,
	};

	memcpy((char *)items + (size_t)at * size, &p, size);	/* the first form of the struct is its beginning */
}

static nvmlReturn_t processes(nvmlDevice_t device, unsigned int *count, void *items, uint32_t size)
{
	struct vgpu_ctl_census census;
	unsigned int room;

	if (!device || !count || (*count && !items))
		return NVML_ERROR_INVALID_ARGUMENT;
	if (!vgpu_monitor_census(monitor, &census))
		return NVML_ERROR_UNKNOWN;
	room = *count;
	*count = census.count;
	if (census.count > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	for (uint32_t i = 0; i < census.count; i++)
		put_process(items, i, size, &census.entries[i]);
	return NVML_SUCCESS;
}

static nvmlReturn_t view_processes_v1(nvmlDevice_t device, unsigned int *count, void *items)
{
	return processes(device, count, items, sizeof(nvmlProcessInfo_v1_t));
}

static nvmlReturn_t view_processes(nvmlDevice_t device, unsigned int *count, void *items)
{
	return processes(device, count, items, sizeof(nvmlProcessInfo_t));
}

/* Guests compute: none of their processes draws, encodes, captures frames or goes through MPS. */
static nvmlReturn_t view_none(nvmlDevice_t device, unsigned int *count, void *items)
{
	(void)items;
	if (!device || !count)
		return NVML_ERROR_INVALID_ARGUMENT;
	*count = 0;
	return NVML_SUCCESS;
}

static nvmlReturn_t view_encoder(nvmlDevice_t device, unsigned int *sessions, unsigned int *frames,
				 unsigned int *latency)
{
	nvmlReturn_t r = monitor->backend.nvmlDeviceGetEncoderStats(device, sessions, frames, latency);

	if (!r)
		*sessions = *frames = *latency = 0;
	return r;
}

static nvmlReturn_t view_capture(nvmlDevice_t device, void *stats)
{
	nvmlReturn_t r = monitor->backend.nvmlDeviceGetFBCStats(device, stats);

	if (!r)
		memset(stats, 0, FBC_STATS_BYTES);
	return r;
}

/* ---- accounting: of processes of this VM, as long as they live ---- */

static const struct vgpu_census_entry *with_worker(const struct vgpu_ctl_census *census, uint32_t pid)
{
	for (uint32_t i = 0; i < census->count; i++)
		if (census->entries[i].worker_pid == pid)
			return &census->entries[i];
	return NULL;
}

static nvmlReturn_t view_accounted(nvmlDevice_t device, unsigned int *count, unsigned int *pids)
{
	unsigned int all[ACCOUNTED_MOST], n = ACCOUNTED_MOST, kept = 0;
	nvmlReturn_t r = monitor->backend.nvmlDeviceGetAccountingPids(device, count ? &n : NULL, all);
	struct vgpu_ctl_census census;

	if (r)
		return r;
	if (!vgpu_monitor_census(monitor, &census))
		return NVML_ERROR_UNKNOWN;
	for (unsigned int i = 0; i < n; i++) {
		const struct vgpu_census_entry *e = with_worker(&census, all[i]);

		if (e && kept < *count && pids)
			pids[kept] = e->guest_pid;
		kept += e != NULL;
	}
	r = kept > *count ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
	*count = kept;
	return r;
}

static nvmlReturn_t view_account(nvmlDevice_t device, unsigned int pid, void *stats)
{
	struct vgpu_ctl_census census;

	if (!vgpu_monitor_census(monitor, &census))
		return NVML_ERROR_UNKNOWN;
	for (uint32_t i = 0; i < census.count; i++)
		if (census.entries[i].guest_pid == pid)
			return monitor->backend.nvmlDeviceGetAccountingStats(device, census.entries[i].worker_pid, stats);
	return monitor->backend.nvmlDeviceGetAccountingStats(device, NOBODY, stats);
}

/* ---- load ---- */

/* Of the soft device: the time that each process had work, between two looks. */
struct look {
	uint64_t ns;
	struct vgpu_ctl_census census;
};

static struct look last;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

/* Busy time of that process at the last look; for one that is new since, what says that it was idle until now. */
static uint64_t busy_before(const struct vgpu_census_entry *e)
{
	for (uint32_t i = 0; i < last.census.count; i++)
		if (last.census.entries[i].worker_pid == e->worker_pid)
			return last.census.entries[i].busy_ns;
	return 0;
}

/* The share of the time since the last look that each process had work, in percent, as many as `census` has. */
static bool loads(struct vgpu_ctl_census *census, unsigned int percent[VGPU_CENSUS_MOST])
{
	uint64_t ns = vgpu_clock_ns(), past = ns - last.ns;
	struct timespec nap = { 0, (long)(LOOK_LEAST_NS - past) };

	if (past < LOOK_LEAST_NS) {
		nanosleep(&nap, NULL);
		ns = vgpu_clock_ns();
		past = ns - last.ns;
	}
	if (!vgpu_monitor_census(monitor, census))
		return false;
	for (uint32_t i = 0; i < census->count; i++) {
		uint64_t worked = census->entries[i].busy_ns - busy_before(&census->entries[i]);

		percent[i] = worked >= past ? 100 : (unsigned int)(worked * 100 / past);
	}
	if (past >= LOOK_NS)
		last = (struct look){ .ns = ns, .census = *census };
	return true;
}

static nvmlReturn_t soft_utilization(nvmlDevice_t device, void *utilization)
{
	nvmlUtilization_t *u = utilization;
	unsigned int percent[VGPU_CENSUS_MOST], sum = 0;
	struct vgpu_ctl_census census;

	if (!device)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (!loads(&census, percent))
		return NVML_ERROR_UNKNOWN;
	for (uint32_t i = 0; i < census.count; i++)
		sum += percent[i];
	u->gpu = sum < 100 ? sum : 100;
	return NVML_SUCCESS;
}

static nvmlReturn_t soft_process_utilization(nvmlDevice_t device, unsigned long long since, unsigned int *count,
					     void *samples)
{
	nvmlProcessUtilizationSample_t *to = samples;
	unsigned int percent[VGPU_CENSUS_MOST], room = *count;
	struct vgpu_ctl_census census;

	(void)since;	/* there is one sample of each, and it is of now */
	if (!device)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (!loads(&census, percent))
		return NVML_ERROR_UNKNOWN;
	*count = census.count;
	if (census.count > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	for (uint32_t i = 0; i < census.count; i++)
		to[i] = (nvmlProcessUtilizationSample_t){
			.pid = census.entries[i].guest_pid, .timeStamp = now_us(), .smUtil = percent[i],
		};
	return NVML_SUCCESS;
}

/* The driver names processes of the host: keep this VM's workers, under the names that their guests have. */
static nvmlReturn_t view_process_utilization(nvmlDevice_t device, unsigned long long since, unsigned int *count,
					     void *samples)
{
	nvmlProcessUtilizationSample_t all[SAMPLES_MOST], *to = samples;
	unsigned int n = SAMPLES_MOST, kept = 0, room = *count;
	struct vgpu_ctl_census census;
	nvmlReturn_t r = monitor->backend.process_utilization(device, since, &n, all);

	if (r)
		return r;
	if (!vgpu_monitor_census(monitor, &census))
		return NVML_ERROR_UNKNOWN;
	for (unsigned int i = 0; i < n; i++)
		for (uint32_t j = 0; j < census.count; j++) {
			if (census.entries[j].worker_pid != all[i].pid)
				continue;
			if (kept < room) {
				to[kept] = all[i];
				to[kept].pid = census.entries[j].guest_pid;
			}
			kept++;
		}
	*count = kept;
	return kept > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

/* ---- all of it ---- */

static nvmlReturn_t view_count(unsigned int *count)
{
	if (!count)
		return NVML_ERROR_INVALID_ARGUMENT;
	*count = monitor->count;
	return NVML_SUCCESS;
}

static void view_sessions(struct vgpu_nvml *t)
{
	t->nvmlDeviceGetComputeRunningProcesses = view_processes_v1;
	t->nvmlDeviceGetComputeRunningProcesses_v2 = view_processes;
	t->nvmlDeviceGetComputeRunningProcesses_v3 = view_processes;
	t->nvmlDeviceGetGraphicsRunningProcesses = view_none;
	t->nvmlDeviceGetGraphicsRunningProcesses_v2 = view_none;
	t->nvmlDeviceGetGraphicsRunningProcesses_v3 = view_none;
	t->nvmlDeviceGetMPSComputeRunningProcesses = view_none;
	t->nvmlDeviceGetMPSComputeRunningProcesses_v2 = view_none;
	t->nvmlDeviceGetMPSComputeRunningProcesses_v3 = view_none;
	t->process_utilization = t->process_utilization ? view_process_utilization : NULL;
	t->nvmlDeviceGetEncoderStats = t->nvmlDeviceGetEncoderStats ? view_encoder : NULL;
	t->nvmlDeviceGetEncoderSessions = t->nvmlDeviceGetEncoderSessions ? view_none : NULL;
	t->nvmlDeviceGetFBCStats = t->nvmlDeviceGetFBCStats ? view_capture : NULL;
	t->nvmlDeviceGetFBCSessions = t->nvmlDeviceGetFBCSessions ? view_none : NULL;
	t->nvmlDeviceGetAccountingPids = t->nvmlDeviceGetAccountingPids ? view_accounted : NULL;
	t->nvmlDeviceGetAccountingStats = t->nvmlDeviceGetAccountingStats ? view_account : NULL;
}

void vgpu_nvml_view(struct vgpu_monitor *m)
{
	struct vgpu_nvml *t = &m->table;

	monitor = m;
	*t = m->backend;
	t->nvmlDeviceGetCount_v2 = view_count;
	t->nvmlDeviceGetMemoryInfo = view_memory;
	t->nvmlDeviceGetMemoryInfo_v2 = t->nvmlDeviceGetMemoryInfo_v2 ? view_memory_v2 : NULL;
	view_sessions(t);
	vgpu_nvml_view_events(m);
	if (!m->soft)
		return;
	t->nvmlDeviceGetUtilizationRates = soft_utilization;
	t->process_utilization = soft_process_utilization;
	last.ns = vgpu_clock_ns();
}
