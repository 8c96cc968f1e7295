/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The channels of a stub: their doorbells and the life of their sessions.
 *
 *	CLOSED -- OPEN register --> OPENING -- OPENED --> OPEN
 *	OPENING, OPEN -- CLOSE register --> CLOSING -- CLOSED --> CLOSED
 *	OPENING, CLOSING -- FAILED --> CLOSED (host_state REFUSED)
 *	OPEN -- CLOSED unasked, or the link is lost --> CLOSED (host_state DEAD)
 *
 * The mediator answers each OPEN with OPENED or FAILED, and ends each session
 * that it OPENED with one CLOSED, asked or not.  CLOSED carries the generation
 * of its session, so that a late one never ends its successor.  OPEN of a
 * channel that is open (its guest process was killed) is CLOSE, then OPEN
 * when the session has ended.
 *
 * All functions run on the stub's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

static void doorbell_arm(struct vgpu_stub *s, struct stub_channel *chan);

/* One read takes all writes since the previous one: the first fold. */
static void doorbell_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_channel *chan = stub_container(op, struct stub_channel, doorbell);

	if (s->stopping)
		return;
	if (res == sizeof(chan->doorbell_count)) {
		atomic_fetch_add_explicit(&s->counters.doorbells, chan->doorbell_count,
					  memory_order_relaxed);
		chan->stats.doorbells += chan->doorbell_count;
		chan->pending += chan->doorbell_count;
		stub_wake_flush(s, chan);
	} else if (res != -EINTR && res != -EAGAIN) {
		stub_log(s, VGPU_STUB_ERROR, (int)chan->index, "doorbell: %s", strerror(-res));
		return;
	}
	doorbell_arm(s, chan);
}

static void doorbell_arm(struct vgpu_stub *s, struct stub_channel *chan)
{
	int fd = s->files_registered ? (int)chan->index : chan->doorbell_fd;
	struct io_uring_sqe *sqe = stub_sqe(s);

	io_uring_prep_read(sqe, fd, &chan->doorbell_count, sizeof(chan->doorbell_count), 0);
	if (s->files_registered)
		sqe->flags |= IOSQE_FIXED_FILE;
	stub_arm(s, sqe, &chan->doorbell, doorbell_done);
}

int stub_channels_create(struct vgpu_stub *s, char *err, size_t err_size)
{
	uint32_t i;

	s->channels = calloc(s->geometry.channel_count, sizeof(*s->channels));
	if (!s->channels) {
		snprintf(err, err_size, "no memory for channels");
		return -ENOMEM;
	}
	for (i = 0; i < s->geometry.channel_count; i++) {
		s->channels[i].index = i;
		s->channels[i].doorbell_fd = eventfd(0, EFD_CLOEXEC);
		if (s->channels[i].doorbell_fd < 0) {
			int code = errno;

			snprintf(err, err_size, "eventfd of a doorbell: %s", strerror(code));
			return -code;
		}
		s->channel_count = i + 1;
	}
	return 0;
}

void stub_channels_destroy(struct vgpu_stub *s)
{
	uint32_t i;

	for (i = 0; i < s->channel_count; i++)
		close(s->channels[i].doorbell_fd);
	free(s->channels);
	s->channels = NULL;
	s->channel_count = 0;
}

void stub_channels_start(struct vgpu_stub *s)
{
	uint32_t i;

	for (i = 0; i < s->channel_count; i++)
		doorbell_arm(s, &s->channels[i]);
}

/* ---- what the guest sees in the channel's control block ---- */

static void ctl_set(struct vgpu_channel_ctl *ctl, uint32_t state, uint32_t error, const char *text)
{
	snprintf(ctl->host_text, sizeof(ctl->host_text), "%s", text);
	atomic_store(&ctl->host_error, error);
	atomic_store(&ctl->host_state, state);
}

/*
 * Declare the session dead, unless worker or supervisor did and said why, or
 * the guest has prepared the block for the next session already.
 */
static void ctl_dead(struct vgpu_stub *s, struct stub_channel *chan, uint32_t error,
		     const char *text)
{
	struct vgpu_channel_ctl *ctl = stub_memory_ctl(s, chan);
	uint32_t state = atomic_load(&ctl->host_state);

	if (state == VGPU_HOST_DEAD || state == VGPU_HOST_REFUSED ||
	    atomic_load(&ctl->generation) != chan->generation)
		return;
	ctl_set(ctl, VGPU_HOST_DEAD, error, text);
}

/* ---- requests of the guest ---- */

static void chan_open(struct vgpu_stub *s, struct stub_channel *chan);

static void chan_ended(struct vgpu_stub *s, struct stub_channel *chan)
{
	stub_wake_drop(s, chan);
	chan->state = STUB_CHAN_CLOSED;
	chan->pending = 0;
	chan->send_open = chan->send_close = false;
	if (!chan->reopen)
		return;
	chan->reopen = false;
	chan_open(s, chan);
}

