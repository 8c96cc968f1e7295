/* SPDX-License-Identifier: MIT */
/*
 * Devices, numbered as the application sees them (after CUDA_VISIBLE_DEVICES).
 * Everything that can be asked is fetched once, in cuInit, and constant from then on.
 */
#ifndef VGPU_SHIM_DEVICE_H
#define VGPU_SHIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#define VGPU_DEVICES	64
#define VGPU_ATTRIBUTES	256

struct vgpu_device {
	int real;			/* the worker's ordinal */
	uint64_t total_mem;		/* bytes */
	int attributes[VGPU_ATTRIBUTES];
	int attribute_count;
	int priority_least, priority_greatest;
	uint32_t primary_flags;
	uint8_t uuid[16];
	uint8_t uuid_v2[16];
	int pci_domain, pci_bus, pci_device;
	char pci_bus_id[20];
	char name[96];
};

/* Fetch the snapshots. `visible`: CUDA_VISIBLE_DEVICES or NULL. */
CUresult vgpu_device_init(const char *visible);
int vgpu_device_count(void);
int vgpu_driver_version(void);
bool vgpu_device_valid(CUdevice dev);
/* `dev` is valid. */
const struct vgpu_device *vgpu_device(CUdevice dev);
int vgpu_device_real(CUdevice dev);

/*
 * Which of `count` devices, named by their UUIDs, a CUDA_VISIBLE_DEVICES text
 * selects: ordinals or "GPU-<uuid prefix>", comma-separated, up to the first
 * that does not exist; a repeated one selects nothing at all. Returns how many, and
 * their ordinals in `chosen` (count entries).
 */
int vgpu_visible_devices(const char *text, int count, const uint8_t (*uuids)[16], int *chosen);

#endif
