/* SPDX-License-Identifier: MIT */
/*
 * Life of the library: how often it was initialised, names of results, and the lines about what it does not support.
 * Any thread.
 */
#include "nvml/init.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "nvml/call.h"
#include "nvml/hand.h"
#include "nvml/link.h"

#define NAMES_TOLD 512

const unsigned int vgpu_guest_nvml = 1;

static _Atomic uint32_t users;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool nvml_initialised(void)
{
	return atomic_load_explicit(&users, memory_order_acquire) != 0;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
	nvmlReturn_t r;

	(void)flags;	/* NO_GPUS and NO_ATTACH: nothing here fails for want of a device, or attaches to one */
	pthread_mutex_lock(&lock);
	r = nvml_link_open();
	if (!r)
		atomic_fetch_add(&users, 1);
	pthread_mutex_unlock(&lock);
	return r;
}

nvmlReturn_t nvmlInit_v2(void)
{
	return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlInit(void)
{
	return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlShutdown(void)
{
	nvmlReturn_t r = NVML_SUCCESS;

	pthread_mutex_lock(&lock);
	if (!atomic_load(&users))
		r = NVML_ERROR_UNINITIALIZED;
	else if (atomic_fetch_sub(&users, 1) == 1)
		nvml_link_close();
	pthread_mutex_unlock(&lock);
	return r;
}

const char *nvmlErrorString(nvmlReturn_t result)
{
	static const char *const texts[] = {
		[NVML_SUCCESS] = "Success",
		[NVML_ERROR_UNINITIALIZED] = "Uninitialized",
		[NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
		[NVML_ERROR_NOT_SUPPORTED] = "Not Supported",
		[NVML_ERROR_NO_PERMISSION] = "Insufficient Permissions",
		[NVML_ERROR_ALREADY_INITIALIZED] = "Already Initialized",
		[NVML_ERROR_NOT_FOUND] = "Not Found",
		[NVML_ERROR_INSUFFICIENT_SIZE] = "Insufficient Size",
		[NVML_ERROR_INSUFFICIENT_POWER] = "Insufficient External Power",
		[NVML_ERROR_DRIVER_NOT_LOADED] = "Driver Not Loaded",
		[NVML_ERROR_TIMEOUT] = "Timeout",
		[NVML_ERROR_IRQ_ISSUE] = "Interrupt Request Issue",
		[NVML_ERROR_LIBRARY_NOT_FOUND] = "NVML Shared Library Not Found",
		[NVML_ERROR_FUNCTION_NOT_FOUND] = "Function Not Found",
		[NVML_ERROR_CORRUPTED_INFOROM] = "Corrupted infoROM",
		[NVML_ERROR_GPU_IS_LOST] = "GPU is lost",
		[NVML_ERROR_RESET_REQUIRED] = "GPU requires reset",
		[NVML_ERROR_OPERATING_SYSTEM] = "GPU access blocked by the operating system",
		[NVML_ERROR_LIB_RM_VERSION_MISMATCH] = "Driver/library version mismatch",
		[NVML_ERROR_IN_USE] = "In use by another client",
		[NVML_ERROR_MEMORY] = "Insufficient Memory",
		[NVML_ERROR_NO_DATA] = "No data",
		[NVML_ERROR_VGPU_ECC_NOT_SUPPORTED] = "vGPU ECC not supported",
		[NVML_ERROR_INSUFFICIENT_RESOURCES] = "Insufficient Resources",
		[NVML_ERROR_FREQ_NOT_SUPPORTED] = "Invalid Frequency",
		[NVML_ERROR_ARGUMENT_VERSION_MISMATCH] = "Argument version mismatch",
		[NVML_ERROR_DEPRECATED] = "Requested functionality has been deprecated",
		[NVML_ERROR_NOT_READY] = "System is not in ready state",
		[NVML_ERROR_GPU_NOT_FOUND] = "No supported GPUs were found",
		[NVML_ERROR_INVALID_STATE] = "Resource not in correct state to perform requested operation",
		[NVML_ERROR_RESET_TYPE_NOT_SUPPORTED] = "Reset type is not supported for given device",
	};

	return (size_t)result < sizeof(texts) / sizeof(texts[0]) ? texts[result] : "Unknown Error";
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length)
{
	char path[32], text[1024];
	ssize_t n;
	int fd;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!name || !length)
		return NVML_ERROR_INVALID_ARGUMENT;
	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? NVML_ERROR_NO_PERMISSION : NVML_ERROR_NOT_FOUND;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return NVML_ERROR_NOT_FOUND;
	text[n] = '\0';		/* the first argument ends with its own */
	if (snprintf(name, length, "%s", text) >= (int)length)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	return NVML_SUCCESS;
}

/*
 * Names are literals of the generated file, each in one place: the pointer is the identity. Tools ask for everything and
 * show what they get, so the answer is an everyday one: a warning, which nobody sees unasked.
 */
static nvmlReturn_t refuse(const char *name, nvmlReturn_t error, const char *why)
{
	static const char *told[NAMES_TOLD];
	size_t i;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	pthread_mutex_lock(&lock);
	for (i = 0; i < NAMES_TOLD && told[i] && told[i] != name; i++)
		;
	if (i < NAMES_TOLD && !told[i]) {
		told[i] = name;
		vgpu_warn("%s %s", name, why);
	}
	pthread_mutex_unlock(&lock);
	return error;
}

nvmlReturn_t nvml_unsupported(const char *name)
{
	return refuse(name, NVML_ERROR_NOT_SUPPORTED, "is not supported: NVML_ERROR_NOT_SUPPORTED");
}

nvmlReturn_t nvml_denied(const char *name)
{
	return refuse(name, NVML_ERROR_NO_PERMISSION, "is the host's to call: NVML_ERROR_NO_PERMISSION");
}
