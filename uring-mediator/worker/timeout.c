/* SPDX-License-Identifier: MIT */
/* The limit on how long one kernel may run, see timeout.h. */
#include "timeout.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <gen/driver_table.h>
#include <vgpu/clock.h>

#include "control.h"
#include "log.h"
#include "message.h"
#include "session.h"

#define LANES	1024u		/* streams watched at once */
#define LOOK_MS	20

/* One stream. The main thread writes all but `since` and `last`. */
struct lane {
	_Atomic uint64_t sent;	/* number behind the newest launch */
	CUstream stream;
	uint32_t context;
	bool used;		/* belongs to a stream that exists */
	uint64_t last, since;	/* what the word was, and when that was first seen; since 0: nothing outstanding */
};

struct vgpu_timeout {
	struct vgpu_session *s;
	uint64_t limit_ns;
	int control;
	_Atomic uint64_t *words;	/* one for each lane; written by the device */
	_Atomic uint32_t lane_count;
	uint32_t newest;		/* lane of the last launch: the next one is often in the same stream */
	pthread_t thread;
	pthread_mutex_t lock;		/* with `over` and `wake`: how the thread is ended */
	pthread_cond_t wake;
	bool over;
	struct lane lane[LANES];
};

/* ---- the thread ---- */

static bool expired(struct vgpu_timeout *t, uint32_t i, uint64_t now)
{
	struct lane *l = &t->lane[i];
	uint64_t sent = atomic_load(&l->sent), done = atomic_load(&t->words[i]);

	if (done >= sent) {
		l->since = 0;
	} else if (!l->since || done != l->last) {
		l->last = done;
		l->since = now;
	}
	return l->since && now - l->since > t->limit_ns;
}

static void fire(struct vgpu_timeout *t)
{
	struct vgpu_ctl_note m = { .error = VGPU_HOST_TIMEOUT };

	snprintf(m.text, sizeof(m.text), "a kernel ran for more than %llu.%03llu s (--kernel-timeout)",
		 (unsigned long long)(t->limit_ns / 1000000000), (unsigned long long)(t->limit_ns / 1000000 % 1000));
	vgpu_msg_init(&m.h, VGPU_CTL_ENDED, sizeof(m));
	vgpu_log(VGPU_LOG_WARNING, NULL, "%s: the session is ended", m.text);
	vgpu_msg_send(t->control, &m.h, NULL, 0);
}

static bool look(struct vgpu_timeout *t)
{
	uint32_t count = atomic_load(&t->lane_count);
	uint64_t now = vgpu_clock_ns();

	for (uint32_t i = 0; i < count; i++)
		if (expired(t, i, now))
			return true;
	return false;
}

