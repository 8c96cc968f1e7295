/* SPDX-License-Identifier: MIT */
/*
 * What both ends know of NVML: result codes, the structs that one of them looks into, a few enum values. Names, layouts and numbers
 * are facts of NVML's public documentation (and of its open bindings for other languages); everything else travels as
 * bytes, see include/nvml/functions.nvml.
 */
#ifndef VGPU_NVML_H
#define VGPU_NVML_H

#include <stdint.h>

typedef enum {
	NVML_SUCCESS = 0,
	NVML_ERROR_UNINITIALIZED = 1,
	NVML_ERROR_INVALID_ARGUMENT = 2,
	NVML_ERROR_NOT_SUPPORTED = 3,
	NVML_ERROR_NO_PERMISSION = 4,
	NVML_ERROR_ALREADY_INITIALIZED = 5,
	NVML_ERROR_NOT_FOUND = 6,
	NVML_ERROR_INSUFFICIENT_SIZE = 7,
	NVML_ERROR_INSUFFICIENT_POWER = 8,
	NVML_ERROR_DRIVER_NOT_LOADED = 9,
	NVML_ERROR_TIMEOUT = 10,
	NVML_ERROR_IRQ_ISSUE = 11,
	NVML_ERROR_LIBRARY_NOT_FOUND = 12,
	NVML_ERROR_FUNCTION_NOT_FOUND = 13,
	NVML_ERROR_CORRUPTED_INFOROM = 14,
	NVML_ERROR_GPU_IS_LOST = 15,
	NVML_ERROR_RESET_REQUIRED = 16,
	NVML_ERROR_OPERATING_SYSTEM = 17,
	NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
	NVML_ERROR_IN_USE = 19,
	NVML_ERROR_MEMORY = 20,
	NVML_ERROR_NO_DATA = 21,
	NVML_ERROR_VGPU_ECC_NOT_SUPPORTED = 22,
	NVML_ERROR_INSUFFICIENT_RESOURCES = 23,
	NVML_ERROR_FREQ_NOT_SUPPORTED = 24,
	NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
	NVML_ERROR_DEPRECATED = 26,
	NVML_ERROR_NOT_READY = 27,
	NVML_ERROR_GPU_NOT_FOUND = 28,
	NVML_ERROR_INVALID_STATE = 29,
	NVML_ERROR_RESET_TYPE_NOT_SUPPORTED = 30,
	NVML_ERROR_UNKNOWN = 999,
} nvmlReturn_t;

typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct nvmlEventSet_st *nvmlEventSet_t;
typedef struct nvmlGpmSample_st *nvmlGpmSample_t;	/* in NVML a struct of this one pointer */

/* The version word that opens a struct of `bytes` bytes. */
#define NVML_STRUCT_WORD(bytes, version) ((uint32_t)(bytes) | (uint32_t)(version) << 24)

#define NVML_INIT_FLAG_NO_GPUS 1u
#define NVML_VALUE_NOT_AVAILABLE_ULL UINT64_MAX
#define NVML_NO_INSTANCE 0xffffffffu	/* gpuInstanceId, computeInstanceId: not on an instance */
#define NVML_BRAND_UNKNOWN 0u
#define NVML_BUS_TYPE_UNKNOWN 0u
#define NVML_COMPUTEMODE_DEFAULT 0u
#define NVML_TOPOLOGY_INTERNAL 0u
#define NVML_TOPOLOGY_SYSTEM 50u
#define NVML_UUID_TYPE_ASCII 1u
#define NVML_VALUE_TYPE_UNSIGNED_INT 1u
#define NVML_GPM_METRIC_MAX 333u	/* ids below it are metrics (CUDA 13) */
#define NVML_GPM_VERSION 1u		/* of both structs of GPM: not a version word */
#define NVML_EVENT_XID 0x8u		/* nvmlEventTypeXidCriticalError */

typedef struct {
	unsigned long long total, free, used;	/* bytes */
} nvmlMemory_t;

