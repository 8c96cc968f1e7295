/* SPDX-License-Identifier: MIT */
/*
 * One question about devices, while it is answered: the parameters come out of a private copy of the command, the
 * results go into the private reply; generated code (gen/nvml_table.c) does both with the functions below, in the
 * order of the function's parameters.  Whatever does not fit makes the frame bad, and the function is not called.  A
 * pointer that is NULL with the caller is NULL here, and a struct of a version that nobody here knows arrives as its
 * version word alone: what is wrong with them the driver says, and where there is none nvml_frame_wrong().  The
 * worker's only thread.
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
	uint64_t nulls;		/* a bit for each pointer: which are NULL */
	uint32_t pointers;	/* so far */
	bool strict;		/* nobody behind this looks for what is NULL or unknown */
	uint8_t *answer;	/* zeroed */
	uint32_t answer_size, answer_at;
	bool bad;
	bool missing;		/* a pointer that must not be is NULL */
	nvmlReturn_t strange;	/* what a struct of an unknown version is wrong with, or NVML_SUCCESS */
};

/* An index that does not exist gives NULL, which NVML itself refuses. */
nvmlDevice_t nvml_take_device(struct nvml_frame *f);
uint64_t nvml_take(struct nvml_frame *f);
/* Room for a result. NULL: does not fit, or the caller has none. */
void *nvml_room(struct nvml_frame *f, uint32_t size);
/* The bytes that the caller has room for, at most `whole`. */
unsigned int nvml_take_size(struct nvml_frame *f, uint32_t whole);
/* A list: its count (in the answer, holding what the caller has room for), then the items. */
unsigned int *nvml_take_count(struct nvml_frame *f, uint32_t item);
void *nvml_room_list(struct nvml_frame *f, const unsigned int *count, uint32_t item);
/*
 * Parameters that are results, too: a copy in the answer. A struct opens with one of `count` version words, or is
 * answered `otherwise` where no driver answers.
 */
void *nvml_take_struct(struct nvml_frame *f, const uint32_t *versions, uint32_t count, nvmlReturn_t otherwise);
void *nvml_take_array(struct nvml_frame *f, int count, uint32_t item);

/* Why the function cannot be called with these parameters, or NVML_SUCCESS. */
nvmlReturn_t nvml_frame_wrong(const struct nvml_frame *f);

#endif
