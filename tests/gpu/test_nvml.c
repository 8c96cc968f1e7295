/* SPDX-License-Identifier: MIT */
/* NVML beside CUDA: the same devices under both, texts, structs with versions, error codes, a child of a fork. */
#include "gpu_test.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vgpu/nvml.h>

#define PATH_BYTES 4096

static void *library;

/* The function as NVML declares it; a library that lacks it fails the test. */
#define nvml(name, ...) ((nvmlReturn_t (*)(__VA_ARGS__))symbol(#name))

static void *symbol(const char *name)
{
	void *p = dlsym(library, name);

	if (!p)
		fail_msg("libnvidia-ml.so.1 has no %s", name);
	return p;
}

#define init() nvml(nvmlInit_v2, void)()
#define shut_down() nvml(nvmlShutdown, void)()
#define get_u32(name, device, out) nvml(name, nvmlDevice_t, unsigned int *)(device, out)
#define get_text(name, device, to, size) nvml(name, nvmlDevice_t, char *, unsigned int)(device, to, size)

static nvmlDevice_t first(void)
{
	nvmlDevice_t device;

	assert_int_equal(nvml(nvmlDeviceGetHandleByIndex_v2, unsigned int, nvmlDevice_t *)(0, &device), NVML_SUCCESS);
	return device;
}

/* The NVML handle of CUDA's device 0: the two need not count alike. */
static nvmlDevice_t same_as_cuda(void)
{
	nvmlDevice_t device;
	char bus[32];

	ok(cuDeviceGetPCIBusId(bus, sizeof(bus), 0));
	assert_int_equal(nvml(nvmlDeviceGetHandleByPciBusId_v2, const char *, nvmlDevice_t *)(bus, &device), NVML_SUCCESS);
	return device;
}

static int open_both(void **state)
{
	(void)state;
	gpu_need_device();
	ok(cuInit(0));
	assert_int_equal(init(), NVML_SUCCESS);
	return 0;
}

static int close_both(void **state)
{
	(void)state;
	assert_int_equal(shut_down(), NVML_SUCCESS);
	return 0;
}

static void life(void **state)
{
	char version[80];
	unsigned int n;

	(void)state;
	gpu_need_device();
	assert_int_equal(nvml(nvmlSystemGetNVMLVersion, char *, unsigned int)(version, sizeof(version)), NVML_SUCCESS);
	assert_int_equal(shut_down(), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&n), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(init(), NVML_SUCCESS);
	assert_int_equal(init(), NVML_SUCCESS);
	assert_int_equal(shut_down(), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&n), NVML_SUCCESS);
	assert_in_range(n, 1, 64);
	assert_int_equal(shut_down(), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&n), NVML_ERROR_UNINITIALIZED);
	assert_int_equal(shut_down(), NVML_ERROR_UNINITIALIZED);
}

static void names_of_results(void **state)
{
	const char *(*text)(nvmlReturn_t) = (const char *(*)(nvmlReturn_t))symbol("nvmlErrorString");

	(void)state;
	assert_string_equal(text(NVML_SUCCESS), "Success");
	assert_string_equal(text(NVML_ERROR_UNINITIALIZED), "Uninitialized");
	assert_string_equal(text(NVML_ERROR_NOT_SUPPORTED), "Not Supported");
	assert_string_equal(text(NVML_ERROR_LIB_RM_VERSION_MISMATCH), "Driver/library version mismatch");
	assert_string_equal(text(NVML_ERROR_NOT_READY), "System is not in ready state");
	assert_string_equal(text(NVML_ERROR_RESET_TYPE_NOT_SUPPORTED), "Reset type is not supported for given device");
	assert_string_equal(text(NVML_ERROR_UNKNOWN), "Unknown Error");
	assert_string_equal(text((nvmlReturn_t)31), "Unknown Error");
}