typedef struct {
	unsigned int version;
	unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

typedef struct {
	unsigned int gpu, memory;		/* percent of the last sample period */
} nvmlUtilization_t;

typedef struct {
	unsigned int pid;
	unsigned long long usedGpuMemory;
} nvmlProcessInfo_v1_t;

typedef struct {				/* of _v2 and _v3 of the calls */
	unsigned int pid;
	unsigned long long usedGpuMemory;
	unsigned int gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;

typedef struct {
	unsigned int pid;
	unsigned long long timeStamp;		/* microseconds since 1970 */
	unsigned int smUtil, memUtil, encUtil, decUtil;
} nvmlProcessUtilizationSample_t;

typedef struct {
	char busIdLegacy[16];
	unsigned int domain, bus, device;
	unsigned int pciDeviceId, pciSubSystemId;
	char busId[32];
} nvmlPciInfo_t;

typedef union {
	double dVal;
	unsigned int uiVal;
	unsigned long ulVal;
	unsigned long long ullVal;
	signed long long sllVal;
} nvmlValue_t;

typedef struct {
	unsigned int fieldId, scopeId;
	long long timestamp, latencyUsec;
	unsigned int valueType;
	nvmlReturn_t nvmlReturn;
	nvmlValue_t value;
} nvmlFieldValue_t;

typedef struct {
	nvmlDevice_t device;
	unsigned long long eventType, eventData;	/* one NVML_EVENT_*; its number: of an Xid which one */
	unsigned int gpuInstanceId, computeInstanceId;	/* not in the first form of the call */
} nvmlEventData_t;

typedef struct {
	unsigned int version, isSupportedDevice;
} nvmlGpmSupport_t;

typedef struct {
	unsigned int metricId;
	nvmlReturn_t nvmlReturn;
	double value;
	const char *shortName, *longName, *unit;
} nvmlGpmMetric_t;

typedef struct {
	unsigned int version, numMetrics;
	nvmlGpmSample_t sample1, sample2;
	nvmlGpmMetric_t metrics[NVML_GPM_METRIC_MAX];	/* as many as numMetrics says are there */
} nvmlGpmMetricsGet_t;

typedef struct {
	unsigned int version, type;		/* NVML_UUID_TYPE_* */
	unsigned char bytes[41];		/* text with its NUL, or 16 bytes */
} nvmlUUID_t;

_Static_assert(sizeof(nvmlMemory_t) == 24, "as NVML has it");
_Static_assert(sizeof(nvmlMemory_v2_t) == 40, "as NVML has it");
_Static_assert(sizeof(nvmlProcessInfo_v1_t) == 16, "as NVML has it");
_Static_assert(sizeof(nvmlProcessInfo_t) == 24, "as NVML has it");
_Static_assert(sizeof(nvmlProcessUtilizationSample_t) == 32, "as NVML has it");
_Static_assert(sizeof(nvmlPciInfo_t) == 68, "as NVML has it");
_Static_assert(sizeof(nvmlEventData_t) == 32, "as NVML has it");
_Static_assert(sizeof(nvmlGpmMetric_t) == 40, "as NVML has it");
_Static_assert(sizeof(nvmlFieldValue_t) == 40, "as NVML has it");

/* ---- between the guest's library and the monitor ---- */

#define NVML_TEXT	512u	/* bytes of a text in an answer */
#define NVML_ASKED_MAX	3840u	/* bytes of all parameters of a question */
#define NVML_ANSWER_MAX	4064u	/* bytes of all results */

#define NVML_SAMPLES	256u	/* of GPM, of one process */

/* A metric of GPM: its names as text, empty where it has none. */
struct nvml_metric {
	uint32_t id;
	uint32_t result;	/* nvmlReturn_t */
	double value;
	char short_name[48], long_name[112], unit[16];
};

_Static_assert(sizeof(struct nvml_metric) == 192, "wire layout, and functions.nvml");

#endif
