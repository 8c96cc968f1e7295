/* SPDX-License-Identifier: MIT */
/*
 * What the application can ask about devices, from snapshots that the session
 * fetched when it opened: no query here sends a command.
 */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "log.h"
#include "session.h"

static struct {
	int count;
	int driver_version;
	struct vgpu_device device[VGPU_DEVICES];
} devices;

_Static_assert(sizeof(((struct vgpu_ret_device_snapshot *)0)->attributes) == VGPU_ATTRIBUTES * sizeof(int), "room");
_Static_assert(sizeof(((struct vgpu_ret_device_snapshot *)0)->name) == sizeof(devices.device[0].name), "room");

/*
 * What the path to the device takes away, whatever the device can do: host memory is not reachable
 * from it unless it is arena memory, or registered, and what is shared with other processes is shared by file descriptor.
 */
static const CUdevice_attribute not_here[] = {
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
	CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST,
	CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_ALLOC_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS,
	CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_ALGORITHM_MASK,
	CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_MAXIMUM_LENGTH,
	CU_DEVICE_ATTRIBUTE_SPARSE_CUDA_ARRAY_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MULTINODE_IPC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
};

static CUresult fetch(int real, struct vgpu_ret_device_snapshot *out)
{
	struct vgpu_args_device_snapshot *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_device_snapshot, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->device = real;
	r = vgpu_call_answer(&c, sizeof(*out));
	if (!r)
		memcpy(out, c.ret, sizeof(*out));
	vgpu_call_end(&c);
	return r;
}

static void parse_pci(struct vgpu_device *d)
{
	char *end;

	d->pci_domain = (int)strtol(d->pci_bus_id, &end, 16);
	d->pci_bus = *end == ':' ? (int)strtol(end + 1, &end, 16) : 0;
	d->pci_device = *end == ':' ? (int)strtol(end + 1, &end, 16) : 0;
}

static void fill(struct vgpu_device *d, int real, const struct vgpu_ret_device_snapshot *s)
{
	size_t i;

	d->real = real;
	d->total_mem = s->total_mem;
	memcpy(d->attributes, s->attributes, sizeof(d->attributes));
	d->attribute_count = s->attribute_count < VGPU_ATTRIBUTES ? s->attribute_count : VGPU_ATTRIBUTES;
	for (i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++)
		d->attributes[not_here[i]] = 0;
	/* Those are the shim's own (host_pool.c), whatever the driver has. */
	d->attributes[CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED] =
		d->attributes[CU_DEVICE_ATTRIBUTE_HOST_NUMA_MEMORY_POOLS_SUPPORTED] =
			d->attributes[CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED];
	d->attributes[CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES] &= CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	d->priority_least = s->priority_least;
	d->priority_greatest = s->priority_greatest;
	d->primary_flags = s->primary_flags;
	memcpy(d->uuid, s->uuid, sizeof(d->uuid));
	memcpy(d->uuid_v2, s->uuid_v2, sizeof(d->uuid_v2));
	memcpy(d->pci_bus_id, s->pci_bus_id, sizeof(d->pci_bus_id));
	d->pci_bus_id[sizeof(d->pci_bus_id) - 1] = '\0';
	memcpy(d->name, s->name, sizeof(d->name));
	d->name[sizeof(d->name) - 1] = '\0';
	parse_pci(d);
}

CUresult vgpu_device_init(const char *visible)
{
	static struct vgpu_ret_device_snapshot all[VGPU_DEVICES];
	uint8_t uuids[VGPU_DEVICES][16];
	int chosen[VGPU_DEVICES], i, count;
	CUresult r;

	r = fetch(0, &all[0]);
	if (r)
		return r;
	count = all[0].device_count < VGPU_DEVICES ? all[0].device_count : VGPU_DEVICES;
	for (i = 1; i < count; i++) {
		r = fetch(i, &all[i]);
		if (r)
			return r;
	}
	for (i = 0; i < count; i++)
		memcpy(uuids[i], all[i].uuid, 16);
	devices.driver_version = all[0].driver_version;
	devices.count = vgpu_visible_devices(visible, count, (const uint8_t (*)[16])uuids, chosen);
	for (i = 0; i < devices.count; i++)
		fill(&devices.device[i], chosen[i], &all[chosen[i]]);
	if (devices.count)
		return CUDA_SUCCESS;
	vgpu_info("CUDA_VISIBLE_DEVICES='%s' selects none of %d devices", visible ? visible : "", count);
	return CUDA_ERROR_NO_DEVICE;
}

int vgpu_device_count(void)
{
	return devices.count;
}

int vgpu_driver_version(void)
{
	return devices.driver_version;
}

bool vgpu_device_valid(CUdevice dev)
{
	return dev >= 0 && dev < devices.count;
}

const struct vgpu_device *vgpu_device(CUdevice dev)
{
	return &devices.device[dev];
}

