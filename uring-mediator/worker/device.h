/* SPDX-License-Identifier: MIT */
/*
 * The device that this worker drives: a table of driver functions, cuda or soft, initialised, with the primary
 * context of device 0 retained and current.  Made once when the worker starts, before it knows its guest.
 */
#ifndef VGPU_WORKER_DEVICE_H
#define VGPU_WORKER_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/shm.h>

struct vgpu_driver;
struct vgpu_monitor;
struct vgpu_worker_stats;

enum vgpu_device_choice {
	VGPU_DEVICE_AUTO,	/* cuda if the host has a usable GPU, else soft */
	VGPU_DEVICE_CUDA,
	VGPU_DEVICE_SOFT,
};

struct vgpu_device {
	const struct vgpu_driver *drv;
	struct vgpu_worker_stats *stats;	/* where the soft device accounts for its time */
	enum vgpu_backend backend;
	int driver_version;
	uint32_t count;
	char name[96];			/* of device 0 */
	CUcontext primary;		/* of device 0, retained */
	CUstream probe;			/* non-blocking, always empty: what the watchdog asks */
	/* Bounds the next image that is loaded; NULL: the backend trusts lengths inside images (image.c checks them). */
	void (*limit_image)(size_t bytes);
	/*
	 * A descriptor, the caller's, through which another process can map the allocation at `start`, and where in it that
	 * lies. 0 or -errno. NULL: the driver has handles for that.
	 */
	int (*share)(CUdeviceptr start, int *fd, uint64_t *offset);
	/* The same for an event made to be shared, and what opens it elsewhere. */
	int (*share_event)(CUevent event, int *fd);
	CUresult (*open_event)(int fd, CUevent *event);
	/* As cuMemPoolExportPointer and cuMemPoolImportPointer, with a descriptor beside the data: the caller's. */
	CUresult (*share_pointer)(CUdeviceptr start, CUmemPoolPtrExportData *data, int *fd);
	CUresult (*open_pointer)(CUmemoryPool pool, const CUmemPoolPtrExportData *data, int fd, CUdeviceptr *start);
	/* Does this image, compressed or not, contain the text? NULL: it is looked for as it lies there. */
	bool (*image_mentions)(const void *image, size_t bytes, const char *text);
	struct vgpu_monitor *monitor;	/* NULL, or this process answers questions only, and all else here is empty */
	struct vgpu_range ranges[VGPU_MAX_RANGES];
	uint32_t range_count;
};

/*
 * Open and initialise. `devices`: "all" or a list as in CUDA_VISIBLE_DEVICES, for the cuda backend; `soft_devices`: how many the
 * soft device has (1..8). 0, or -ENODEV with one line for
 * people in `why`.
 */
int vgpu_device_open(struct vgpu_device *d, struct vgpu_worker_stats *stats, enum vgpu_device_choice choice,
		     const char *devices, unsigned int soft_devices, char *why, size_t size);

/* backend_cuda.c: the table filled from libcuda.so.1; NULL with a line in `why`. Call once. */
const struct vgpu_driver *vgpu_cuda_driver(char *why, size_t size);

/*
 * maps.c: an address layout that suits guests; may start this program anew, with the same arguments. Before
 * anything is opened.
 */
void vgpu_maps_prepare(char **argv);

/*
 * maps.c: the addresses that the driver holds in this process, and those that it will come to hold when it maps up to
 * `spare` bytes more; at most `max` ranges.
 */
uint32_t vgpu_maps_driver_ranges(struct vgpu_range *ranges, uint32_t max, uint64_t spare);

#endif
