/* SPDX-License-Identifier: MIT */
/*
 * The recorder's file and buffer. Any thread; one mutex, inside all others, held while a full buffer is written. It
 * begins with the session and ends with the process or with the first error of the file, after which the program goes
 * on without it.
 */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <gen/wire.h>

#include "fence.h"
#include "log.h"
#include "session.h"
#include "thread.h"
#include "wait.h"

#define BUFFER_BYTES	(1u << 20)
#define PENDING		64u	/* copies to the host that a RESULT may follow */

/* A copy into the arena: what it brought can be hashed once its fence is there. */
struct pending {
	uint64_t offset, bytes, value;
	uint32_t fence;
};

_Atomic bool vgpu_record_on;

static struct {
	pthread_mutex_t lock;
	int fd;
	uint8_t *buffer;
	size_t used;
	uint64_t *known;		/* for each fence word the value of its last WAIT */
	uint64_t began, hash, commands, records;
	enum vgpu_record_data data;
	struct pending pending[PENDING];
	uint32_t copies;		/* free-running: the oldest are forgotten */
	char path[PATH_MAX];
} rec = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

/* Locked. The file is of no use any more. */
static void give_up(const char *what, int error)
{
	vgpu_error("VGPU_RECORD: %s '%s': %s; recording stops, the program goes on", what, rec.path, strerror(error));
	atomic_store(&vgpu_record_on, false);
	if (rec.fd >= 0)
		close(rec.fd);
	rec.fd = -1;
}

static void write_out(const uint8_t *data, size_t bytes)
{
	ssize_t n;

	rec.hash = vgpu_record_hash(rec.hash, data, bytes);
	while (bytes && rec.fd >= 0) {
		n = write(rec.fd, data, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			give_up("cannot write", n ? errno : ENOSPC);
			return;
		}
		data += n;
		bytes -= (size_t)n;
	}
}

static void flush(void)
{
	size_t used = rec.used;

	rec.used = 0;
	write_out(rec.buffer, used);
}

/* Whole words only, so that the hash does not depend on how the stream was cut; the padding follows in fill(). */
static void put(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	size_t n;

	while (bytes) {
		if (rec.used == BUFFER_BYTES)
			flush();
		n = bytes < BUFFER_BYTES - rec.used ? bytes : BUFFER_BYTES - rec.used;
		memcpy(rec.buffer + rec.used, p, n);
		rec.used += n;
		p += n;
		bytes -= n;
	}
}

/* One record of up to two pieces. Locked. */
static void add(uint16_t type, uint16_t flags, const void *body, size_t bytes, const void *more, size_t more_bytes)
{
	static const uint8_t zeros[8];
	struct vgpu_record r = { .size = (uint32_t)(sizeof(r) + bytes + more_bytes), .type = type, .flags = flags,
				 .time = vgpu_clock_ns() - rec.began };

	put(&r, sizeof(r));
	put(body, bytes);
	put(more, more_bytes);
	put(zeros, vgpu_record_stride(r.size) - r.size);
	rec.records++;
}

static bool begin(void)
{
	vgpu_lock(&rec.lock);
	if (atomic_load_explicit(&vgpu_record_on, memory_order_relaxed))
		return true;
	vgpu_unlock(&rec.lock);
	return false;
}

/* What a copy from the arena is about to read. */
static void add_data(uint64_t offset, uint64_t bytes)
{
	struct vgpu_record_place place = { offset, 0 };
	uint64_t at;

	/* A record's size has 32 bits. */
	for (at = 0; at < bytes; at += place.bytes) {
		place.offset = offset + at;
		place.bytes = bytes - at < (1u << 30) ? bytes - at : 1u << 30;
		add(VGPU_RECORD_DATA, 0, &place, sizeof(place), vgpu_session.base + place.offset, place.bytes);
	}
}

static void note_copies(const struct vgpu_cmd *cmd)
{
	const struct vgpu_args_memcpy_h2d_arena *in = (const void *)(cmd + 1);
	const struct vgpu_args_memcpy_d2h_arena *out = (const void *)(cmd + 1);

	if (cmd->op == VGPU_OP_memcpy_h2d_arena)
		add_data(in->src_offset, in->bytes);
	else if (cmd->op == VGPU_OP_memcpy_d2h_arena && out->fence)
		rec.pending[rec.copies++ % PENDING] =
			(struct pending){ out->dst_offset, out->bytes, out->fence_value, out->fence };
}

void vgpu_record_command(const struct vgpu_cmd *cmd)
{
	bool elided = rec.data == VGPU_RECORD_NONE && cmd->op == VGPU_OP_memcpy_h2d_inline;

	if (!begin())
		return;
	if (rec.data == VGPU_RECORD_ALL)
		note_copies(cmd);
	add(VGPU_RECORD_COMMAND, elided ? VGPU_RECORD_ELIDED : 0, cmd,
	    vgpu_cmd_bytes(cmd) - (elided ? cmd->payload_size : 0), NULL, 0);
	rec.commands++;
	vgpu_unlock(&rec.lock);
}