int vgpu_device_real(CUdevice dev)
{
	return devices.device[dev].real;
}

/* Checks in the order of the native driver: initialised, pointer, device. */
static CUresult look(CUdevice dev, const void *out)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_device_valid(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult r = look(ordinal, device);

	if (!r)
		*device = ordinal;
	return r;
}

CUresult cuDeviceGetCount(int *count)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = devices.count;
	return CUDA_SUCCESS;
}

static CUresult copy_text(char *to, int size, const char *from)
{
	if (size <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(to, (size_t)size, "%s", from);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
	CUresult r = look(dev, name);

	return r ? r : copy_text(name, len, devices.device[dev].name);
}

CUresult cuDeviceGetPCIBusId(char *pci_bus_id, int len, CUdevice dev)
{
	CUresult r = look(dev, pci_bus_id);

	if (!r && len <= (int)strlen(devices.device[dev].pci_bus_id))
		return CUDA_ERROR_INVALID_VALUE;	/* it is not cut, unlike a name */
	return r ? r : copy_text(pci_bus_id, len, devices.device[dev].pci_bus_id);
}

CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *pci_bus_id)
{
	unsigned int domain = 0, bus, device, function = 0;
	CUresult r = vgpu_ready();
	int i, n;

	if (r)
		return r;
	if (!dev || !pci_bus_id)
		return CUDA_ERROR_INVALID_VALUE;
	n = sscanf(pci_bus_id, "%x:%x:%x.%x", &domain, &bus, &device, &function);
	if (n < 3) {
		domain = 0;
		if (sscanf(pci_bus_id, "%x:%x.%x", &bus, &device, &function) < 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (i = 0; i < devices.count; i++)
		if (devices.device[i].pci_domain == (int)domain && devices.device[i].pci_bus == (int)bus &&
		    devices.device[i].pci_device == (int)device) {
			*dev = i;
			return CUDA_SUCCESS;
		}
	return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	CUresult r = look(dev, uuid);

	if (!r)
		memcpy(uuid->bytes, devices.device[dev].uuid, sizeof(uuid->bytes));
	return r;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	CUresult r = look(dev, uuid);

	if (!r)
		memcpy(uuid->bytes, devices.device[dev].uuid_v2, sizeof(uuid->bytes));
	return r;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	CUresult r = look(dev, bytes);

	if (!r)
		*bytes = devices.device[dev].total_mem;
	return r;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attrib, CUdevice dev)
{
	CUresult r = look(dev, value);

	if (r)
		return r;
	if ((int)attrib < 1 || (int)attrib >= devices.device[dev].attribute_count)
		return CUDA_ERROR_INVALID_VALUE;
	*value = devices.device[dev].attributes[attrib];
	return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	CUresult r = look(dev, major && minor ? major : NULL);

	if (r)
		return r;
	*major = devices.device[dev].attributes[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR];
	*minor = devices.device[dev].attributes[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR];
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
	CUresult r = look(dev, prop);
	const int *a;

	if (r)
		return r;
	a = devices.device[dev].attributes;
	prop->maxThreadsPerBlock = a[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
	prop->maxThreadsDim[0] = a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X];
	prop->maxThreadsDim[1] = a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y];
	prop->maxThreadsDim[2] = a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z];
	prop->maxGridSize[0] = a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X];
	prop->maxGridSize[1] = a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y];
	prop->maxGridSize[2] = a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z];
	prop->sharedMemPerBlock = a[CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK];
	prop->totalConstantMemory = a[CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY];
	prop->SIMDWidth = a[CU_DEVICE_ATTRIBUTE_WARP_SIZE];
	prop->memPitch = a[CU_DEVICE_ATTRIBUTE_MAX_PITCH];
	prop->regsPerBlock = a[CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK];
	prop->clockRate = a[CU_DEVICE_ATTRIBUTE_CLOCK_RATE];
	prop->textureAlign = a[CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT];
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetLuid(char *luid, unsigned int *device_node_mask, CUdevice dev)
{
	CUresult r = look(dev, luid && device_node_mask ? luid : NULL);

	return r ? r : vgpu_unsupported("cuDeviceGetLuid");
}

CUresult cuDeviceRegisterAsyncNotification(CUdevice dev, CUasyncCallback callback, void *user_data,
					   CUasyncCallbackHandle *handle)
{
	CUresult r = vgpu_ready();

	(void)user_data;
	if (r)
		return r;
	return callback && handle && vgpu_device_valid(dev) ? vgpu_unsupported("cuDeviceRegisterAsyncNotification") :
							      CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceUnregisterAsyncNotification(CUdevice dev, CUasyncCallbackHandle handle)
{
	CUresult r = vgpu_ready();

	(void)dev;
	(void)handle;
	return r ? r : CUDA_ERROR_INVALID_VALUE;
}
