/* SPDX-License-Identifier: MIT */
/*
 * One question about devices, while it is answered: the parameters come out of a private copy of the command, the
 * results go into the private reply; generated code (gen/nvml_table.c) does both with the functions below, in the
 * order of the function's parameters.  Whatever does not fit or does not exist makes the frame bad, and the function
 * is not called.  The worker's only thread.
 */
#ifndef VGPU_NVML_FRAME_H
#define VGPU_NVML_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/nvml.h>

struct vgpu_monitor;

struct nvml_frame {
	const struct vgpu_monitor *monitor;
	const uint8_t *asked;
	uint32_t asked_size, asked_at;
	uint32_t device;	/* index, as the guest says */
	bool device_taken;
	uint8_t *answer;	/* zeroed */
	uint32_t answer_size, answer_at;
	bool bad;
};

/* An index that does not exist gives NULL, which NVML itself refuses. */
nvmlDevice_t nvml_take_device(struct nvml_frame *f);
uint64_t nvml_take(struct nvml_frame *f);
/* Room for a result. NULL: does not fit. */
void *nvml_room(struct nvml_frame *f, uint32_t size);
/* A list: its count (in the answer, holding what the caller has room for), then the items; NULL for none. */
unsigned int *nvml_take_count(struct nvml_frame *f, uint32_t item);
void *nvml_room_list(struct nvml_frame *f, const unsigned int *count, uint32_t item);
/* Parameters that are results, too: a copy in the answer. A struct opens with one of `count` version words. */
void *nvml_take_struct(struct nvml_frame *f, const uint32_t *versions, uint32_t count);
void *nvml_take_array(struct nvml_frame *f, int count, uint32_t item);

static inline bool nvml_frame_bad(const struct nvml_frame *f)
{
	return f->bad;
}

#endif
