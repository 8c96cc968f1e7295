/* SPDX-License-Identifier: MIT */
/*
 * How the worker tells a real driver from the guest library of this project, which has the same file name: the guest
 * library answers cuGetExportTable for this id with a table of one word, its size; a driver does not know the id.
 */
#ifndef VGPU_IDENTITY_H
#define VGPU_IDENTITY_H

#include <vgpu/cuda_types.h>

#define VGPU_IDENTITY_TABLE { { 'v', 'g', 'p', 'u', ' ', 'g', 'u', 'e', 's', 't', ' ', 'l', 'i', 'b', 'r', '.' } }

/* The same for libnvidia-ml.so.1: a symbol that the guest library exports besides NVML's. */
#define VGPU_IDENTITY_NVML "vgpu_guest_nvml"

#endif
