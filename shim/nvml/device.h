/* SPDX-License-Identifier: MIT */
/* Handles of devices: addresses in a table, never dereferenced. Any thread. */
#ifndef VGPU_NVML_DEVICE_H
#define VGPU_NVML_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/nvml.h>

#define NVML_DEVICES 64u	/* more than a host has */

nvmlDevice_t nvml_device_handle(uint32_t index);
/* False if it is no handle of a device. */
bool nvml_device_index(nvmlDevice_t device, uint32_t *index);

#endif
