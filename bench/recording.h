/* SPDX-License-Identifier: MIT */
/*
 * A recording (vgpu/record.h) in memory, checked from its first byte to its last before anything of it is used. Constant
 * once it is open.
 */
#ifndef VGPU_BENCH_RECORDING_H
#define VGPU_BENCH_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/record.h>
#include <vgpu/ring.h>

struct recording {
	const uint8_t *data;		/* the whole file */
	size_t bytes;
	struct vgpu_record_file file;
	uint64_t commands, launches, waits, replies, results;
	uint64_t copied;		/* bytes that linear copies move */
	uint64_t host_calls;
	uint64_t from, to;		/* offsets of the records between which a replay measures */
	uint64_t from_time, to_time;	/* and when they happened, ns */
	char why[160];			/* what is wrong with it */
};

/* 0, or -1 with `why`. The memory stays the caller's. */
int recording_check(struct recording *r, const void *data, size_t bytes);
/* The same of a file, which stays mapped until the process ends. */
int recording_open(struct recording *r, const char *path);

/* Bytes that a linear copy between host and device moves; 0 for other commands. */
uint64_t recording_copied(const struct vgpu_cmd *cmd);

/* The record at an offset that is inside; the first one is at sizeof(struct vgpu_record_file). */
static inline const struct vgpu_record *recording_at(const struct recording *r, uint64_t at)
{
	return (const struct vgpu_record *)(const void *)(r->data + at);
}

#endif
