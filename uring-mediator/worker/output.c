/* SPDX-License-Identifier: MIT */
/* Standard output of a worker, see output.h. The worker's only thread; a device's threads write to it meanwhile. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "image.h"
#include "session.h"

#define OUTPUT_BYTES (4u << 20)
#define PRINTF_SYMBOL "vprintf"		/* what the compiler makes of a printf in a kernel */

/* A stream of the context that never has work: waiting for it costs nothing but what any wait brings about. */
struct vgpu_flush_stream {
	struct vgpu_flush_stream *next;
	uint32_t context;
	CUstream stream;
};

int vgpu_output_catch(void)
{
	int fd = memfd_create("vgpu-output", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret = 0;

	if (fd < 0)
		return -errno;
	/* Sealed: who writes behind its end gets an error, whoever it is. */
	if (ftruncate(fd, OUTPUT_BYTES) || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ||
	    dup2(fd, STDOUT_FILENO) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static bool mentions_printf(const struct vgpu_session *s, const void *image, uint64_t bytes)
{
	if (s->device->image_mentions)
		return s->device->image_mentions(image, bytes, PRINTF_SYMBOL);
	return memmem(image, bytes, PRINTF_SYMBOL, strlen(PRINTF_SYMBOL));
}

bool vgpu_output_may_come(const struct vgpu_session *s, uint64_t image, uint32_t kind)
{
	return vgpu_image_any(s, image, kind, mentions_printf);
}

static struct vgpu_flush_stream *flush_stream(struct vgpu_session *s)
{
	struct vgpu_flush_stream *f = s->flush_streams;

	while (f && f->context != s->context)
		f = f->next;
	if (f)
		return f;
	f = malloc(sizeof(*f));
	if (!f)
		return NULL;
	f->context = s->context;
	if (s->drv->cuStreamCreate(&f->stream, CU_STREAM_NON_BLOCKING)) {
		free(f);
		return NULL;
	}
	f->next = s->flush_streams;
	s->flush_streams = f;
	return f;
}

/* Have the driver print what it holds of the current context: it does so whenever somebody waits. */
static void flush_driver(struct vgpu_session *s)
{
	struct vgpu_flush_stream *f;

	if (s->sticky || !s->drv->cuStreamSynchronize || !s->drv->cuStreamCreate)
		return;
	f = flush_stream(s);
	if (f)
		s->drv->cuStreamSynchronize(f->stream);
}

void vgpu_output_forget(struct vgpu_session *s, uint32_t context)
{
	struct vgpu_flush_stream **at = &s->flush_streams, *f;

	while (*at && (*at)->context != context)
		at = &(*at)->next;
	f = *at;
	if (!f)
		return;
	*at = f->next;
	free(f);
}

void vgpu_output_release(struct vgpu_session *s)
{
	struct vgpu_flush_stream *f;

	while ((f = s->flush_streams)) {
		s->flush_streams = f->next;
		free(f);	/* the streams die with their contexts */
	}
}

/* Up to `room` bytes of what has been printed. The lock of stdout keeps a device's threads out meanwhile. */
static size_t take(struct vgpu_session *s, char *to, size_t room, uint32_t *more)
{
	off_t written;
	ssize_t n = 0;

	flockfile(stdout);
	if (fflush_unlocked(stdout)) {
		__fpurge(stdout);	/* full: the rest is lost, as in the driver's own buffer */
		clearerr_unlocked(stdout);
	}
	written = lseek(STDOUT_FILENO, 0, SEEK_CUR);
	if (written > (off_t)s->output_taken)
		n = pread(STDOUT_FILENO, to,
			  (size_t)written - s->output_taken < room ? (size_t)written - s->output_taken : room,
			  (off_t)s->output_taken);
	s->output_taken += n > 0 ? (uint64_t)n : 0;
	*more = n > 0 && s->output_taken < (uint64_t)written;
	if (!*more) {
		lseek(STDOUT_FILENO, 0, SEEK_SET);
		s->output_taken = 0;
	}
	funlockfile(stdout);
	return n > 0 ? (size_t)n : 0;
}

CUresult vgpu_handle_output_take(struct vgpu_session *s, struct vgpu_request *rq)
{
	struct vgpu_ret_output_take *o = rq->ret;
	uint32_t end = sizeof(*o);
	char *to = vgpu_room(rq, &end, VGPU_RET_PAYLOAD_MAX_output_take);

	if (!to)
		return VGPU_BROKEN;
	if (!s->output_taken)
		flush_driver(s);
	rq->ret_size = (uint32_t)(sizeof(*o) + take(s, to, VGPU_RET_PAYLOAD_MAX_output_take, &o->more));
	return CUDA_SUCCESS;
}
