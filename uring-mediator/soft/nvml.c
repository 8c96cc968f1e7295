/* SPDX-License-Identifier: MIT */
/*
 * NVML of the soft device: what is true of a device that is this host's processors. It has no sensors, clocks, fans,
 * power or links of its own: those slots stay NULL, which is "not supported". Constant facts; any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gen/driver_table.h"
#include "gen/nvml_table.h"

#include "device.h"

#define BRANCH_TEXT 80
#define CUDA_MAJOR (SOFT_DRIVER_VERSION / 1000)

/* A handle is the device's number plus one. */
static bool is_device(nvmlDevice_t device, CUdevice *ordinal)
{
	*ordinal = (CUdevice)(uintptr_t)device - 1;
	return soft_device_get(*ordinal);
}

static nvmlReturn_t put_text(char *to, unsigned int size, const char *text)
{
	return snprintf(to, size, "%s", text) < (int)size ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

static nvmlReturn_t driver_version(char *version, unsigned int length)
{
	return put_text(version, length, VGPU_VERSION);
}

static nvmlReturn_t nvml_version(char *version, unsigned int length)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%s", CUDA_MAJOR, VGPU_VERSION);
	return put_text(version, length, text);
}

/* A version word, then the text. */
static nvmlReturn_t driver_branch(void *info, unsigned int length)
{
	return put_text((char *)info + sizeof(unsigned int), length < BRANCH_TEXT ? length : BRANCH_TEXT, "soft");
}

static nvmlReturn_t cuda_version(int *version)
{
	*version = SOFT_DRIVER_VERSION;
	return NVML_SUCCESS;
}

static nvmlReturn_t name(nvmlDevice_t device, char *to, unsigned int length)
{
	char text[96];
	CUdevice d;

	if (!is_device(device, &d) || vgpu_soft_driver()->cuDeviceGetName(text, sizeof(text), d))
		return NVML_ERROR_INVALID_ARGUMENT;
	return put_text(to, length, text);
}

static nvmlReturn_t uuid(nvmlDevice_t device, char *to, unsigned int length)
{
	char text[48] = "GPU";
	int at = 3;
	CUuuid u;
	CUdevice d;

	if (!is_device(device, &d) || vgpu_soft_driver()->cuDeviceGetUuid(&u, d))
		return NVML_ERROR_INVALID_ARGUMENT;
	for (int i = 0; i < 16; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%02x",
			       i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", (unsigned char)u.bytes[i]);
	return put_text(to, length, text);
}

static nvmlReturn_t minor_number(nvmlDevice_t device, unsigned int *minor)
{
	CUdevice d;

	if (!is_device(device, &d))
		return NVML_ERROR_INVALID_ARGUMENT;
	*minor = (unsigned int)d;
	return NVML_SUCCESS;
}

static nvmlReturn_t capability(nvmlDevice_t device, int *major, int *minor)
{
	CUdevice d;

	if (!is_device(device, &d) || vgpu_soft_driver()->cuDeviceComputeCapability(major, minor, d))
		return NVML_ERROR_INVALID_ARGUMENT;
	return NVML_SUCCESS;
}

static nvmlReturn_t attribute(nvmlDevice_t device, CUdevice_attribute which, unsigned int *value)
{
	CUdevice d;

	if (!is_device(device, &d))
		return NVML_ERROR_INVALID_ARGUMENT;
	*value = (unsigned int)soft_device_attribute(which, soft_device_get(d));
	return NVML_SUCCESS;
}

/* What computes: the threads that run blocks. */
static nvmlReturn_t cores(nvmlDevice_t device, unsigned int *count)
{
	return attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, count);
}

static nvmlReturn_t bus_width(nvmlDevice_t device, unsigned int *bits)
{
	return attribute(device, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, bits);
}

static nvmlReturn_t compute_mode(nvmlDevice_t device, unsigned int *mode)
{
	return attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, mode);
}

static nvmlReturn_t brand(nvmlDevice_t device, unsigned int *type)
{
	CUdevice d;

	*type = NVML_BRAND_UNKNOWN;
	return is_device(device, &d) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t pci_info(nvmlDevice_t device, void *to)
{
	nvmlPciInfo_t *pci = to;
	CUdevice d;

	if (!is_device(device, &d))
		return NVML_ERROR_INVALID_ARGUMENT;
	pci->bus = (unsigned int)soft_device_attribute(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, soft_device_get(d));
	snprintf(pci->busId, sizeof(pci->busId), "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
	snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%04X:%02X:%02X.0", pci->domain & 0xffff,
		 pci->bus & 0xff, pci->device & 0xff);
	return NVML_SUCCESS;
}

/* How much of it is in use, other processes know: whoever has the sum fills it in. */
static nvmlReturn_t memory_info(nvmlDevice_t device, void *to)
{
	nvmlMemory_t *m = to;
	CUdevice d;

	if (!is_device(device, &d))
		return NVML_ERROR_INVALID_ARGUMENT;
	m->total = m->free = soft_config.memory;
	return NVML_SUCCESS;
}

static nvmlReturn_t memory_info_v2(nvmlDevice_t device, void *to)
{
	nvmlMemory_v2_t *m = to;
	CUdevice d;

	if (!is_device(device, &d))
		return NVML_ERROR_INVALID_ARGUMENT;
	m->total = m->free = soft_config.memory;
	m->reserved = m->used = 0;
	return NVML_SUCCESS;
}

/* Each value has a result of its own. */
static nvmlReturn_t field_values(nvmlDevice_t device, int count, void *to)
{
	nvmlFieldValue_t *values = to;
	CUdevice d;

	if (!is_device(device, &d))
		return NVML_ERROR_INVALID_ARGUMENT;
	for (int i = 0; i < count; i++)
		values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
	return NVML_SUCCESS;
}

/* It counts nothing. */
static nvmlReturn_t gpm_support(nvmlDevice_t device, unsigned int version, unsigned int *supported)
{
	CUdevice d;

	if (version != NVML_GPM_VERSION)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	*supported = 0;
	return is_device(device, &d) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static const struct vgpu_nvml soft_nvml = {
	.nvmlSystemGetDriverVersion = driver_version,
	.nvmlSystemGetNVMLVersion = nvml_version,
	.nvmlSystemGetCudaDriverVersion = cuda_version,
	.nvmlSystemGetCudaDriverVersion_v2 = cuda_version,
	.nvmlSystemGetDriverBranch = driver_branch,
	.nvmlDeviceGetName = name,
	.nvmlDeviceGetUUID = uuid,
	.nvmlDeviceGetMinorNumber = minor_number,
	.nvmlDeviceGetBrand = brand,
	.nvmlDeviceGetCudaComputeCapability = capability,
	.nvmlDeviceGetNumGpuCores = cores,
	.nvmlDeviceGetMemoryBusWidth = bus_width,
	.nvmlDeviceGetComputeMode = compute_mode,
	.nvmlDeviceGetPciInfo_v3 = pci_info,
	.nvmlDeviceGetMemoryInfo = memory_info,
	.nvmlDeviceGetMemoryInfo_v2 = memory_info_v2,
	.nvmlDeviceGetFieldValues = field_values,
	.gpm_support = gpm_support,
};

int vgpu_soft_nvml(struct vgpu_nvml *table, nvmlDevice_t *devices, uint32_t most)
{
	uint32_t n = 0;

	if (vgpu_soft_driver()->cuInit(0))
		return -ENOMEM;
	while (n < most && soft_device_get((CUdevice)n)) {
		devices[n] = (nvmlDevice_t)(uintptr_t)(n + 1);
		n++;
	}
	*table = soft_nvml;
	return (int)n;
}
