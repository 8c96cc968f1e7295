/* SPDX-License-Identifier: MIT */
/*
 * A monitor: what a worker is that was started to answer questions about devices (NVML), and opens none.  It has no
 * context and no device memory.  Its table is NVML's, of the NVIDIA driver's library or of the soft device, under a
 * layer that shows each VM its own processes and its own share of memory only.  The worker's only thread.
 */
#ifndef VGPU_WORKER_MONITOR_H
#define VGPU_WORKER_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gen/nvml_table.h>

#include "control.h"
#include "device.h"

#define VGPU_MONITOR_DEVICES 64u

struct vgpu_io;
struct vgpu_session;

struct vgpu_monitor {
	struct vgpu_nvml table;		/* what guests get */
	struct vgpu_nvml backend;	/* what it rests on */
	nvmlDevice_t devices[VGPU_MONITOR_DEVICES];	/* those that guests may use, in their order */
	uint32_t count;
	bool soft;
	uint64_t memory_limit;		/* bytes for each session of this VM, 0: none */
	struct vgpu_io *io;		/* the way to the supervisor */
};

/* Fill *d and *m: as vgpu_device_open(), but nothing is opened. 0, or -ENODEV with one line in `why`. */
int vgpu_monitor_open(struct vgpu_monitor *m, struct vgpu_device *d, enum vgpu_device_choice choice,
		      const char *devices, unsigned int soft_devices, char *why, size_t size);

/* nvml_frame.c: may a monitor's guest send this? Everything else does not exist for it. */
bool vgpu_monitor_allows(uint16_t op);

/* nvml_view.c: lay what belongs to the VM over the backend's table. */
void vgpu_nvml_view(struct vgpu_monitor *m);

/* nvml_driver.c: table and devices of libnvidia-ml.so.1. Returns their number, or -ENODEV with a line in `why`. */
int vgpu_nvml_driver(struct vgpu_nvml *table, nvmlDevice_t *devices, uint32_t most, char *why, size_t size);

/* The library's function of that name into *to, a pointer of its type; false and NULL: it has none. */
bool vgpu_nvml_symbol(void *lib, const char *name, void *to);

/* nvml_gpm.c: samples of the driver's, by number. */
void vgpu_nvml_driver_gpm(struct vgpu_nvml *table, void *lib);

/* nvml_event.c: sets of the driver's, by number. */
void vgpu_nvml_driver_events(struct vgpu_nvml *table, void *lib);
/* The soft device has no events, but sets that nothing comes out of. */
void vgpu_nvml_soft_events(struct vgpu_nvml *table);
/* nvml_event.c: lay the VM's view over them. */
void vgpu_nvml_view_events(struct vgpu_monitor *m);

/* Ask the supervisor for the processes of this VM. False: it does not answer. */
bool vgpu_monitor_census(struct vgpu_monitor *m, struct vgpu_ctl_census *census);

#endif
