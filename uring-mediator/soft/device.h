/* SPDX-License-Identifier: MIT */
/*
 * The devices of this process and its configuration: fixed before the first use, read-only afterwards.
 */
#ifndef VGPU_SOFT_DEVICE_H
#define VGPU_SOFT_DEVICE_H

#include "heap.h"
#include "soft.h"

#define SOFT_MAX_DEVICES 8
#define SOFT_MAX_BLOCK_THREADS 1024
#define SOFT_SHARED_BYTES 49152u       /* for each block, without opting in */
#define SOFT_SHARED_OPTIN 101376u
#define SOFT_SHARED_SM 102400u
#define SOFT_SM_THREADS 2048
#define SOFT_SM_BLOCKS 32
#define SOFT_REGISTERS 65536
#define SOFT_DRIVER_VERSION 13000

struct soft_device {
	int ordinal;
	struct soft_heap heap;
};

extern struct soft_device soft_devices[SOFT_MAX_DEVICES];
extern struct vgpu_soft_config soft_config; /* with the defaults filled in, once started */

/* Reserves the devices' memory, once. 0 or -ENOMEM. */
int soft_start(void);
/* The device with this number, NULL when there is none. */
struct soft_device *soft_device_get(CUdevice ordinal);
int soft_device_attribute(CUdevice_attribute which, const struct soft_device *d);
/* A line for the configured log. */
void soft_log(enum vgpu_soft_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