void vgpu_record_reply(uint64_t seq, uint32_t slot, int32_t result, const void *data, uint32_t size)
{
	struct vgpu_record_reply r = { .seq = seq, .slot = slot, .result = result, .size = size };

	if (!begin())
		return;
	add(VGPU_RECORD_REPLY, 0, &r, sizeof(r), data, size);
	vgpu_unlock(&rec.lock);
}

/* What came back with copies that this fence covers. */
static void add_results(uint32_t fence, uint64_t value)
{
	struct vgpu_record_result r;
	struct pending *p;

	for (p = rec.pending; p < rec.pending + PENDING; p++) {
		if (p->fence != fence || p->value > value)
			continue;
		r = (struct vgpu_record_result){ p->offset, p->bytes, VGPU_RECORD_HASH_INIT };
		r.hash = vgpu_record_hash(r.hash, vgpu_session.base + p->offset, p->bytes);
		add(VGPU_RECORD_RESULT, 0, &r, sizeof(r), NULL, 0);
		p->fence = 0;
	}
}

void vgpu_record_wait(uint64_t f)
{
	struct vgpu_record_wait w = { .value = vgpu_fence_value(f), .fence = vgpu_fence_word(f) };

	if (!begin())
		return;
	/* Known before: nothing new to wait for. */
	if (w.fence < VGPU_FENCES && rec.known[w.fence] < w.value) {
		rec.known[w.fence] = w.value;
		add(VGPU_RECORD_WAIT, 0, &w, sizeof(w), NULL, 0);
		add_results(w.fence, w.value);
	}
	vgpu_unlock(&rec.lock);
}

/* `path` with the process's number in the place of %p. */
static int make_path(const char *path)
{
	const char *p = strstr(path, "%p");
	int n;

	if (p)
		n = snprintf(rec.path, sizeof(rec.path), "%.*s%d%s", (int)(p - path), path, (int)getpid(), p + 2);
	else
		n = snprintf(rec.path, sizeof(rec.path), "%s", path);
	return n < (int)sizeof(rec.path) ? 0 : ENAMETOOLONG;
}

/* The file is emptied only when nobody else is recording to it. */
static int open_file(void)
{
	int error;

	rec.fd = open(rec.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (rec.fd < 0)
		return errno;
	if (flock(rec.fd, LOCK_EX | LOCK_NB)) {
		error = errno;
		return error == EWOULDBLOCK ? EBUSY : error;
	}
	/* What is no regular file has no length. */
	if (ftruncate(rec.fd, 0) && errno != EINVAL)
		return errno;
	return 0;
}

void vgpu_record_open(const char *path, enum vgpu_record_data data)
{
	struct vgpu_record_file file = {
		.magic = VGPU_RECORD_MAGIC, .version = VGPU_RECORD_VERSION, .protocol = VGPU_PROTOCOL_VERSION,
		.shm_size = vgpu_session.geometry.total_size, .arena_base = (uint64_t)(uintptr_t)vgpu_session.base,
		.data = data, .pid = (uint32_t)getpid(),
	};
	struct timespec now;
	int error = make_path(path);

	rec.buffer = malloc(BUFFER_BYTES);
	rec.known = calloc(VGPU_FENCES, sizeof(*rec.known));
	if (!error && (!rec.buffer || !rec.known))
		error = ENOMEM;
	if (!error)
		error = open_file();
	if (error) {
		give_up("cannot open", error);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	file.started = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	prctl(PR_GET_NAME, file.name);
	rec.data = data;
	rec.hash = VGPU_RECORD_HASH_INIT;
	rec.began = vgpu_clock_ns();
	put(&file, sizeof(file));
	atomic_store(&vgpu_record_on, true);
}

void vgpu_record_close(void)
{
	struct vgpu_record_end end;

	/* A thread that was stopped for good may hold it. */
	if (!vgpu_recording() || pthread_mutex_trylock(&rec.lock))
		return;
	flush();
	end = (struct vgpu_record_end){ rec.commands, rec.records, rec.hash };
	add(VGPU_RECORD_END, 0, &end, sizeof(end), NULL, 0);
	flush();
	atomic_store(&vgpu_record_on, false);
	if (rec.fd >= 0 && close(rec.fd))
		vgpu_error("VGPU_RECORD: cannot write '%s': %s", rec.path, strerror(errno));
	pthread_mutex_unlock(&rec.lock);
}

void vgpu_record_forked(void)
{
	pthread_mutex_init(&rec.lock, NULL);
	atomic_store(&vgpu_record_on, false);
	if (rec.fd >= 0)
		close(rec.fd);
	rec.fd = -1;
}
