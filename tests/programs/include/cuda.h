/* SPDX-License-Identifier: MIT */
/*
 * Stands in for a toolkit's cuda.h, so that the programs of this folder compile without one. They
 * use the public API only: with a toolkit, leave this folder's include/ off the search path.
 */
#ifndef VGPU_TEST_CUDA_H
#define VGPU_TEST_CUDA_H

#include "vgpu/cuda_types.h"
#include "gen/cuda_api.h"
#include "gen/cuda_names.h"

#define CUDA_CB

#endif
