/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of version 1 (include/vgpu/v1.h) and their data window, for
 * guests in register mode: a call is written word by word, the doorbell
 * submits it, STATUS says when its result can be read.
 *
 * The page of registers is read and written by vCPUs and by the stub's
 * thread, under a lock that is held for copies of a page at most.  The doorbell takes the
 * registers, which the guest may change from then on, and leaves the rest to the
 * stub's thread: data from the window, the message to the channel's worker.
 * A further doorbell replaces a call that has no result yet, so that nobody
 * in a VM has to wait for what a dead process began; its result is dropped.
 *
 * The data window is one sparse memfd behind BAR1.  The guest changes it as
 * it likes: each byte is copied once, and nothing here depends on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define WINDOW_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static uint32_t *window_word(struct stub_window *w, uint32_t offset)
{
	return &w->page[offset / 4];
}

/* STATUS, and its mirror where the guest can look without a trap. */
static void window_status(struct stub_window *w, enum vgpu_v1_status status)
{
	*window_word(w, VGPU_V1_STATUS) = status;
	__atomic_store_n((uint32_t *)(w->data + VGPU_V1_MIRROR), (uint32_t)status,
			 __ATOMIC_RELEASE);
}

/* As after power-on. Any thread. */
void stub_window_reset(struct vgpu_stub *s)
{
	struct stub_window *w = &s->window;

	pthread_mutex_lock(&w->lock);
	memset(w->page, 0, sizeof(w->page));
	*window_word(w, VGPU_V1_VM_ID) = s->config.vm_id;
	*window_word(w, VGPU_V1_PROTOCOL_VER) = VGPU_V1_VERSION;
	*window_word(w, VGPU_V1_CAPABILITIES) = VGPU_V1_CAPS;
	w->posted = w->busy = false;
	window_status(w, VGPU_V1_IDLE);
	pthread_mutex_unlock(&w->lock);
}

static int window_fail_create(char *err, size_t err_size, const char *what)
{
	int code = errno;

	snprintf(err, err_size, "data window: %s: %s", what, strerror(code));
	return -code;
}

