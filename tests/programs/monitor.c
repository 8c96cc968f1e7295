/* SPDX-License-Identifier: MIT */
/*
 * What NVML says of device 0, a fact a line: "name TEXT", "memory TOTAL FREE USED" (bytes), "load PERCENT", "process
 * PID BYTES" for each, "temperature RESULT". No CUDA call.
 */
#include <dlfcn.h>
#include <stdio.h>

#include <vgpu/nvml.h>

#define PROCESSES 64

static void *library;

static void *symbol(const char *name)
{
	return dlsym(library, name);
}

static int print_processes(nvmlDevice_t device)
{
	nvmlReturn_t (*list)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *) =
		(nvmlReturn_t (*)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *))symbol(
			"nvmlDeviceGetComputeRunningProcesses_v3");
	nvmlProcessInfo_t p[PROCESSES];
	unsigned int n = PROCESSES;
	nvmlReturn_t r = list(device, &n, p);

	for (unsigned int i = 0; !r && i < n; i++)
		printf("process %u %llu\n", p[i].pid, p[i].usedGpuMemory);
	return r;
}

static int print_device(nvmlDevice_t device)
{
	nvmlReturn_t (*name)(nvmlDevice_t, char *, unsigned int) =
		(nvmlReturn_t (*)(nvmlDevice_t, char *, unsigned int))symbol("nvmlDeviceGetName");
	nvmlReturn_t (*memory)(nvmlDevice_t, nvmlMemory_t *) =
		(nvmlReturn_t (*)(nvmlDevice_t, nvmlMemory_t *))symbol("nvmlDeviceGetMemoryInfo");
	nvmlReturn_t (*load)(nvmlDevice_t, nvmlUtilization_t *) =
		(nvmlReturn_t (*)(nvmlDevice_t, nvmlUtilization_t *))symbol("nvmlDeviceGetUtilizationRates");
	nvmlReturn_t (*temperature)(nvmlDevice_t, unsigned int, unsigned int *) =
		(nvmlReturn_t (*)(nvmlDevice_t, unsigned int, unsigned int *))symbol("nvmlDeviceGetTemperature");
	unsigned int celsius = 0;
	nvmlUtilization_t u;
	nvmlMemory_t m;
	char text[96];

	if (name(device, text, sizeof(text)) || memory(device, &m) || load(device, &u))
		return 1;
	printf("name %s\nmemory %llu %llu %llu\nload %u\n", text, m.total, m.free, m.used, u.gpu);
	printf("temperature %d\n", (int)temperature(device, 0, &celsius));
	return print_processes(device);
}

int main(void)
{
	nvmlReturn_t (*by_index)(unsigned int, nvmlDevice_t *);
	nvmlReturn_t (*init)(void);
	nvmlDevice_t device;

	library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	init = (nvmlReturn_t (*)(void))symbol("nvmlInit_v2");
	by_index = (nvmlReturn_t (*)(unsigned int, nvmlDevice_t *))symbol("nvmlDeviceGetHandleByIndex_v2");
	return init() || by_index(0, &device) || print_device(device);
}