static void same_device_as_cuda(void **state)
{
	nvmlDevice_t device = same_as_cuda(), again;
	char name[96], cuda_name[96], uuid[96];
	int major, minor, cuda_major, cuda_minor, version, cuda_version;
	unsigned int index;

	(void)state;
	ok(cuDeviceGetName(cuda_name, sizeof(cuda_name), 0));
	assert_int_equal(get_text(nvmlDeviceGetName, device, name, sizeof(name)), NVML_SUCCESS);
	assert_string_equal(name, cuda_name);
	assert_int_equal(get_text(nvmlDeviceGetUUID, device, uuid, sizeof(uuid)), NVML_SUCCESS);
	assert_memory_equal(uuid, "GPU-", 4);
	assert_int_equal(strlen(uuid), 40);
	assert_int_equal(nvml(nvmlDeviceGetHandleByUUID, const char *, nvmlDevice_t *)(uuid, &again), NVML_SUCCESS);
	assert_ptr_equal(again, device);
	assert_int_equal(get_u32(nvmlDeviceGetIndex, device, &index), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlDeviceGetHandleByIndex_v2, unsigned int, nvmlDevice_t *)(index, &again), NVML_SUCCESS);
	assert_ptr_equal(again, device);
	assert_int_equal(nvml(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t, int *, int *)(device, &major, &minor),
			 NVML_SUCCESS);
	ok(cuDeviceGetAttribute(&cuda_major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	ok(cuDeviceGetAttribute(&cuda_minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0));
	assert_int_equal(major * 10 + minor, cuda_major * 10 + cuda_minor);
	ok(cuDriverGetVersion(&cuda_version));
	assert_int_equal(nvml(nvmlSystemGetCudaDriverVersion_v2, int *)(&version), NVML_SUCCESS);
	assert_int_equal(version, cuda_version);
}

/* Programs built against older headers lend 52 bytes. */
static void older_structures(void **state)
{
	enum { OLD = 52, NAMED = offsetof(nvmlPciInfo_t, pciSubSystemId), AROUND = 128 };
	static const char *const names[] = {"nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2"};
	unsigned char old[AROUND], untouched[AROUND];
	nvmlPciInfo_t today;

	(void)state;
	memset(untouched, 0xa5, sizeof(untouched));
	assert_int_equal(nvml(nvmlDeviceGetPciInfo_v3, nvmlDevice_t, nvmlPciInfo_t *)(first(), &today), NVML_SUCCESS);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		memset(old, 0xa5, sizeof(old));
		assert_int_equal(((nvmlReturn_t (*)(nvmlDevice_t, void *))symbol(names[i]))(first(), old), NVML_SUCCESS);
		assert_string_equal(old, today.busIdLegacy);
		assert_memory_equal(old + sizeof(today.busIdLegacy), &today.domain, NAMED - sizeof(today.busIdLegacy));
		assert_memory_equal(old + OLD, untouched, AROUND - OLD);
		assert_int_equal(((nvmlReturn_t (*)(nvmlDevice_t, void *))symbol(names[i]))(first(), NULL),
				 NVML_ERROR_INVALID_ARGUMENT);
	}
}

static void wrong_arguments(void **state)
{
	nvmlDevice_t device = first(), none;
	unsigned int n;
	char name[96];

	(void)state;
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&n), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(NULL), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlDeviceGetHandleByIndex_v2, unsigned int, nvmlDevice_t *)(n, &none),
			 NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlDeviceGetHandleByIndex_v2, unsigned int, nvmlDevice_t *)(0, NULL),
			 NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlDeviceGetHandleByUUID, const char *, nvmlDevice_t *)
			 ("GPU-00000000-0000-0000-0000-000000000000", &none), NVML_ERROR_NOT_FOUND);
	assert_int_equal(get_text(nvmlDeviceGetName, device, name, 2), NVML_ERROR_INSUFFICIENT_SIZE);
	assert_int_equal(get_text(nvmlDeviceGetName, device, NULL, 96), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(get_text(nvmlDeviceGetName, NULL, name, sizeof(name)), NVML_ERROR_INVALID_ARGUMENT);
}

