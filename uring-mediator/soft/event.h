/* SPDX-License-Identifier: MIT */
/*
 * The records of an event that several processes know: a page of memory that all of them map. Each record has a number,
 * and a word says when it is reached; the event is reached when its last record is. Counted, since operations in queues
 * hold one, too.
 */
#ifndef VGPU_SOFT_EVENT_H
#define VGPU_SOFT_EVENT_H

#include <stdbool.h>

#include "vgpu/cuda_types.h"

struct soft_shared_event;
struct soft_stream;

/* A new one, and the one behind a descriptor, which stays the caller's: with one reference; NULL for want of memory, or
 * if the descriptor is of something else. */
struct soft_shared_event *soft_shared_new(void);
struct soft_shared_event *soft_shared_open(int fd);
void soft_shared_put(struct soft_shared_event *e);
/* A descriptor for another process, the caller's, or -errno. */
int soft_shared_descriptor(const struct soft_shared_event *e);

CUresult soft_shared_record(struct soft_shared_event *e, struct soft_stream *s);
/* Whether the last record is reached; true if there is none. */
bool soft_shared_reached(const struct soft_shared_event *e);
/* Blocks until then; the process's fault when there is one. */
CUresult soft_shared_wait(struct soft_shared_event *e);
/* Makes the rest of @s wait for the last record. */
CUresult soft_shared_stream_wait(struct soft_shared_event *e, struct soft_stream *s);

#endif
