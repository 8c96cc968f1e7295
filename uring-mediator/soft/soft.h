/* SPDX-License-Identifier: MIT */
/*
 * The soft device: a small CUDA driver on the CPU, behind the same table as the real one.
 *
 * One process uses it as it would use libcuda: from any of its threads, after cuInit. Work is asynchronous (streams
 * are queues served by the device's own threads), device memory is identity-mapped: a device address is an address of
 * this process inside a reservation that vgpu_soft_ranges() tells. Kernels are PTX, interpreted.
 *
 * After a fault of a kernel (illegal address, trap, assert, ...) the process is poisoned, as natively: the error is
 * returned by every later call that does work, pending work is dropped, and that includes cuStreamWriteValue: a fence
 * queued behind the fault is never written. Whoever waits for fences asks vgpu_soft_fault() (or cuStreamQuery) now
 * and then.
 */
#ifndef VGPU_SOFT_H
#define VGPU_SOFT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu/cuda_types.h"
#include "vgpu/nvml.h"
#include "vgpu/shm.h"

struct vgpu_driver;
struct vgpu_nvml;

enum vgpu_soft_level { VGPU_SOFT_ERROR = 3, VGPU_SOFT_WARNING = 4, VGPU_SOFT_INFO = 6 };

/* Zero or NULL anywhere means the default. */
struct vgpu_soft_config {
	uint64_t memory;         /* bytes of memory of each device, sparse; 4 GiB. Rounded up to 2 MiB */
	unsigned devices;        /* 1..8; 1 */
	uint64_t seed;           /* of the address layout: another seed, other device addresses */
	unsigned threads;        /* that run blocks of one kernel; the number of cores */
	unsigned capability;     /* compute capability times ten; 90 */
	/* One line for people, no newline. Any thread. Default: dropped. */
	void (*log)(void *ctx, enum vgpu_soft_level level, const char *line);
	/*
	 * Output of kernels' printf and assert, as written. Threads of the device. Default: standard output for the
	 * one, standard error for the other, as a driver does.
	 */
	void (*print)(void *ctx, const char *text, size_t len);
	void *ctx;
	/*
	 * NULL, or the account of the time in which kernels ran, ns: up to the end of the last such stretch, and since
	 * when (CLOCK_MONOTONIC) the present one lasts, 0 for none. Written by the device's threads for as long as it lives.
	 */
	_Atomic uint64_t *busy_ns, *busy_since;
};

/* The table; a NULL slot is a call that is not supported. Valid for ever, never NULL, any thread. */
const struct vgpu_driver *vgpu_soft_driver(void);

/* Before cuInit and vgpu_soft_ranges, or -EBUSY; -EINVAL for values out of range. 0 otherwise. */
int vgpu_soft_configure(const struct vgpu_soft_config *config);

/*
 * Address ranges that device memory has or may ever have; reserves them when that has not happened yet. Returns how
 * many there are (at most @max are written), or -ENOMEM.
 */
int vgpu_soft_ranges(struct vgpu_range *out, int max);

/*
 * Bounds the image of the next cuModuleLoadData, cuModuleLoadDataEx, cuModuleLoadFatBinary or cuLibraryLoadData of
 * this thread: it has @size bytes, nothing behind them is read, and a form that contains pointers (the fat binary
 * wrapper) is refused. Without this the image is trusted to say its own length, as in the native call.
 */
void vgpu_soft_set_image_limit(size_t size);

/*
 * A descriptor, the caller's, of the memory in which the allocation that starts at @start lies, and *offset of the
 * allocation in it, both bytes: another process's soft device imports it with cuMemImportFromShareableHandle. Waits for
 * all work. 0 or -errno.
 */
int vgpu_soft_share(CUdeviceptr start, int *fd, uint64_t *offset);

/*
 * The same for an event that was made with CU_EVENT_INTERPROCESS; vgpu_soft_open_event() in the other process makes an event
 * of it, in the current context. 0 or -errno; INVALID_HANDLE for another descriptor.
 */
int vgpu_soft_share_event(CUevent event, int *fd);
CUresult vgpu_soft_open_event(int fd, CUevent *event);

/*
 * As cuMemPoolExportPointer and cuMemPoolImportPointer, with a descriptor beside the data, the caller's in both. Sharing
 * waits for all work.
 */
CUresult vgpu_soft_share_pointer(CUdeviceptr start, CUmemPoolPtrExportData *data, int *fd);
CUresult vgpu_soft_open_pointer(CUmemoryPool pool, const CUmemPoolPtrExportData *data, int fd, CUdeviceptr *start);

/*
 * NVML of the soft device: fills what there is to tell of a device on the CPU, and a handle for each device (at most
 * @most). Returns how many there are, or -ENOMEM. Any thread, after vgpu_soft_configure.
 */
int vgpu_soft_nvml(struct vgpu_nvml *table, nvmlDevice_t *devices, uint32_t most);

/*
 * Does a code image (PTX, machine code, fat binary) of @bytes bytes contain @text, in what is packed into it, too? Of
 * images that unpack to more than 32 MiB only the beginning is looked at. Any content, any thread.
 */
bool vgpu_soft_image_mentions(const void *image, size_t bytes, const char *text);

/* The sticky error of the process, or CUDA_SUCCESS. A memory load; any thread. */
CUresult vgpu_soft_fault(void);

/*
 * Stops running kernels, drops queued work and ends the device's threads. Every later call answers
 * CUDA_ERROR_DEINITIALIZED. For a process about to exit.
 */
void vgpu_soft_shutdown(void);

#endif