static void memory(void **state)
{
	nvmlDevice_t device = same_as_cuda();
	nvmlMemory_t m;
	nvmlMemory_v2_t v2;
	size_t total;

	(void)state;
	ok(cuDeviceTotalMem(&total, 0));
	assert_int_equal(nvml(nvmlDeviceGetMemoryInfo, nvmlDevice_t, nvmlMemory_t *)(device, &m), NVML_SUCCESS);
	assert_in_range(m.used + m.free, 1, m.total);
	assert_in_range(m.total, 1, UINT64_MAX);
	v2.version = NVML_STRUCT_WORD(sizeof(v2), 2);
	assert_int_equal(nvml(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t, nvmlMemory_v2_t *)(device, &v2), NVML_SUCCESS);
	assert_int_equal(v2.version, NVML_STRUCT_WORD(sizeof(v2), 2));
	assert_in_range(v2.used + v2.free, 1, v2.total);
	assert_int_equal(v2.total, m.total);
	v2.version = NVML_STRUCT_WORD(sizeof(v2), 9);
	assert_int_equal(nvml(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t, nvmlMemory_v2_t *)(device, &v2),
			 NVML_ERROR_FUNCTION_NOT_FOUND);	/* unlike all others */
}

static void load(void **state)
{
	nvmlUtilization_t u;

	(void)state;
	assert_int_equal(nvml(nvmlDeviceGetUtilizationRates, nvmlDevice_t, nvmlUtilization_t *)(first(), &u),
			 NVML_SUCCESS);
	assert_in_range(u.gpu, 0, 100);
	assert_in_range(u.memory, 0, 100);
}

static void processes(void **state)
{
	nvmlReturn_t (*list)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *) =
		nvml(nvmlDeviceGetComputeRunningProcesses_v3, nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *);
	nvmlProcessInfo_t all[128];
	unsigned int n = 0;
	nvmlReturn_t r;
	CUcontext ctx;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&ctx, 0));
	r = list(same_as_cuda(), &n, NULL);
	if (r != NVML_SUCCESS)
		assert_int_equal(r, NVML_ERROR_INSUFFICIENT_SIZE);
	n = 128;
	assert_int_equal(list(same_as_cuda(), &n, all), NVML_SUCCESS);
	assert_in_range(n, 0, 128);
	assert_int_equal(list(same_as_cuda(), NULL, all), NVML_ERROR_INVALID_ARGUMENT);
	ok(cuDevicePrimaryCtxRelease(0));
}