static void chan_close(struct vgpu_stub *s, struct stub_channel *chan)
{
	uint32_t host = atomic_load(&stub_memory_ctl(s, chan)->host_state);

	chan->reopen = false;
	switch (chan->state) {
	case STUB_CHAN_CLOSING:
		break;
	case STUB_CHAN_CLOSED:
		/* A block that claims a live session is left over or forged. */
		if (host != VGPU_HOST_NONE) {
			chan->generation = atomic_load(&stub_memory_ctl(s, chan)->generation);
			ctl_dead(s, chan, VGPU_HOST_CLOSED, "the session was closed");
		}
		break;
	case STUB_CHAN_OPENING:
	case STUB_CHAN_OPEN:
		stub_wake_drop(s, chan);
		chan->pending = 0;
		if (chan->send_open) {	/* the mediator has not heard of it */
			ctl_dead(s, chan, VGPU_HOST_CLOSED, "the session was closed");
			chan_ended(s, chan);
			break;
		}
		chan->state = STUB_CHAN_CLOSING;
		chan->send_close = true;
		break;
	}
}

static void chan_open(struct vgpu_stub *s, struct stub_channel *chan)
{
	struct vgpu_channel_ctl *ctl = stub_memory_ctl(s, chan);
	uint32_t generation = atomic_load(&ctl->generation);

	if (chan->state == STUB_CHAN_OPENING && chan->generation == generation)
		return;
	if (chan->state != STUB_CHAN_CLOSED) {
		chan_close(s, chan);
		if (chan->state != STUB_CHAN_CLOSED) {
			chan->reopen = true;
			return;
		}
	}
	chan->generation = generation;
	chan->pending = 0;
	chan->serial = 0;
	chan->stats = (struct vgpu_channel_stats){ .generation = generation };
	if (s->link.state != STUB_LINK_UP) {
		ctl_set(ctl, VGPU_HOST_REFUSED, s->link.error, s->link.text);
		stub_log(s, VGPU_STUB_WARNING, (int)chan->index, "open refused: %s", s->link.text);
		return;
	}
	ctl_set(ctl, VGPU_HOST_NONE, VGPU_HOST_OK, "");
	chan->state = STUB_CHAN_OPENING;
	chan->send_open = true;
}

/* Take over what the register side asked for. */
void stub_channels_requests(struct vgpu_stub *s)
{
	uint64_t mask = atomic_exchange(&s->requests, 0);
	uint32_t i, request;

	for (i = 0; i < s->channel_count; i++) {
		if (!(mask & 1ull << i))
			continue;
		request = atomic_exchange(&s->channels[i].request, 0);
		if (request & STUB_REQ_CLOSE)
			chan_close(s, &s->channels[i]);
		if (request & STUB_REQ_OPEN)
			chan_open(s, &s->channels[i]);
	}
	stub_link_pump(s);
}

/* ---- what the mediator and the workers say ---- */

void stub_channel_opened(struct vgpu_stub *s, struct stub_channel *chan, uint32_t session, int fd)
{
	int rc;

	chan->state = STUB_CHAN_OPEN;
	rc = stub_wake_attach(s, chan, fd);
	if (rc) {
		stub_log(s, VGPU_STUB_ERROR, (int)chan->index, "unusable wake socket: %s",
			 strerror(-rc));
		chan_close(s, chan);
		stub_link_pump(s);
		return;
	}
	stub_log(s, VGPU_STUB_INFO, (int)chan->index, "opened session=%u generation=%u", session,
		 chan->generation);
}

void stub_channel_failed(struct vgpu_stub *s, struct stub_channel *chan, uint32_t error,
			 const char *text)
{
	struct vgpu_channel_ctl *ctl = stub_memory_ctl(s, chan);

	if (atomic_load(&ctl->generation) == chan->generation)
		ctl_set(ctl, VGPU_HOST_REFUSED, error, text);
	stub_log(s, VGPU_STUB_WARNING, (int)chan->index, "open refused by the mediator: %s", text);
	chan_ended(s, chan);
	stub_link_pump(s);
}

void stub_channel_closed(struct vgpu_stub *s, struct stub_channel *chan)
{
	bool asked = chan->state == STUB_CHAN_CLOSING;

	if (asked)
		ctl_dead(s, chan, VGPU_HOST_CLOSED, "the session was closed");
	else
		ctl_dead(s, chan, VGPU_HOST_WORKER_DIED, "the mediator ended the session");
	stub_log(s, VGPU_STUB_INFO, (int)chan->index, "closed generation=%u doorbells=%llu wakes=%llu",
		 chan->generation, (unsigned long long)chan->stats.doorbells,
		 (unsigned long long)chan->stats.wakes);
	chan_ended(s, chan);
	stub_link_pump(s);
}

/* The mediator still counts the session; its CLOSED comes, or the guest's CLOSE. */
void stub_channel_worker_gone(struct vgpu_stub *s, struct stub_channel *chan)
{
	stub_wake_drop(s, chan);
	chan->pending = 0;
	ctl_dead(s, chan, VGPU_HOST_WORKER_DIED, "the worker is gone");
	stub_log(s, VGPU_STUB_INFO, (int)chan->index, "the worker's wake socket was closed");
}

void stub_channels_link_lost(struct vgpu_stub *s)
{
	uint32_t i;

	for (i = 0; i < s->channel_count; i++) {
		struct stub_channel *chan = &s->channels[i];

		if (chan->state == STUB_CHAN_CLOSED)
			continue;
		ctl_dead(s, chan, VGPU_HOST_NO_MEDIATOR,
			 "the connection to the mediator was lost; open a new session");
		chan_ended(s, chan);
	}
}