static void *watch(void *arg)
{
	struct vgpu_timeout *t = arg;
	struct timespec until;

	pthread_mutex_lock(&t->lock);
	while (!t->over) {
		if (look(t)) {
			fire(t);
			break;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOOK_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&t->wake, &t->lock, &until);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- start and end ---- */

static CUresult pin(const struct vgpu_timeout *t)
{
	const struct vgpu_driver *drv = t->s->drv;

	if (!drv->cuMemHostRegister_v2 || !drv->cuMemHostUnregister || !drv->cuStreamWriteValue64_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuMemHostRegister_v2((void *)t->words, LANES * sizeof(*t->words),
					 CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
}

static void dispose(struct vgpu_timeout *t)
{
	if (t->words)
		munmap((void *)t->words, LANES * sizeof(*t->words));
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->wake);
	free(t);
}

static void init_locks(struct vgpu_timeout *t)
{
	pthread_condattr_t clock;

	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &clock);
	pthread_condattr_destroy(&clock);
}

/* The words are pinned; they are not after an error. */
static int start_thread(struct vgpu_timeout *t)
{
	int ret = pthread_create(&t->thread, NULL, watch, t);

	if (ret)
		t->s->drv->cuMemHostUnregister((void *)t->words);
	return -ret;
}

int vgpu_timeout_start(struct vgpu_session *s, int control, uint64_t limit_ns)
{
	struct vgpu_timeout *t = calloc(1, sizeof(*t));
	void *p;
	int ret;

	if (!t)
		return -ENOMEM;
	init_locks(t);
	t->s = s;
	t->control = control;
	t->limit_ns = limit_ns;
	p = mmap(NULL, LANES * sizeof(*t->words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	t->words = p == MAP_FAILED ? NULL : p;
	ret = !t->words ? -ENOMEM : pin(t) ? -ENODEV : start_thread(t);
	if (ret) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "kernels of this session have no time limit: error %d", -ret);
		dispose(t);
		return ret;
	}
	s->timeout = t;
	return 0;
}

void vgpu_timeout_stop(struct vgpu_session *s)
{
	struct vgpu_timeout *t = s->timeout;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->over = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	s->timeout = NULL;
	s->drv->cuMemHostUnregister((void *)t->words);
	dispose(t);
}

/* ---- the main thread ---- */

static bool is_of(const struct lane *l, CUstream stream, uint32_t context)
{
	return l->used && l->stream == stream && l->context == context;
}

static bool is_free(const struct vgpu_timeout *t, uint32_t i)
{
	return !t->lane[i].used && atomic_load(&t->words[i]) >= atomic_load(&t->lane[i].sent);
}

/* The stream's lane, a free one for a stream without; LANES if there is none. */
static uint32_t lane_of(struct vgpu_timeout *t, CUstream stream, uint32_t context, bool make)
{
	uint32_t count = atomic_load(&t->lane_count), found = LANES;

	if (t->newest < count && is_of(&t->lane[t->newest], stream, context))
		return t->newest;
	for (uint32_t i = 0; i < count; i++) {
		if (is_of(&t->lane[i], stream, context))
			return t->newest = i;
		if (found == LANES && is_free(t, i))
			found = i;
	}
	if (!make)
		return LANES;
	if (found == LANES && count < LANES) {
		found = count;
		atomic_store(&t->lane_count, count + 1);
	}
	if (found == LANES)
		return LANES;
	t->lane[found].stream = stream;
	t->lane[found].context = context;
	t->lane[found].used = true;
	return t->newest = found;
}

static bool capturing(const struct vgpu_session *s, CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	/* An error (the legacy stream while another captures) means that nothing can be enqueued now. */
	return s->drv->cuStreamIsCapturing &&
	       (s->drv->cuStreamIsCapturing(stream, &status) || status != CU_STREAM_CAPTURE_STATUS_NONE);
}

void vgpu_timeout_launched(struct vgpu_session *s, CUstream stream)
{
	struct vgpu_timeout *t = s->timeout;
	uint64_t number;
	uint32_t i;

	if (!t || s->sticky || capturing(s, stream))
		return;
	i = lane_of(t, stream, s->context, true);
	if (i == LANES)
		return;
	number = atomic_load(&t->lane[i].sent) + 1;
	if (!s->drv->cuStreamWriteValue64_v2(stream, (CUdeviceptr)(uintptr_t)&t->words[i], number,
					     CU_STREAM_WRITE_VALUE_DEFAULT))
		atomic_store(&t->lane[i].sent, number);
}

void vgpu_timeout_drop_stream(struct vgpu_session *s, CUstream stream)
{
	struct vgpu_timeout *t = s->timeout;
	uint32_t i;

	if (!t)
		return;
	i = lane_of(t, stream, s->context, false);
	if (i < LANES)
		t->lane[i].used = false;
}

void vgpu_timeout_drop_context(struct vgpu_session *s, uint32_t context)
{
	struct vgpu_timeout *t = s->timeout;
	uint32_t count = t ? atomic_load(&t->lane_count) : 0;

	for (uint32_t i = 0; i < count; i++) {
		if (t->lane[i].context != context)
			continue;
		t->lane[i].used = false;
		atomic_store(&t->words[i], atomic_load(&t->lane[i].sent));
	}
}

CUresult vgpu_timeout_restore(struct vgpu_session *s)
{
	return s->timeout ? pin(s->timeout) : CUDA_SUCCESS;
}
