/* SPDX-License-Identifier: MIT */
/*
 * Devices: configuration, reservation of memory, and what cuDeviceGet* tell. Numbers that have no meaning on a CPU
 * (textures, clocks) are those of a device of the configured capability, so that programs find nothing odd.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "context.h"
#include "device.h"
#include "space.h"

#define DEFAULT_MEMORY (4ull << 30)
#define SPACE_FACTOR 16 /* bytes of address space to map memory into, for each byte of a device */
#define MAX_MEMORY (1ull << 40)

struct soft_device soft_devices[SOFT_MAX_DEVICES];
struct vgpu_soft_config soft_config;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;

void soft_log(enum vgpu_soft_level level, const char *format, ...)
{
	char line[512];
	va_list args;

	if (!soft_config.log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	soft_config.log(soft_config.ctx, level, line);
}

int vgpu_soft_configure(const struct vgpu_soft_config *config)
{
	int rc = 0;

	if (config->devices > SOFT_MAX_DEVICES || config->memory > MAX_MEMORY || config->threads > 1024 ||
	    (config->capability && (config->capability < 50 || config->capability > 129)))
		return -EINVAL;
	pthread_mutex_lock(&lock);
	if (started)
		rc = -EBUSY;
	else
		soft_config = *config;
	pthread_mutex_unlock(&lock);
	return rc;
}

static void fill_defaults(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!soft_config.memory)
		soft_config.memory = DEFAULT_MEMORY;
	soft_config.memory = (soft_config.memory + SOFT_CHUNK - 1) & ~(SOFT_CHUNK - 1);
	if (!soft_config.devices)
		soft_config.devices = 1;
	if (!soft_config.threads)
		soft_config.threads = cores > 0 ? (unsigned)cores : 1;
	if (!soft_config.capability)
		soft_config.capability = 90;
}

/* ThreadSanitizer lets a program have three ranges of addresses; in this one nothing else lies. */
#if defined(__SANITIZE_THREAD__)
#define LOWEST_BASE 0x001000000000ull
#define BASE_SPAN 0x006000000000ull
#else
#define LOWEST_BASE 0x200000000000ull
#define BASE_SPAN 0x300000000000ull
#endif

/*
 * A base between 0x2000'0000'0000 and 0x5000'0000'0000: far from where programs, libraries and stacks usually lie, so
 * that guest and worker rarely disagree; the seed spreads workers over it (splitmix64).
 */
static uint64_t base_address(unsigned ordinal)
{
	uint64_t z = soft_config.seed * SOFT_MAX_DEVICES + ordinal + 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return LOWEST_BASE + z % (BASE_SPAN >> SOFT_CHUNK_SHIFT) * SOFT_CHUNK;
}

int soft_start(void)
{
	unsigned i;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!started) {
		fill_defaults();
		for (i = 0; i < soft_config.devices && !rc; i++) {
			soft_devices[i].ordinal = (int)i;
			rc = soft_heap_init(&soft_devices[i].heap, base_address(i), soft_config.memory, 512);
		}
		if (!rc)
			rc = soft_space_init(base_address(SOFT_MAX_DEVICES), soft_config.memory * SPACE_FACTOR);
		started = !rc;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

int vgpu_soft_ranges(struct vgpu_range *out, int max)
{
	int i;

	if (soft_start() < 0)
		return -ENOMEM;
	for (i = 0; i < (int)soft_config.devices && i < max; i++) {
		out[i].start = soft_devices[i].heap.base;
		out[i].size = soft_devices[i].heap.span;
	}
	if (i < max)
		out[i] = soft_space_range();
	return (int)soft_config.devices + 1;
}

struct soft_device *soft_device_get(CUdevice ordinal)
{
	return ordinal >= 0 && ordinal < (int)soft_config.devices ? &soft_devices[ordinal] : NULL;
}

/* Checks that open calls about a device, which need no context and work in a poisoned process. */
static CUresult device_call(CUdevice dev, const void *out)
{
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return soft_device_get(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult soft_cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = SOFT_DRIVER_VERSION;
	return CUDA_SUCCESS;
}

static CUresult soft_cuDeviceGetCount(int *count)
{
	CUresult rc = device_call(0, count);

	if (!rc)
		*count = (int)soft_config.devices;
	return rc;
}

static CUresult soft_cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult rc = device_call(ordinal, device);

	if (!rc)
		*device = ordinal;
	return rc;
}

static CUresult soft_cuDeviceGetName(char *name, int len, CUdevice dev)
{
	CUresult rc = device_call(dev, name);

	if (!rc && len <= 0)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		snprintf(name, (size_t)len, "vGPU soft device %d", dev);
	return rc;
}

static CUresult soft_cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	CUresult rc = device_call(dev, uuid);

	if (!rc) {
		memcpy(uuid->bytes, "vGPU-soft-dev\0\0", 16);
		uuid->bytes[15] = (char)(dev + 1);
	}
	return rc;
}

