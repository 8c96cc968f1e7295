/* SPDX-License-Identifier: MIT */
/*
 * The way to the monitor: a session of its own, beside the one that a libcuda in the same process may have. Opened by
 * the first question, closed by the last nvmlShutdown; a fork's child opens one of its own. One question at a time, under
 * the link's lock; any thread.
 */
#ifndef VGPU_NVML_LINK_H
#define VGPU_NVML_LINK_H

#include <stdint.h>

#include <vgpu/nvml.h>

struct nvml_call;

/* Connect, if that is not done: SUCCESS, DRIVER_NOT_LOADED (logged with the next step) or MEMORY. */
nvmlReturn_t nvml_link_open(void);
/*
 * Ask question `c` about `device`. The monitor's result, its answer in `answer` (NVML_ANSWER_MAX bytes) and the bytes
 * of it in *answer_size; or with *answer_size 0 why it could not be asked.
 */
nvmlReturn_t nvml_link_ask(const struct nvml_call *c, uint32_t device, void *answer, uint32_t *answer_size);
void nvml_link_close(void);

#endif
