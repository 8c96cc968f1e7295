/* SPDX-License-Identifier: MIT */
/*
 * The table of functions that nvidia-smi asks for, which NVIDIA does not document.  Its identity, what three of its
 * entries do and how a process looks in it are facts that NVIDIA's own stand-in of this library gives
 * (github.com/NVIDIA/k8s-test-infra, pkg/gpu/mocknvml; observed there with driver 580.65.06).  All other entries, and
 * all of them beside a driver of another branch, are not supported and write nothing.  Any thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "nvml/call.h"
#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define TABLE_BYTES	4096u
#define BRANCH		580u
#define AT_DEVICE	81u	/* by its index */
#define AT_PROCESSES	213u	/* three lists: nvidia-smi shows what is in any of them */
#define PROCESS_LISTS	3u
#define PROCESSES_MOST	64u	/* as many as a monitor tells of */
#define ROOM_MOST	65536u	/* a larger count is none */

typedef void (*entry)(void);

union table {
	size_t size;
	entry at[TABLE_BYTES / sizeof(entry)];
};

struct process {
	unsigned int pid;
	unsigned long long used;
	unsigned int instance, compute_instance;
	unsigned long long protected;	/* of used, by confidential computing */
	char name[4096];
};

_Static_assert(sizeof(struct process) == 4128, "as nvidia-smi has it");
_Static_assert(sizeof(union table) == TABLE_BYTES, "entries are words");

/* Its callers try, and do without. */
static nvmlReturn_t unknown(void)
{
	return nvml_initialised() ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_UNINITIALIZED;
}

static nvmlReturn_t unknown_entry(unsigned int at)
{
	vgpu_debug("entry %u of the table of nvmlInternalGetExportTable is not known", at);
	return unknown();
}

/* Entries are told apart by their addresses alone: each has a function of its own, entry_0x001 to entry_0x1ff. */
#define SIXTEEN(each, at) \
	each(at##0) each(at##1) each(at##2) each(at##3) each(at##4) each(at##5) each(at##6) each(at##7) \
	each(at##8) each(at##9) each(at##a) each(at##b) each(at##c) each(at##d) each(at##e) each(at##f)
#define HALF(each, at) \
	SIXTEEN(each, at##0) SIXTEEN(each, at##1) SIXTEEN(each, at##2) SIXTEEN(each, at##3) \
	SIXTEEN(each, at##4) SIXTEEN(each, at##5) SIXTEEN(each, at##6) SIXTEEN(each, at##7) \
	SIXTEEN(each, at##8) SIXTEEN(each, at##9) SIXTEEN(each, at##a) SIXTEEN(each, at##b) \
	SIXTEEN(each, at##c) SIXTEEN(each, at##d) SIXTEEN(each, at##e) SIXTEEN(each, at##f)
#define ENTRY(at) static nvmlReturn_t entry_##at(void) { return unknown_entry(at); }
#define ADDRESS(at) (entry)entry_##at,

HALF(ENTRY, 0x0)
HALF(ENTRY, 0x1)

static const entry unknown_entries[TABLE_BYTES / sizeof(entry)] = { HALF(ADDRESS, 0x0) HALF(ADDRESS, 0x1) };

static nvmlReturn_t device_by_index(unsigned int index, nvmlDevice_t *device)
{
	return nvmlDeviceGetHandleByIndex_v2(index, device);
}

static void put_process(struct process *to, const nvmlProcessInfo_t *p)
{
	*to = (struct process){ .pid = p->pid, .used = p->usedGpuMemory, .instance = p->gpuInstanceId,
				.compute_instance = p->computeInstanceId };
	if (nvmlSystemGetProcessName(p->pid, to->name, sizeof(to->name)))
		to->name[0] = '\0';	/* it has ended, or is another user's */
}

static nvmlReturn_t process_list(nvmlDevice_t device, unsigned int *count, struct process *to)
{
	nvmlProcessInfo_t found[PROCESSES_MOST];
	unsigned int n;
	nvmlReturn_t r;
	uint32_t index;

	if (!count || !to || *count > ROOM_MOST || !nvml_device_index(device, &index))
		return NVML_ERROR_INVALID_ARGUMENT;
	n = *count < PROCESSES_MOST ? *count : PROCESSES_MOST;
	r = nvmlDeviceGetComputeRunningProcesses_v3(device, &n, found);
	*count = !r || r == NVML_ERROR_INSUFFICIENT_SIZE ? n : 0;
	for (unsigned int i = 0; !r && i < n; i++)
		put_process(&to[i], &found[i]);
	return r;
}

/* What stands where is a fact of one branch of the driver. The soft device is no driver's: programs of that one suit it. */
static bool entries_known(void)
{
	char version[80];
	unsigned long branch;

	if (nvmlSystemGetDriverVersion(version, sizeof(version)))
		return false;
	branch = strtoul(version, NULL, 10);
	return branch == BRANCH || !branch;
}

static union table tables[2];	/* nothing known, known */

static void make_tables(void)
{
	for (size_t t = 0; t < 2; t++) {
		memcpy(tables[t].at, unknown_entries, sizeof(unknown_entries));
		tables[t].size = TABLE_BYTES;
	}
	tables[1].at[AT_DEVICE] = (entry)device_by_index;
	for (size_t i = 0; i < PROCESS_LISTS; i++)
		tables[1].at[AT_PROCESSES + i] = (entry)process_list;
}

nvmlReturn_t nvmlInternalGetExportTable(const void **table, const void *id)
{
	static const uint8_t known_id[16] = { 0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
					      0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4 };
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (!table || !id)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (memcmp(id, known_id, sizeof(known_id))) {
		*table = NULL;
		vgpu_debug("nvmlInternalGetExportTable knows no such table");
		return unknown();
	}
	pthread_once(&once, make_tables);
	*table = &tables[entries_known()];
	return NVML_SUCCESS;
}