static CUresult soft_cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	CUresult rc = device_call(dev, bytes);

	if (!rc)
		*bytes = soft_config.memory;
	return rc;
}

static CUresult soft_cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	CUresult rc = device_call(dev, major && minor ? major : NULL);

	if (!rc) {
		*major = (int)soft_config.capability / 10;
		*minor = (int)soft_config.capability % 10;
	}
	return rc;
}

static CUresult soft_cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice dev)
{
	CUresult rc = device_call(dev, value);

	if (!rc && (which < 1 || which >= CU_DEVICE_ATTRIBUTE_MAX))
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		*value = soft_device_attribute(which, soft_device_get(dev));
	return rc;
}

static CUresult soft_cuDeviceGetProperties(CUdevprop *p, CUdevice dev)
{
	CUresult rc = device_call(dev, p);

	if (rc)
		return rc;
	*p = (CUdevprop){
		.maxThreadsPerBlock = SOFT_MAX_BLOCK_THREADS,
		.maxThreadsDim = { 1024, 1024, 64 },
		.maxGridSize = { 0x7fffffff, 65535, 65535 },
		.sharedMemPerBlock = SOFT_SHARED_BYTES,
		.totalConstantMemory = 65536,
		.SIMDWidth = 32,
		.memPitch = 0x7fffffff,
		.regsPerBlock = SOFT_REGISTERS,
		.clockRate = soft_device_attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE, soft_device_get(dev)),
		.textureAlign = 512,
	};
	return CUDA_SUCCESS;
}

static CUresult soft_cuDeviceGetPCIBusId(char *id, int len, CUdevice dev)
{
	CUresult rc = device_call(dev, id);

	if (!rc && len <= 0)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		snprintf(id, (size_t)len, "0000:%02X:00.0", dev + 1);
	return rc;
}

static CUresult soft_cuDeviceGetByPCIBusId(CUdevice *dev, const char *id)
{
	CUresult rc = device_call(0, dev && id ? dev : NULL);
	unsigned domain = 0, bus, device, function = 0;

	if (rc)
		return rc;
	if (sscanf(id, "%x:%x:%x.%x", &domain, &bus, &device, &function) < 3) {
		domain = 0;
		if (sscanf(id, "%x:%x.%x", &bus, &device, &function) < 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (domain || device || function || !bus || !soft_device_get((CUdevice)bus - 1))
		return CUDA_ERROR_INVALID_DEVICE;
	*dev = (CUdevice)bus - 1;
	return CUDA_SUCCESS;
}

static CUresult soft_cuDeviceCanAccessPeer(int *can, CUdevice dev, CUdevice peer)
{
	CUresult rc = device_call(dev, can);

	if (!rc && !soft_device_get(peer))
		rc = CUDA_ERROR_INVALID_DEVICE;
	if (!rc)
		*can = dev != peer;
	return rc;
}

static CUresult soft_cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute which, CUdevice src, CUdevice dst)
{
	CUresult rc = device_call(src, value);

	if (!rc && (!soft_device_get(dst) || src == dst))
		rc = CUDA_ERROR_INVALID_DEVICE;
	if (!rc && (which < CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ||
		    which > CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED))
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		*value = which == CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED ||
			 which == CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED;
	return rc;
}

static CUresult soft_cuDeviceGetExecAffinitySupport(int *value, CUexecAffinityType type, CUdevice dev)
{
	CUresult rc = device_call(dev, value);

	if (!rc && type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		*value = 0;
	return rc;
}

void soft_fill_device(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuDriverGetVersion);
	SOFT_SLOT(d, cuDeviceGetCount);
	SOFT_SLOT(d, cuDeviceGet);
	SOFT_SLOT(d, cuDeviceGetName);
	SOFT_SLOT(d, cuDeviceGetUuid);
	d->cuDeviceGetUuid_v2 = soft_cuDeviceGetUuid;
	SOFT_SLOT(d, cuDeviceTotalMem_v2);
	SOFT_SLOT(d, cuDeviceComputeCapability);
	SOFT_SLOT(d, cuDeviceGetAttribute);
	SOFT_SLOT(d, cuDeviceGetProperties);
	SOFT_SLOT(d, cuDeviceGetPCIBusId);
	SOFT_SLOT(d, cuDeviceGetByPCIBusId);
	SOFT_SLOT(d, cuDeviceCanAccessPeer);
	SOFT_SLOT(d, cuDeviceGetP2PAttribute);
	SOFT_SLOT(d, cuDeviceGetExecAffinitySupport);
}