int stub_window_create(struct vgpu_stub *s, char *err, size_t err_size)
{
	struct stub_window *w = &s->window;
	void *data;

	w->memfd = memfd_create("vgpu-bar1", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (w->memfd < 0)
		return window_fail_create(err, err_size, "memfd_create");
	if (ftruncate(w->memfd, VGPU_V1_BAR1_SIZE) || fcntl(w->memfd, F_ADD_SEALS, WINDOW_SEALS))
		return window_fail_create(err, err_size, "memfd");
	data = mmap(NULL, VGPU_V1_BAR1_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		    w->memfd, 0);
	if (data == MAP_FAILED)
		return window_fail_create(err, err_size, "mmap");
	w->data = data;
	stub_window_reset(s);
	return 0;
}

void stub_window_destroy(struct vgpu_stub *s)
{
	struct stub_window *w = &s->window;

	if (w->data)
		munmap(w->data, VGPU_V1_BAR1_SIZE);
	if (w->memfd >= 0)
		close(w->memfd);
}

/* ---- the guest's side: any thread ---- */

static bool window_has(uint32_t offset, bool write)
{
	static const struct {
		uint16_t at, end;
		bool write;
	} registers[] = {
		{ VGPU_V1_STATUS, VGPU_V1_STATUS + 4, false },
		{ VGPU_V1_VM_ID, VGPU_V1_ERROR_CODE + 4, false },
		{ VGPU_V1_RESPONSE_LEN, VGPU_V1_CAPABILITIES + 4, false },
		{ VGPU_V1_SCRATCH, VGPU_V1_SCRATCH + 4, true },
		{ VGPU_V1_OP, VGPU_V1_DATA_LEN + 4, true },
		{ VGPU_V1_DOORBELL, VGPU_V1_DOORBELL + 4, true },
		{ VGPU_V1_ARG, VGPU_V1_ARG + 4 * VGPU_V1_ARGS, true },
		{ VGPU_V1_RESULT_STATUS, VGPU_V1_RESULT_LEN + 4, false },
		{ VGPU_V1_DATA, VGPU_V1_DATA + VGPU_V1_INLINE, true },
		{ VGPU_V1_DATA_BACK, VGPU_V1_DATA_BACK + VGPU_V1_INLINE, false },
		{ VGPU_V1_RESULT, VGPU_V1_RESULT + 8 * VGPU_V1_RESULTS, false },
	};

	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		if (offset >= registers[i].at && offset < registers[i].end)
			return !write || registers[i].write;
	return false;
}

bool stub_window_read(struct vgpu_stub *s, uint32_t offset, uint32_t *value)
{
	struct stub_window *w = &s->window;

	if (!window_has(offset, false))
		return false;
	pthread_mutex_lock(&w->lock);
	*value = *window_word(w, offset);
	pthread_mutex_unlock(&w->lock);
	return true;
}

/* Take the call out of the registers. Under the lock. */
static void window_submit(struct stub_window *w)
{
	struct stub_request *r = &w->request;
	uint32_t args = *window_word(w, VGPU_V1_NUM_ARGS);

	args = args < VGPU_V1_ARGS ? args : VGPU_V1_ARGS;
	r->id++;
	r->call = (struct vgpu_v1_call){
		.magic = VGPU_V1_MAGIC,
		.call_id = *window_word(w, VGPU_V1_OP),
		.seq = *window_word(w, VGPU_V1_SEQ),
		.owner = *window_word(w, VGPU_V1_ARG),
		.num_args = args,
		.data_len = *window_word(w, VGPU_V1_DATA_LEN),
	};
	memcpy(r->call.args, window_word(w, VGPU_V1_ARG), args * 4);
	memcpy(r->data, window_word(w, VGPU_V1_DATA), sizeof(r->data));
	*window_word(w, VGPU_V1_ERROR_CODE) = VGPU_V1_ERROR_NONE;
	*window_word(w, VGPU_V1_RESPONSE_LEN) = 0;
	memset(window_word(w, VGPU_V1_RESULT_STATUS), 0, 12);
	memset(window_word(w, VGPU_V1_DATA_BACK), 0, VGPU_V1_INLINE);
	memset(window_word(w, VGPU_V1_RESULT), 0, 8 * VGPU_V1_RESULTS);
	w->posted = w->busy = true;
	window_status(w, VGPU_V1_BUSY);
}

bool stub_window_write(struct vgpu_stub *s, uint32_t offset, uint32_t value)
{
	struct stub_window *w = &s->window;
	bool submit = offset == VGPU_V1_DOORBELL && value == 1;

	if (!window_has(offset, true))
		return false;
	pthread_mutex_lock(&w->lock);
	if (submit)
		window_submit(w);
	else if (offset != VGPU_V1_DOORBELL)
		*window_word(w, offset) = value;
	pthread_mutex_unlock(&w->lock);
	if (submit) {
		atomic_fetch_add_explicit(&s->counters.doorbells, 1, memory_order_relaxed);
		stub_loop_kick(s);
	}
	return true;
}

/* ---- the worker's side: the stub's thread ---- */

/* The call is over. Under the lock. */
static void window_end(struct stub_window *w, enum vgpu_v1_error error)
{
	w->posted = w->busy = false;
	*window_word(w, VGPU_V1_ERROR_CODE) = error;
	*window_word(w, VGPU_V1_RESPONSE_LEN) = 1;
	window_status(w, error ? VGPU_V1_ERROR : VGPU_V1_DONE);
}

static bool window_is_for(const struct stub_window *w, const struct stub_channel *chan)
{
	return w->busy && w->request.call.call_id == VGPU_V1_COMMAND &&
	       w->request.call.args[0] == chan->index;
}

/* The channel that a request names, or NULL with *error set. */
static struct stub_channel *window_channel(struct vgpu_stub *s, const struct stub_request *r,
					   enum vgpu_v1_error *error)
{
	struct stub_channel *chan;

	*error = VGPU_V1_ERROR_OP;
	if (r->call.call_id != VGPU_V1_COMMAND)
		return NULL;
	*error = VGPU_V1_ERROR_LENGTH;
	if (r->call.data_len > VGPU_CALL_DATA_MAX)
		return NULL;
	*error = VGPU_V1_ERROR_REQUEST;
	if (r->call.num_args < 2 || r->call.args[0] >= s->channel_count)
		return NULL;
	chan = &s->channels[r->call.args[0]];
	return chan->generation == r->call.args[1] ? chan : NULL;
}

/* Copy of the request that nobody has seen yet. False: there is none. */
static bool window_take(struct stub_window *w, struct stub_request *r)
{
	bool posted;

	pthread_mutex_lock(&w->lock);
	posted = w->posted;
	w->posted = false;
	if (posted)
		*r = w->request;
	pthread_mutex_unlock(&w->lock);
	return posted;
}

/* Put back what window_take() took, unless there is a newer one: its worker is not there yet. */
static void window_put_back(struct stub_window *w, const struct stub_request *r)
{
	pthread_mutex_lock(&w->lock);
	w->posted |= w->busy && w->request.id == r->id;
	pthread_mutex_unlock(&w->lock);
}

static void window_fail(struct stub_window *w, const struct stub_request *r,
			enum vgpu_v1_error error)
{
	pthread_mutex_lock(&w->lock);
	if (w->busy && w->request.id == r->id)
		window_end(w, error);
	pthread_mutex_unlock(&w->lock);
}

/* Send what the doorbell submitted. */
void stub_window_pump(struct vgpu_stub *s)
{
	struct stub_window *w = &s->window;
	struct stub_channel *chan;
	struct stub_request r;
	enum vgpu_v1_error error;
	int rc;

	if (!window_take(w, &r))
		return;
	chan = window_channel(s, &r, &error);
	if (!chan) {
		window_fail(w, &r, error);
		return;
	}
	/* The worker's socket may come after the first call. */
	if (!chan->wake && chan->state == STUB_CHAN_OPENING) {
		window_put_back(w, &r);
		return;
	}
	chan->stats.doorbells++;
	rc = stub_wake_call(s, chan, &r, r.call.data_len <= VGPU_V1_INLINE ? r.data : w->data);
	if (rc)
		window_fail(w, &r, rc == -EBUSY ? VGPU_V1_ERROR_BUSY : VGPU_V1_ERROR_MEDIATOR);
}

/* Fill the registers from a result. Under the lock. */
static void window_fill(struct stub_window *w, const struct vgpu_v1_result *result,
			const void *data)
{
	*window_word(w, VGPU_V1_RESULT_STATUS) = result->status;
	*window_word(w, VGPU_V1_RESULT_NUM) = result->num_results;
	*window_word(w, VGPU_V1_RESULT_LEN) = result->data_len;
	memcpy(window_word(w, VGPU_V1_RESULT), result->results, sizeof(result->results));
	if (result->data_len <= VGPU_V1_INLINE)
		memcpy(window_word(w, VGPU_V1_DATA_BACK), data, result->data_len);
	else
		memcpy(w->data + VGPU_V1_H2G, data, result->data_len);
}

static bool window_is_result(const struct stub_channel *chan, const struct vgpu_msg_result *m,
			     size_t size)
{
	return size >= sizeof(*m) && m->h.magic == VGPU_MSG_MAGIC &&
	       m->h.type == VGPU_MSG_RESULT && m->h.length == size && m->channel == chan->index &&
	       m->result.data_len == size - sizeof(*m) &&
	       m->result.data_len <= VGPU_RESULT_DATA_MAX &&
	       m->result.num_results <= VGPU_V1_RESULTS;
}

/* A message of `size` bytes from the worker. False: it is no RESULT. A late one is dropped. */
bool stub_window_result(struct vgpu_stub *s, const struct stub_channel *chan,
			const struct vgpu_msg_result *m, size_t size)
{
	struct stub_window *w = &s->window;

	if (!window_is_result(chan, m, size))
		return false;
	pthread_mutex_lock(&w->lock);
	if (window_is_for(w, chan) && w->request.id == m->request) {
		window_fill(w, &m->result, m + 1);
		window_end(w, m->result.status ? VGPU_V1_ERROR_CUDA : VGPU_V1_ERROR_NONE);
	}
	pthread_mutex_unlock(&w->lock);
	return true;
}

/* The channel has no worker any more: nobody will answer. */
void stub_window_lost(struct vgpu_stub *s, const struct stub_channel *chan)
{
	struct stub_window *w = &s->window;

	pthread_mutex_lock(&w->lock);
	if (window_is_for(w, chan))
		window_end(w, VGPU_V1_ERROR_MEDIATOR);
	pthread_mutex_unlock(&w->lock);
}
