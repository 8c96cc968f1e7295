/* SPDX-License-Identifier: MIT */
/*
 * When the device began and ended what a command asked for, for traces: a driver event before and one behind the work in
 * its stream, read later, when both have come.  Exists only from the first traced command on; a session that is not
 * traced has no events, and its commands pass one test of a flag.
 *
 * Times are the worker's CLOCK_MONOTONIC.  The device's clock is tied to it by an event in an empty stream, within some
 * microseconds, anew every few seconds.  A begin is the moment when the stream had come so far: waiting for a copy engine
 * or for multiprocessors counts as part of the work.  What has no place for events (captured streams, contexts other
 * than the first one traced) has no times.  The worker's only thread.
 */
#ifndef VGPU_WORKER_TIMELINE_H
#define VGPU_WORKER_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

/* Longest sleep of the loop while times are outstanding. */
#define VGPU_TIMELINE_MS 5

struct vgpu_session;
struct vgpu_request;

/* Work of this command goes into `stream` next. Does nothing unless rq->traced. */
void vgpu_timeline_begin(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream);
/* That was all of it. May be called again. Does nothing without a begin. */
void vgpu_timeline_end(struct vgpu_session *s, struct vgpu_request *rq);
/*
 * The command's trace record is number `record`. True: its device times will be written there. Failed commands have
 * none.
 */
bool vgpu_timeline_keep(struct vgpu_session *s, const struct vgpu_request *rq, uint64_t record, CUresult result);

/* Write the times that are known by now. */
void vgpu_timeline_collect(struct vgpu_session *s);
bool vgpu_timeline_outstanding(const struct vgpu_session *s);

/* The driver has destroyed a context, and the events with it. */
void vgpu_timeline_drop_context(struct vgpu_session *s, uint32_t context);
void vgpu_timeline_free(struct vgpu_session *s);

#endif
