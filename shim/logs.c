/* SPDX-License-Identifier: MIT */
/*
 * cuLogs*: the last lines that this library had to say about failed calls, and who wants to hear of new ones. Owns a
 * ring of lines and a list of callbacks, both under one lock; any thread. Callbacks run
 * on the thread whose call failed, without the lock. An iterator is the number of a line, counted from the first.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "log.h"
#include "thread.h"

#define LINES		100u
#define LINE_BYTES	256u	/* with its newline: 25600 bytes in all, what CUDA says a dump has at most */
#define LISTENERS	16u	/* callbacks that are told of one line */

static const char cut[] = "vgpu: shim: older lines are not shown\n";

struct line {
	uint32_t length;
	char text[LINE_BYTES];	/* with its newline, no NUL */
};

struct CUlogsCallbackEntry_st {
	CUlogsCallback call;
	void *data;
	struct CUlogsCallbackEntry_st *next;
};

static struct {
	pthread_mutex_t lock;
	struct line line[LINES];
	uint64_t written;	/* lines ever; the next one goes to written % LINES */
	struct CUlogsCallbackEntry_st *callbacks;
	uint32_t callback_count;
} logs = { .lock = PTHREAD_MUTEX_INITIALIZER };

static __thread bool inside __attribute__((tls_model("initial-exec")));

/* ---- lines come in ---- */

static void keep(const char *text, size_t length)
{
	struct line *l = &logs.line[logs.written++ % LINES];

	l->length = (uint32_t)(length < LINE_BYTES ? length : LINE_BYTES - 1);
	memcpy(l->text, text, l->length);
	l->text[l->length++] = '\n';
}

/* A line that comes up while this thread is in here, by a callback or a signal handler, is left out. */
static void add(enum vgpu_log_level level, const char *text, size_t length)
{
	struct CUlogsCallbackEntry_st tell[LISTENERS], *c;
	uint32_t i, count = 0;
	char copy[LINE_BYTES];

	if (inside)
		return;
	inside = true;
	vgpu_lock(&logs.lock);
	keep(text, length);
	for (c = logs.callbacks; c; c = c->next)
		tell[count++] = *c;
	vgpu_unlock(&logs.lock);
	length = length < sizeof(copy) ? length : sizeof(copy) - 1;
	for (i = 0; i < count; i++) {
		memcpy(copy, text, length);	/* each gets its own: it may write to it */
		copy[length] = '\0';
		tell[i].call(tell[i].data, level == VGPU_LOG_ERROR ? CU_LOG_LEVEL_ERROR : CU_LOG_LEVEL_WARNING, copy,
			     length);
	}
	inside = false;
}

/* Before anything can be logged. */
__attribute__((constructor)) static void listen_to_log(void)
{
	vgpu_log_sink = add;
}

/* ---- callbacks ---- */

CUresult cuLogsRegisterCallback(CUlogsCallback callback_func, void *user_data, CUlogsCallbackHandle *callback_out)
{
	struct CUlogsCallbackEntry_st *c;
	bool room;

	if (!callback_func)
		return CUDA_ERROR_INVALID_VALUE;
	c = malloc(sizeof(*c));
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->call = callback_func;
	c->data = user_data;
	vgpu_lock(&logs.lock);
	room = logs.callback_count < LISTENERS;
	if (room) {
		c->next = logs.callbacks;
		logs.callbacks = c;
		logs.callback_count++;
	}
	vgpu_unlock(&logs.lock);
	if (!room) {
		free(c);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (callback_out)
		*callback_out = c;
	return CUDA_SUCCESS;
}

CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle callback)
{
	struct CUlogsCallbackEntry_st **at, *c;

	vgpu_lock(&logs.lock);
	for (at = &logs.callbacks; *at && *at != callback; at = &(*at)->next)
		;
	c = *at;
	if (c) {
		*at = c->next;
		logs.callback_count--;
	}
	vgpu_unlock(&logs.lock);
	free(c);
	return c ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- lines go out ---- */

CUresult cuLogsCurrent(CUlogIterator *iterator_out, unsigned int flags)
{
	(void)flags;	/* none are defined, and natively nobody looks */
	if (!iterator_out)
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&logs.lock);
	*iterator_out = (CUlogIterator)logs.written;
	vgpu_unlock(&logs.lock);
	return CUDA_SUCCESS;
}

/* What a dump holds: the last `count` lines, after a line that says that there were more. */
struct dump {
	uint32_t count;
	bool more;
	size_t bytes;
};

/* The newest lines since the iterator that fit into `room` bytes. Under the lock. */
static CUresult choose(const CUlogIterator *iterator, size_t room, struct dump *d)
{
	uint64_t since = iterator ? (CUlogIterator)((CUlogIterator)logs.written - *iterator) : logs.written;
	uint32_t length;

	*d = (struct dump){ 0 };
	if (since > logs.written)
		return CUDA_ERROR_INVALID_VALUE;
	while (d->count < since && d->count < LINES) {
		length = logs.line[(logs.written - d->count - 1) % LINES].length;
		if (d->bytes + length > room)
			break;
		d->bytes += length;
		d->count++;
	}
	d->more = d->count < since;
	while (d->more && d->count && d->bytes + sizeof(cut) - 1 > room)
		d->bytes -= logs.line[(logs.written - d->count--) % LINES].length;
	if (d->more)
		d->bytes += sizeof(cut) - 1;
	return since && !d->count ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static void copy_out(const struct dump *d, char *to)
{
	const struct line *l;
	uint32_t i;

	if (d->more) {
		memcpy(to, cut, sizeof(cut) - 1);
		to += sizeof(cut) - 1;
	}
	for (i = d->count; i; i--) {
		l = &logs.line[(logs.written - i) % LINES];
		memcpy(to, l->text, l->length);
		to += l->length;
	}
}

CUresult cuLogsDumpToMemory(CUlogIterator *iterator, char *buffer, size_t *size, unsigned int flags)
{
	struct dump d = { 0 };
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	if (!buffer || !size || flags)
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&logs.lock);
	if (*size)
		r = choose(iterator, *size - 1, &d);
	if (!r) {
		copy_out(&d, buffer);
		buffer[d.bytes] = '\0';
		if (iterator)
			*iterator = (CUlogIterator)logs.written;
	}
	vgpu_unlock(&logs.lock);
	*size = r ? 0 : d.bytes;
	return r;
}

CUresult cuLogsDumpToFile(CUlogIterator *iterator, const char *path_to_file, unsigned int flags)
{
	size_t size = LINES * LINE_BYTES + sizeof(cut);
	CUresult r = CUDA_ERROR_INVALID_VALUE;
	char *text;
	FILE *f;

	(void)flags;
	if (!path_to_file)
		return CUDA_ERROR_INVALID_VALUE;
	text = malloc(size);
	if (!text)
		return CUDA_ERROR_OUT_OF_MEMORY;
	f = fopen(path_to_file, "we");
	if (f) {
		r = cuLogsDumpToMemory(iterator, text, &size, 0);
		if (!r && fwrite(text, 1, size, f) != size)
			r = CUDA_ERROR_INVALID_VALUE;
		if (fclose(f) && !r)
			r = CUDA_ERROR_INVALID_VALUE;
	}
	free(text);
	return r;
}
