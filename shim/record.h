/* SPDX-License-Identifier: MIT */
/*
 * The recorder: what this process publishes and waits for goes to the file of VGPU_RECORD (vgpu/record.h). When that is
 * not set, each hook costs a load.
 */
#ifndef VGPU_SHIM_RECORD_H
#define VGPU_SHIM_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/record.h>
#include <vgpu/ring.h>

extern _Atomic bool vgpu_record_on;

static inline bool vgpu_recording(void)
{
	return __builtin_expect(atomic_load_explicit(&vgpu_record_on, memory_order_relaxed), false);
}

/*
 * With the session open and before its first command. `path`: "%p" in it becomes the process's number. A file that
 * cannot be written is told in one line, and nothing is recorded.
 */
void vgpu_record_open(const char *path, enum vgpu_record_data data);
/* Under the channel's lock: a command that is about to be published or has just been. */
void vgpu_record_command(const struct vgpu_cmd *cmd);
/* The reply to command `seq` has been seen in its slot. */
void vgpu_record_reply(uint64_t seq, uint32_t slot, int32_t result, const void *data, uint32_t size);
/* The fence (a vgpu_fence) is known to have arrived. */
void vgpu_record_wait(uint64_t fence);
/* The process ends in order: write what is left and say that it is whole. */
void vgpu_record_close(void);
/* After fork, in the child: the file is the parent's. */
void vgpu_record_forked(void);

#endif
