/* SPDX-License-Identifier: MIT */
/*
 * One session: a guest process served by this worker.  Owns the handle tables, the map of device memory, the mapping
 * of the shared memory and the consumer's end of the ring.  Used by the worker's only thread.
 *
 * Trust.  `base` is memory that the guest writes.  Nothing in here is derived from it after the handshake, except
 * what vgpu_consumer_take() copied and a handler then checked.
 */
#ifndef VGPU_WORKER_SESSION_H
#define VGPU_WORKER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/ring.h>
#include <vgpu/shm.h>

#include "control.h"
#include "device.h"
#include "dispatch.h"
#include "handles.h"
#include "io.h"
#include "prompt_fence.h"
#include "ranges.h"
#include "timeline.h"
#include "timeout.h"
#include "watchdog.h"

/* A stretch of the arena that the guest has claimed for later; bytes 0: none. */
struct vgpu_arena_wish {
	uint64_t offset, bytes;
	uint64_t populated;		/* so far */
	enum { VGPU_WISH_OPEN, VGPU_WISH_DONE, VGPU_WISH_REFUSED } state;
};

struct vgpu_session {
	const struct vgpu_driver *drv;
	struct vgpu_device *device;
	struct vgpu_worker_stats *stats;	/* shared with the supervisor */

	uint8_t *base;			/* the whole memfd, at the guest's address; NULL: not attached */
	struct vgpu_shm_geometry geo;
	struct vgpu_channel *channel;
	struct vgpu_consumer consumer;
	uint32_t number;		/* the mediator's, for logs */

	struct vgpu_handles handles;
	struct vgpu_ranges ranges;
	struct vgpu_pinned *pinned;	/* arena.c: stretches of the arena registered with the driver */
	int memory_fd;			/* the memfd, -1: not attached */
	struct vgpu_ranges windows;	/* host_range.c: pages of the arena at addresses of the guest's own */
	struct vgpu_ranges registrations;	/* memory in them that is registered with the driver */
	struct vgpu_arena_wish ahead;	/* arena.c: the stretch that will be wanted next */
	uint64_t ahead_most;		/* bytes that may be registered before they are wanted */
	bool pin_refused;		/* said in the log */
	struct vgpu_thread_stream *thread_streams;	/* stream.c */
	uint32_t thread_stream_count;
	struct vgpu_io *io;		/* the way to the supervisor; NULL: there is none */
	struct vgpu_shared *shared;	/* share.c: what other sessions may have or have given */
	struct vgpu_physical *physical;	/* physical.c: memory that has a handle or a mapping */
	struct vgpu_image *images;	/* image.c: code that is being sent */
	struct vgpu_image *library_images;	/* code that a library of the driver's runs on */
	uint64_t image_bytes;
	bool share_images;		/* with other sessions, through the supervisor */
	struct vgpu_flush_stream *flush_streams;	/* output.c */
	uint64_t output_taken[2];	/* bytes of standard output and error that the guest has */
	struct vgpu_callbacks *callbacks;	/* callback.c */
	struct vgpu_nodes *nodes;	/* graph_ids.c */
	struct vgpu_host_records *host_records;	/* graph_host.c */
	struct vgpu_graph_memory *graph_memory;	/* graph_memory.c */
	struct vgpu_resources *resources;	/* green.c */
	uint64_t *conditionals;		/* graph.c: handles of conditions */
	uint32_t conditional_count;
	struct vgpu_watchdog watchdog;
	struct vgpu_prompt_fence prompt_fence;
	struct vgpu_timeline *timeline;	/* NULL until something is traced */
	struct vgpu_timeout *timeout;	/* NULL: kernels have no time limit */

	uint32_t context;		/* low half of the wire id of the context that is current, 0: none of the guest's */
	uint64_t memory_limit;		/* bytes of device memory, 0: none */
	uint64_t memory_used;
	uint64_t memory_peak;		/* between commands: what one books and the driver refuses does not count */
	CUresult sticky;		/* CUDA_SUCCESS or the error that ended the context */
	bool bye;			/* the guest said goodbye: end after this command */
	char broken[128];		/* why a command was malformed, if the handler said so */

	_Alignas(64) uint8_t command[VGPU_CMD_MAX];	/* private copy */
	_Alignas(64) uint8_t reply[VGPU_REPLY_DATA];
};

struct vgpu_session *vgpu_session_new(struct vgpu_device *device, struct vgpu_worker_stats *stats);

/* Destroy what the guest left, in the order that the driver wants, and unmap. */
void vgpu_session_free(struct vgpu_session *s);

/* Make the context of a command current. Index 0 leaves things as they are. */
CUresult vgpu_session_enter(struct vgpu_session *s, uint32_t context);

/* Index of the context that owns what is made now: the current one, or the primary context behind a green one. */
uint32_t vgpu_session_home(const struct vgpu_session *s);

/* The driver has destroyed a context: forget what was made in it. */
void vgpu_session_drop_context(struct vgpu_session *s, uint32_t context);

/* Note an error that nobody can undo: every later wait of the guest returns it. Does nothing for other results. */
void vgpu_session_note(struct vgpu_session *s, CUresult result);

