/* SPDX-License-Identifier: MIT */
/* Standard output and error of a worker, see output.h. The worker's only thread; a device's threads write to it meanwhile. */
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
#include "log.h"
#include "session.h"

#define OUTPUT_BYTES (64u << 20)		/* as large as programs make CU_LIMIT_PRINTF_FIFO_SIZE */
#define OUTPUT_KEPT (1u << 20)		/* memory that stays when all has been fetched */
#define PRINTF_SYMBOL "vprintf"		/* what the compiler makes of a printf in a kernel */

/* A stream of the context that never has work: waiting for it costs nothing but what any wait brings about. */
struct vgpu_flush_stream {
	struct vgpu_flush_stream *next;
	uint32_t context;
	CUstream stream;
};

/* Where it reports to; there in builds with a sanitizer only. */
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static int catch_descriptor(int number)
{
	int fd = memfd_create("vgpu-output", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret = 0;

	if (fd < 0)
		return -errno;
	/* Sealed: who writes behind its end gets an error, whoever it is. */
	if (ftruncate(fd, OUTPUT_BYTES) || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ||
	    dup2(fd, number) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int vgpu_output_catch(void)
{
	int log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int ret;

	if (log < 0)
		return -errno;
	vgpu_log_set_descriptor(log);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(intptr_t)log);
	ret = catch_descriptor(STDOUT_FILENO);
	return ret ? ret : catch_descriptor(STDERR_FILENO);
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

/*
 * Have the driver print what it holds of the current context: it does so whenever somebody waits. For a context that
 * an assert has ended there is only that message, and a wait returns at once.
 */
static void flush_driver(struct vgpu_session *s)
{
	struct vgpu_flush_stream *f;

	if (s->sticky == CUDA_ERROR_ASSERT && s->drv->cuCtxSynchronize)
		s->drv->cuCtxSynchronize();
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

/*
 * Up to `room` bytes of what has been written to stdout or stderr. `taken`: how much went before, 0 again when nothing
 * is left. The stream's lock keeps a device's threads out meanwhile.
 */
static size_t take(FILE *stream, uint64_t *taken, char *to, size_t room)
{
	int fd = fileno(stream);
	uint64_t left = 0;
	off_t written;
	ssize_t n = 0;

	flockfile(stream);
	if (fflush_unlocked(stream)) {
		__fpurge(stream);	/* full: the rest is lost, as in the driver's own buffer */
		clearerr_unlocked(stream);
	}
	written = lseek(fd, 0, SEEK_CUR);
	if (written > (off_t)*taken)
		left = (uint64_t)written - *taken;
	if (left)
		n = pread(fd, to, left < room ? left : room, (off_t)*taken);
	*taken += n > 0 ? (uint64_t)n : 0;
	if (n <= 0 || (uint64_t)n == left) {
		lseek(fd, 0, SEEK_SET);
		*taken = 0;
		if (written > OUTPUT_KEPT)
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, OUTPUT_KEPT,
				  OUTPUT_BYTES - OUTPUT_KEPT);
	}
	funlockfile(stream);
	return n > 0 ? (size_t)n : 0;
}

/* What a driver wrote to standard error and no guest asked for is the operator's. */
static void log_rest(struct vgpu_session *s)
{
	char text[512];
	size_t n = take(stderr, &s->output_taken[1], text, sizeof(text) - 1);

	text[n] = '\0';
	if (n)
		vgpu_log(VGPU_LOG_WARNING, NULL, "the driver wrote: %s", text);
}

void vgpu_output_release(struct vgpu_session *s)
{
	struct vgpu_flush_stream *f;

	log_rest(s);
	while ((f = s->flush_streams)) {
		s->flush_streams = f->next;
		free(f);	/* the streams die with their contexts */
	}
}

CUresult vgpu_handle_output_take(struct vgpu_session *s, struct vgpu_request *rq)
{
	struct vgpu_ret_output_take *o = rq->ret;
	uint32_t end = sizeof(*o);
	char *to = vgpu_room(rq, &end, VGPU_RET_PAYLOAD_MAX_output_take);
	size_t n;

	if (!to)
		return VGPU_BROKEN;
	if (!s->output_taken[0] && !s->output_taken[1])
		flush_driver(s);
	n = take(stdout, &s->output_taken[0], to, VGPU_RET_PAYLOAD_MAX_output_take);
	o->more = n > 0;
	o->error = !n;
	if (!n && s->sticky == CUDA_ERROR_ASSERT)
		n = take(stderr, &s->output_taken[1], to, VGPU_RET_PAYLOAD_MAX_output_take);
	o->more |= s->output_taken[1] != 0;
	rq->ret_size = (uint32_t)(sizeof(*o) + n);
	return CUDA_SUCCESS;
}