/* What nvidia-smi asks for behind NVML. Of the driver's own table nothing is known for certain: it is not called. */
static void private_table(void **state)
{
	static const uint8_t id[16] = { 0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
					0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4 }, other[16] = { 1 };
	nvmlReturn_t (*get)(const void **, const void *) = nvml(nvmlInternalGetExportTable, const void **, const void *);
	static uint8_t room[4128 * 64];
	nvmlReturn_t (*by_index)(unsigned int, nvmlDevice_t *, int), (*list)(nvmlDevice_t, unsigned int *, void *);
	nvmlReturn_t (*nothing)(nvmlDevice_t, unsigned int *);
	nvmlDevice_t device;
	const void *table;
	unsigned int n = 7;

	(void)state;
	if (!dlsym(library, "vgpu_guest_nvml"))
		skip();
	assert_int_equal(get(&table, other), NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(get(NULL, id), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(get(&table, id), NVML_SUCCESS);
	assert_int_equal(*(const size_t *)table, 4096);
	memcpy(&by_index, (const char *)table + 8 * 81, 8);
	memcpy(&list, (const char *)table + 8 * 213, 8);
	memcpy(&nothing, (const char *)table + 8 * 249, 8);
	assert_int_equal(nothing(first(), &n), NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(n, 7);
	if (by_index(0, &device, 0x22) == NVML_ERROR_NOT_SUPPORTED)
		return;		/* a driver of another branch */
	assert_ptr_equal(device, first());
	n = 64;
	assert_int_equal(list(device, &n, room), NVML_SUCCESS);
	assert_in_range(n, 0, 64);
	assert_int_equal(list(device, NULL, room), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(list(NULL, &n, room), NVML_ERROR_INVALID_ARGUMENT);
}

static void own_name(void **state)
{
	char name[PATH_BYTES];

	(void)state;
	assert_int_equal(nvml(nvmlSystemGetProcessName, unsigned int, char *, unsigned int)
			 ((unsigned int)getpid(), name, sizeof(name)), NVML_SUCCESS);
	assert_non_null(strstr(name, "test_nvml"));
	assert_int_equal(nvml(nvmlSystemGetProcessName, unsigned int, char *, unsigned int)
			 ((unsigned int)getpid(), NULL, 8), NVML_ERROR_INVALID_ARGUMENT);
}

static void events(void **state)
{
	nvmlReturn_t (*add)(nvmlDevice_t, unsigned long long, nvmlEventSet_t) =
		nvml(nvmlDeviceRegisterEvents, nvmlDevice_t, unsigned long long, nvmlEventSet_t);
	nvmlReturn_t (*await)(nvmlEventSet_t, void *, unsigned int) =
		nvml(nvmlEventSetWait_v2, nvmlEventSet_t, void *, unsigned int);
	unsigned long long types = ~0ull;
	nvmlEventData_t data;
	nvmlEventSet_t set;

	(void)state;
	assert_int_equal(nvml(nvmlDeviceGetSupportedEventTypes, nvmlDevice_t, unsigned long long *)(first(), &types),
			 NVML_SUCCESS);
	assert_int_not_equal(types, ~0ull);
	assert_int_equal(nvml(nvmlEventSetCreate, nvmlEventSet_t *)(NULL), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlEventSetCreate, nvmlEventSet_t *)(&set), NVML_SUCCESS);
	assert_int_equal(await(set, &data, 10), NVML_ERROR_TIMEOUT);
	assert_int_equal(add(first(), NVML_EVENT_XID, set),
			 types & NVML_EVENT_XID ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(add(first(), NVML_EVENT_XID, NULL), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(add(NULL, NVML_EVENT_XID, set), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(await(set, NULL, 0), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(await(NULL, &data, 0), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlEventSetFree, nvmlEventSet_t)(set), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlEventSetFree, nvmlEventSet_t)(NULL), NVML_ERROR_INVALID_ARGUMENT);
}

/* Lists of processes in structs that point to arrays of the caller's. */
static void process_structs(void **state)
{
	nvmlReturn_t (*details)(nvmlDevice_t, void *) = nvml(nvmlDeviceGetRunningProcessDetailList, nvmlDevice_t, void *);
	nvmlReturn_t (*loads)(nvmlDevice_t, void *) = nvml(nvmlDeviceGetProcessesUtilizationInfo, nvmlDevice_t, void *);
	static unsigned char room[256][40];
	struct {
		unsigned int version, mode, count;
		void *items;
	} list = { NVML_STRUCT_WORD(24, 1), 0, 256, room };
	struct {
		unsigned int version, count;
		unsigned long long since;
		void *items;
	} load = { NVML_STRUCT_WORD(24, 1), 256, 0, room };
	nvmlReturn_t r;

	(void)state;
	assert_int_equal(details(first(), &list), NVML_SUCCESS);
	assert_in_range(list.count, 0, 256);
	r = loads(first(), &load);
	assert_true(r == NVML_SUCCESS || r == NVML_ERROR_NOT_FOUND || r == NVML_ERROR_NOT_SUPPORTED);
	list.version = load.version = NVML_STRUCT_WORD(24, 9);
	assert_int_equal(details(first(), &list), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	assert_int_equal(loads(first(), &load), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	assert_int_equal(details(first(), NULL), NVML_ERROR_INVALID_ARGUMENT);
}

/* Samples are the caller's; what they hold, a device that counts has to fill in. */
static void performance_samples(void **state)
{
	nvmlReturn_t (*get)(nvmlDevice_t, nvmlGpmSample_t) = nvml(nvmlGpmSampleGet, nvmlDevice_t, nvmlGpmSample_t);
	nvmlReturn_t (*metrics)(nvmlGpmMetricsGet_t *) = nvml(nvmlGpmMetricsGet, nvmlGpmMetricsGet_t *);
	static nvmlGpmMetricsGet_t all = { .version = NVML_GPM_VERSION, .numMetrics = 40 };
	nvmlGpmSupport_t support = { .version = NVML_GPM_VERSION, .isSupportedDevice = 7 };
	nvmlGpmSample_t one, other;

	(void)state;
	assert_int_equal(nvml(nvmlGpmQueryDeviceSupport, nvmlDevice_t, nvmlGpmSupport_t *)(first(), &support),
			 NVML_SUCCESS);
	assert_in_range(support.isSupportedDevice, 0, 1);
	assert_int_equal(nvml(nvmlGpmSampleAlloc, nvmlGpmSample_t *)(NULL), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlGpmSampleAlloc, nvmlGpmSample_t *)(&one), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlGpmSampleAlloc, nvmlGpmSample_t *)(&other), NVML_SUCCESS);
	assert_ptr_not_equal(one, other);
	if (!support.isSupportedDevice) {
		assert_int_equal(get(first(), one), NVML_ERROR_NOT_SUPPORTED);
	} else if (!get(first(), one)) {	/* the system may keep counters to itself */
		gpu_nap();
		assert_int_equal(get(first(), other), NVML_SUCCESS);
		all.sample1 = one;
		all.sample2 = other;
		for (unsigned int i = 0; i < all.numMetrics; i++)
			all.metrics[i].metricId = i + 1;
		assert_int_equal(metrics(&all), NVML_SUCCESS);
	}
	/* Of a mediator alone: nvmlGpmSampleGet of driver 580.159.04 does not return when the sample is NULL. */
	if (getenv("VGPU_TEST_NEEDS_DEVICE"))
		assert_int_equal(get(first(), NULL), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlGpmSampleFree, nvmlGpmSample_t)(one), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlGpmSampleFree, nvmlGpmSample_t)(other), NVML_SUCCESS);
}

/* Handles and numbers of what there is none of. */
static void nothing_to_name(void **state)
{
	unsigned int n;

	(void)state;
	assert_int_equal(nvml(nvmlUnitGetUnitInfo, void *, void *)(NULL, &n), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlVgpuInstanceGetType, unsigned int, unsigned int *)(0, &n), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(nvml(nvmlVgpuInstanceGetType, unsigned int, unsigned int *)(1, &n), NVML_ERROR_NOT_FOUND);
	assert_int_equal(nvml(nvmlGpuInstanceGetInfo, void *, void *)(NULL, &n), NVML_ERROR_INVALID_ARGUMENT);
}

/* Counts of what a machine may have none of are answers, not errors. */
static void counts(void **state)
{
	unsigned int n = 77, all;
	nvmlDevice_t room[64];

	(void)state;
	assert_int_equal(nvml(nvmlUnitGetCount, unsigned int *)(&n), NVML_SUCCESS);
	assert_int_not_equal(n, 77);
	assert_int_equal(nvml(nvmlUnitGetCount, unsigned int *)(NULL), NVML_ERROR_INVALID_ARGUMENT);
	n = 77;
	assert_int_equal(get_u32(nvmlDeviceGetMaxMigDeviceCount, first(), &n), NVML_SUCCESS);
	assert_int_not_equal(n, 77);
	n = 64;
	assert_int_equal(nvml(nvmlDeviceGetTopologyNearestGpus, nvmlDevice_t, unsigned int, unsigned int *, nvmlDevice_t *)
			 (first(), NVML_TOPOLOGY_SYSTEM, &n, room), NVML_SUCCESS);
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&all), NVML_SUCCESS);
	assert_in_range(n, 0, all - 1);
}

static void nearness(void **state)
{
	unsigned long set[16] = { 0 };
	unsigned int n = 0, i;
	nvmlDevice_t room[64];

	(void)state;
	assert_int_equal(nvml(nvmlDeviceGetMemoryAffinity, nvmlDevice_t, unsigned int, unsigned long *, unsigned int)
			 (first(), 16, set, 0), NVML_SUCCESS);
	assert_int_not_equal(set[0], 0);
	assert_int_equal(nvml(nvmlDeviceGetCpuAffinity, nvmlDevice_t, unsigned int, unsigned long *)(first(), 16, set),
			 NVML_SUCCESS);
	for (i = 0; !(set[i / 64] >> i % 64 & 1); i++)
		;
	assert_int_equal(nvml(nvmlSystemGetTopologyGpuSet, unsigned int, unsigned int *, nvmlDevice_t *)(i, &n, NULL),
			 NVML_SUCCESS);
	assert_in_range(n, 1, 64);
	assert_int_equal(nvml(nvmlSystemGetTopologyGpuSet, unsigned int, unsigned int *, nvmlDevice_t *)(i, &n, room),
			 NVML_SUCCESS);
	assert_ptr_equal(room[0], first());
}

/* Who may not change a device is told so; setting what is already set changes nothing. */
static void permission(void **state)
{
	unsigned int mode;
	nvmlReturn_t r;

	(void)state;
	assert_int_equal(get_u32(nvmlDeviceGetComputeMode, first(), &mode), NVML_SUCCESS);
	r = nvml(nvmlDeviceSetComputeMode, nvmlDevice_t, unsigned int)(first(), mode);
	assert_true(r == NVML_SUCCESS || r == NVML_ERROR_NO_PERMISSION);
}

/* Programs count devices by NVML before they fork, and the children do it again. */
static void child(void **state)
{
	unsigned int n = 0, m = 0;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&n), NVML_SUCCESS);
	pid = fork();
	if (!pid)
		_exit(init() || nvml(nvmlDeviceGetCount_v2, unsigned int *)(&m) || m != n);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(nvml(nvmlDeviceGetCount_v2, unsigned int *)(&m), NVML_SUCCESS);
	assert_int_equal(m, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(names_of_results),
		cmocka_unit_test_setup_teardown(same_device_as_cuda, open_both, close_both),
		cmocka_unit_test_setup_teardown(older_structures, open_both, close_both),
		cmocka_unit_test_setup_teardown(wrong_arguments, open_both, close_both),
		cmocka_unit_test_setup_teardown(memory, open_both, close_both),
		cmocka_unit_test_setup_teardown(load, open_both, close_both),
		cmocka_unit_test_setup_teardown(processes, open_both, close_both),
		cmocka_unit_test_setup_teardown(private_table, open_both, close_both),
		cmocka_unit_test_setup_teardown(own_name, open_both, close_both),
		cmocka_unit_test_setup_teardown(events, open_both, close_both),
		cmocka_unit_test_setup_teardown(process_structs, open_both, close_both),
		cmocka_unit_test_setup_teardown(performance_samples, open_both, close_both),
		cmocka_unit_test_setup_teardown(nothing_to_name, open_both, close_both),
		cmocka_unit_test_setup_teardown(counts, open_both, close_both),
		cmocka_unit_test_setup_teardown(nearness, open_both, close_both),
		cmocka_unit_test_setup_teardown(permission, open_both, close_both),
		cmocka_unit_test_setup_teardown(child, open_both, close_both),
	};

	library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "skipped: %s\n", dlerror());
		return getenv("VGPU_TEST_NEEDS_DEVICE") ? 1 : SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
