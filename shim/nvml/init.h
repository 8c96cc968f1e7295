/* SPDX-License-Identifier: MIT */
/* Has the library been initialised, more often than shut down? A load; any thread. */
#ifndef VGPU_NVML_INIT_H
#define VGPU_NVML_INIT_H

#include <stdbool.h>

bool nvml_initialised(void);

#endif
