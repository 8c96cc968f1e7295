/* SPDX-License-Identifier: MIT */
/* Included ahead of every source of the library: what is exported is what the API description names. */
#ifndef VGPU_SHIM_EXPORTS_H
#define VGPU_SHIM_EXPORTS_H

#pragma GCC visibility push(default)
#include <gen/cuda_api.h>
#pragma GCC visibility pop

#endif
