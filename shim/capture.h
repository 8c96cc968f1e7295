/* SPDX-License-Identifier: MIT */
/*
 * Stream captures as far as the guest must know them: which streams take part (no fence of ours may be put into them),
 * who began, in which mode, and whether something forbidden has ended it before its time. The nodes are the worker's.
 * One lock for all of it; each function may be called by any thread.
 */
#ifndef VGPU_SHIM_CAPTURE_H
#define VGPU_SHIM_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_context;
struct vgpu_stream;

/*
 * The stream is about to be used: INVALIDATED if its capture is over, IMPLICIT for the default stream while a stream
 * that it would wait for is captured (which ends that capture), else 0.
 */
CUresult vgpu_capture_use(struct vgpu_stream *s);
/* How many captures there are. A call that finds none has nothing to ask. */
extern _Atomic uint32_t vgpu_captures;
/* A call that may not be made while threads capture in a mode that forbids it: 0, or UNSUPPORTED, and they end. */
CUresult vgpu_capture_end_unsafe(void);
static inline CUresult vgpu_capture_unsafe(void)
{
	return vgpu_captures ? vgpu_capture_end_unsafe() : CUDA_SUCCESS;
}
/* The same for one that is no node of a graph, and may not be made with a captured stream. */
CUresult vgpu_capture_never(CUstream stream);
/* Something forbidden was done to a captured stream. Returns `r`. */
CUresult vgpu_capture_invalidate(struct vgpu_stream *s, CUresult r);
/* Or to an event that was recorded in capture `serial`. */
CUresult vgpu_capture_invalidate_serial(uint64_t serial, CUresult r);
/* The same for all captures of a context. */
CUresult vgpu_capture_invalidate_all(struct vgpu_context *ctx, CUresult r);
/* Number of the capture that the stream takes part in, 0: none. */
uint64_t vgpu_capture_serial(struct vgpu_stream *s);
/*
 * The stream is to wait for an event that was recorded in capture `serial`: it joins that capture. MERGE if it takes part
 * in another, ISOLATION if that capture is over.
 */
CUresult vgpu_capture_join(struct vgpu_stream *s, uint64_t serial);
/* The stream goes away. */
void vgpu_capture_leave(struct vgpu_stream *s);

/* Dependencies of the next operation of a captured stream, and the graph. From malloc(). */
struct vgpu_capture_state {
	CUgraph graph;
	cuuint64_t id;
	CUstreamCaptureStatus status;
	CUgraphNode *nodes;
	CUgraphEdgeData *edges;
	size_t count;
};

/* nodes: wanted, too, else NULL. */
CUresult vgpu_capture_ask(struct vgpu_stream *s, bool graph, bool nodes, struct vgpu_capture_state *state);
void vgpu_capture_state_free(struct vgpu_capture_state *state);

#endif