/* Say why a command is malformed; returns VGPU_BROKEN. */
CUresult vgpu_session_broken(struct vgpu_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- memory.c ---- */

/* Book device memory before asking the driver. OUT_OF_MEMORY beyond the session's limit. */
CUresult vgpu_memory_charge(struct vgpu_session *s, uint64_t bytes);
void vgpu_memory_release(struct vgpu_session *s, uint64_t bytes);
/* After a command that left more booked than any before. */
void vgpu_memory_note_peak(struct vgpu_session *s);
/* The driver has freed what began there. */
void vgpu_memory_forget(struct vgpu_session *s, CUdeviceptr dptr);

/* Is [addr, addr + size) device memory of this session? INVALID_VALUE if not; size 0 is fine. */
CUresult vgpu_memory_check(const struct vgpu_session *s, uint64_t addr, uint64_t size);

/* ---- array.c ---- */

/* The array or mipmap of this entry is gone, or about to go: its memory is not charged any more. */
void vgpu_array_forget(struct vgpu_session *s, const struct vgpu_handle_entry *e);

/* ---- texture.c ---- */

/* Destroys the object of an entry of either kind. */
CUresult vgpu_texture_destroy(const struct vgpu_driver *drv, const struct vgpu_handle_entry *e);

/* ---- arena.c ---- */

/*
 * Is [addr, addr + size) inside the arena, as an address of the guest (and ours: they are the same)?  The pointer, or
 * NULL. Only ever handed to the driver, or read once.
 */
void *vgpu_arena_pointer(const struct vgpu_session *s, uint64_t addr, uint64_t size);

/* The same for an offset from the start of the shared memory, which reaches what the guest has registered, too. */
void *vgpu_arena_at(const struct vgpu_session *s, uint64_t offset, uint64_t size);

/* Register the fences and what was registered of the arena (again, after a context reset). */
CUresult vgpu_arena_restore(struct vgpu_session *s);

/*
 * With nothing else to do: a step towards the registration of what the guest has claimed for later, short enough for a
 * command that comes meanwhile. False: nothing is left to do.
 */
bool vgpu_arena_step_ahead(struct vgpu_session *s);

/* Undo all registrations. */
void vgpu_arena_release(struct vgpu_session *s);

/* ---- host_range.c ---- */

/* [addr, addr + size) inside one registration of the guest's own memory, or NULL: as vgpu_arena_pointer(). */
void *vgpu_host_range_at(const struct vgpu_session *s, uint64_t addr, uint64_t size);
/* Register all of it again, after a context reset. */
CUresult vgpu_host_ranges_restore(struct vgpu_session *s);
/* Undo registrations and mappings. */
void vgpu_host_ranges_release(struct vgpu_session *s);

/*
 * Enter memory that the driver has just handed out. Whatever is noted at these addresses is gone: memory of a graph
 * leaves no other trace when it goes. Not charged here. OUT_OF_MEMORY.
 */
CUresult vgpu_memory_enter(struct vgpu_session *s, CUdeviceptr dptr, uint64_t bytes, enum vgpu_range_kind kind);

/* ---- image.c ---- */

/* Give up images that were never closed. */
void vgpu_image_release(struct vgpu_session *s);

/* ---- link.c ---- */

/* Destroy links that nobody did. */
void vgpu_links_release(struct vgpu_session *s);

/* ---- physical.c ---- */

/* Forget what handles and mappings still name. */
void vgpu_physical_release(struct vgpu_session *s);
/* Bind a handle to memory that came from another session: it is charged there. Released if that fails. */
CUresult vgpu_physical_adopt(struct vgpu_session *s, uint64_t id, CUmemGenericAllocationHandle handle);

/* ---- share.c ---- */

/* What has that address or wire id is gone: if it is shared, nobody can open it any more. */
void vgpu_share_withdraw(struct vgpu_session *s, enum vgpu_share_kind kind, uint64_t key);
void vgpu_share_release(struct vgpu_session *s);

/* ---- green.c ---- */

/* A primary context is gone, and its green ones with it. */
void vgpu_green_drop(struct vgpu_session *s, uint64_t primary);
/* The resources of a context mean nothing any more. */
void vgpu_resources_drop(struct vgpu_session *s, uint32_t context);
void vgpu_resources_release(struct vgpu_session *s);

/* ---- stream.c ---- */

/* The stream behind an id below VGPU_STREAM_INDEX_FIRST, made on first use in the current context. */
CUresult vgpu_stream_builtin(struct vgpu_session *s, uint64_t id, void **obj);
void vgpu_stream_release(struct vgpu_session *s);

/* Forget the built-in streams of a context that is gone. */
void vgpu_stream_drop_context(struct vgpu_session *s, uint32_t context);

/*
 * Have `value` written into fence word `index` when the stream comes here. Index 0: nothing to do. VGPU_BROKEN for an
 * index that does not exist. When the driver refuses, the word is set after the error has been noted.
 */
CUresult vgpu_fence_write(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream, uint32_t index,
			  uint64_t value);
/* The same for a command that failed with `result`: returns it. */
CUresult vgpu_fence_fail(struct vgpu_session *s, struct vgpu_request *rq, uint32_t index, uint64_t value,
			 CUresult result);

/* ---- callback.c ---- */

/* Deliver no more host calls. */
void vgpu_callbacks_end(struct vgpu_session *s);

/* ---- request.c ---- */

/*
 * Execute the command in s->command (vgpu_consumer_take() returned its size). 0, or -EPROTO with s->broken set: the
 * guest broke the protocol.
 */
int vgpu_request_execute(struct vgpu_session *s);

/* The same for a command that came in a CALL: what a reply slot would get stays in s->reply, and here. */
struct vgpu_outcome {
	CUresult result;
	uint32_t size;		/* bytes of s->reply; 0 if the caller does not wait for data */
};
int vgpu_request_call(struct vgpu_session *s, struct vgpu_outcome *outcome);

#endif
