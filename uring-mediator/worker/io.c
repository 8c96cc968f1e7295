/* SPDX-License-Identifier: MIT */
/* The worker's io_uring, see io.h. The worker's only thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vgpu/clock.h>

#include "io.h"
#include "log.h"

#define RING_ENTRIES	8u
#define ASK_NS		2000000000ull	/* how long the supervisor may take to answer */
#define TAG_CONTROL	1u
#define TAG_CANCEL	2u
#define TAG_ANSWER	3u
#define TAG_WAKE	16u	/* and above: one for each session, so that a late completion is recognised */

static struct io_uring_sqe *get_sqe(struct vgpu_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->uring);

	if (!sqe && io_uring_submit(&io->uring) >= 0)
		sqe = io_uring_get_sqe(&io->uring);
	return sqe;
}

static int arm_control(struct vgpu_io *io)
{
	struct io_uring_sqe *sqe = get_sqe(io);

	if (!sqe)
		return -EBUSY;
	io->control_iov = (struct iovec){ io->control_packet.bytes, sizeof(io->control_packet.bytes) };
	io->control_msg = (struct msghdr){
		.msg_iov = &io->control_iov, .msg_iovlen = 1,
		.msg_control = io->control_cmsg, .msg_controllen = sizeof(io->control_cmsg),
	};
	io_uring_prep_recvmsg(sqe, io->control, &io->control_msg, MSG_CMSG_CLOEXEC);
	io_uring_sqe_set_data64(sqe, TAG_CONTROL);
	io->control_armed = true;
	return 0;
}

static int arm_wake(struct vgpu_io *io)
{
	struct io_uring_sqe *sqe = get_sqe(io);

	if (!sqe)
		return -EBUSY;
	if (io->wake_kind == VGPU_WAKE_EVENTFD)
		io_uring_prep_read(sqe, io->wake, &io->wake_count, sizeof(io->wake_count), 0);
	else
		io_uring_prep_recv(sqe, io->wake, io->packet->bytes, sizeof(io->packet->bytes), 0);
	io_uring_sqe_set_data64(sqe, io->wake_tag);
	io->wake_armed = true;
	return 0;
}

static void close_all(int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		close(fds[i]);
}

static void took_attach(struct vgpu_io *io, int *fds, unsigned int n)
{
	if (n != 2 || io->attach_came) {
		snprintf(io->broken, sizeof(io->broken), "ATTACH with %u descriptors", n);
		close_all(fds, n);
		return;
	}
	io->attach = io->control_packet.attach;
	memcpy(io->attach_fds, fds, sizeof(io->attach_fds));
	io->attach_came = true;
}

static void drop_answer(struct vgpu_io *io)
{
	if (io->answer_came && io->answer_fd >= 0)
		close(io->answer_fd);
	io->answer_came = false;
	io->answer_fd = -1;
}

static void took_answer(struct vgpu_io *io, int *fds, unsigned int n)
{
	drop_answer(io);
	memcpy(&io->answer, io->control_packet.bytes, io->control_packet.h.length);
	io->answer_came = true;
	if (n)
		io->answer_fd = fds[0];
	close_all(fds + (n > 0), n - (n > 0));
}

static void took_control(struct vgpu_io *io, int res)
{
	int fds[VGPU_MSG_MAX_FDS];
	unsigned int n;

	io->control_armed = false;
	if (res == -EINTR || res == -EAGAIN)
		return;
	if (res <= 0) {
		io->control_closed = true;
		return;
	}
	n = vgpu_msg_take_fds(&io->control_msg, fds, VGPU_MSG_MAX_FDS);
	if (vgpu_msg_check(io->control_packet.bytes, (size_t)res, io->broken, sizeof(io->broken))) {
		close_all(fds, n);
		return;
	}
	if (io->control_packet.h.type == VGPU_CTL_ATTACH) {
		took_attach(io, fds, n);
		return;
	}
	if (io->control_packet.h.type == VGPU_CTL_SHARED || io->control_packet.h.type == VGPU_CTL_IMAGE) {
		took_answer(io, fds, n);
		return;
	}
	close_all(fds, n);
	if (io->control_packet.h.type == VGPU_CTL_DETACH) {
		io->detach = true;
	} else if (io->control_packet.h.type == VGPU_CTL_CENSUS) {
		io->census = io->control_packet.census;
		io->census_came = true;
	} else {
		snprintf(io->broken, sizeof(io->broken), "unexpected %s on the control socket",
			 vgpu_msg_name(io->control_packet.h.type));
	}
}

static void count_wake(struct vgpu_io *io, uint64_t serial, uint64_t doorbells)
{
	if (io->serial && serial > io->serial + 1)
		vgpu_count(&io->stats->wake_gaps, serial - io->serial - 1);
	io->serial = serial;
	vgpu_count(&io->stats->wakes, 1);
	vgpu_count(&io->stats->doorbells, doorbells);
}

static void took_wake_message(struct vgpu_io *io, size_t size)
{
	const union vgpu_io_packet *p = io->packet;

	/* WAKE and CALL begin alike. */
	if (vgpu_msg_check(p, size, io->broken, sizeof(io->broken)))
		return;
	if ((p->h.type != VGPU_MSG_WAKE && p->h.type != VGPU_MSG_CALL) || p->wake.channel != io->channel) {
		snprintf(io->broken, sizeof(io->broken), "%s on the wake socket of channel %u",
			 vgpu_msg_name(p->h.type), io->channel);
	} else if (p->h.type == VGPU_MSG_WAKE) {
		count_wake(io, p->wake.serial, p->wake.doorbells);
	} else {
		count_wake(io, p->call.serial, 1);
		io->call_size = size;
	}
}

static void took_wake(struct vgpu_io *io, int res)
{
	io->wake_armed = false;
	if (res == -EINTR || res == -EAGAIN)
		return;
	if (res <= 0) {
		io->wake_closed = true;
		return;
	}
	if (io->wake_kind == VGPU_WAKE_EVENTFD) {
		vgpu_count(&io->stats->wakes, 1);
		vgpu_count(&io->stats->doorbells, io->wake_count);
	} else {
		took_wake_message(io, (size_t)res);
	}
}

/* Arm again what a completion has used up, unless its descriptor is done. */
static int rearm(struct vgpu_io *io)
{
	int ret = 0;

	if (!io->control_armed && !io->control_closed)
		ret = arm_control(io);
	if (!ret && !io->wake_armed && io->wake >= 0 && !io->wake_closed && !io->call_size)
		ret = arm_wake(io);
	if (!ret && io_uring_sq_ready(&io->uring))
		ret = io_uring_submit(&io->uring);
	return ret < 0 ? ret : 0;
}

/*
 * Completions are put off until the worker asks, so that a doorbell never interrupts a call of the driver; the flag in the
 * ring says whether asking is worth a system call. bench/pipeline.c: 5 to 30 % less for each message.
 */
static int setup(struct io_uring *uring)
{
	int ret = io_uring_queue_init(RING_ENTRIES, uring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
				      IORING_SETUP_TASKRUN_FLAG);

	if (ret == -EINVAL) {
		vgpu_log(VGPU_LOG_DEBUG, NULL, "this kernel has no IORING_SETUP_DEFER_TASKRUN (Linux 6.1)");
		ret = io_uring_queue_init(RING_ENTRIES, uring, 0);
	}
	return ret;
}

int vgpu_io_init(struct vgpu_io *io, int control, struct vgpu_worker_stats *stats)
{
	int ret;

	memset(io, 0, sizeof(*io));
	io->control = control;
	io->wake = -1;
	io->wake_tag = TAG_WAKE;
	io->stats = stats;
	ret = setup(&io->uring);
	if (ret < 0)
		return ret;
	/* Spares the kernel a look-up with each call; not every kernel has it, and nothing depends on it. */
	io_uring_register_ring_fd(&io->uring);
	return rearm(io);
}

void vgpu_io_exit(struct vgpu_io *io)
{
	drop_answer(io);
	io_uring_queue_exit(&io->uring);
	free(io->packet);
}

int vgpu_io_watch(struct vgpu_io *io, int wake, uint32_t wake_kind, uint32_t channel)
{
	if (wake_kind == VGPU_WAKE_SOCKET && !io->packet) {
		io->packet = malloc(sizeof(*io->packet));
		if (!io->packet)
			return -ENOMEM;
	}
	io->wake = wake;
	io->wake_kind = wake_kind;
	io->channel = channel;
	io->serial = 0;
	io->wake_closed = false;
	return rearm(io);
}

void vgpu_io_unwatch(struct vgpu_io *io)
{
	struct io_uring_sqe *sqe;

	io->wake = -1;
	io->call_size = 0;
	if (!io->wake_armed)
		return;
	sqe = get_sqe(io);
	if (sqe) {
		io_uring_prep_cancel64(sqe, io->wake_tag, 0);
		io_uring_sqe_set_data64(sqe, TAG_CANCEL);
	}
	/* The buffer must not be armed twice: wait until this receive has ended. */
	while (io->wake_armed && sqe)
		if (vgpu_io_wait(io, -1) < 0)
			break;
	io->wake_tag++;
}

unsigned int vgpu_io_poll(struct vgpu_io *io)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0;

	while (!io_uring_peek_cqe(&io->uring, &cqe)) {
		uint64_t tag = cqe->user_data;
		int res = cqe->res;

		io_uring_cqe_seen(&io->uring, cqe);
		n++;
		if (tag == TAG_CONTROL)
			took_control(io, res);
		else if (tag == io->wake_tag)
			took_wake(io, res);
		else if (tag == TAG_ANSWER)
			io->answering = false;
	}
	if (n)
		rearm(io);
	return n;
}

int vgpu_io_wait(struct vgpu_io *io, int64_t timeout_ns)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
	struct io_uring_cqe *cqe;
	int ret = rearm(io);

	if (ret < 0)
		return ret;
	ret = timeout_ns < 0 ? io_uring_wait_cqe(&io->uring, &cqe) :
			       io_uring_wait_cqe_timeout(&io->uring, &cqe, &ts);
	if (ret < 0 && ret != -ETIME && ret != -EINTR)
		return ret;
	vgpu_io_poll(io);
	return 0;
}

int vgpu_io_ask(struct vgpu_io *io, struct vgpu_msg *m, int fd, enum vgpu_control_type answer, int *answer_fd)
{
	uint64_t until = vgpu_clock_ns() + ASK_NS;
	int ret;

	*answer_fd = -1;
	drop_answer(io);
	ret = vgpu_msg_send(io->control, m, &fd, fd >= 0);
	while (!ret && !(io->answer_came && io->answer.h.type == answer)) {
		if (io->control_closed || io->broken[0])
			return -ECONNRESET;
		if (vgpu_clock_ns() >= until)
			return -ETIMEDOUT;
		ret = vgpu_io_wait(io, 1000000);
	}
	if (ret < 0)
		return ret;
	memcpy(m, &io->answer, m->length);
	*answer_fd = io->answer_fd;
	io->answer_came = false;
	return 0;
}

int vgpu_io_answer(struct vgpu_io *io, CUresult status, const void *data, uint32_t size)
{
	struct vgpu_msg_result *m = &io->result.h;
	const struct vgpu_msg_call *call = &io->packet->call;
	struct io_uring_sqe *sqe = get_sqe(io);

	if (!sqe)
		return -EBUSY;
	*m = (struct vgpu_msg_result){
		.channel = io->channel, .request = call->request,
		.result = { .magic = VGPU_V1_MAGIC, .seq = call->call.seq, .status = (uint32_t)status, .data_len = size },
	};
	vgpu_msg_init(&m->h, VGPU_MSG_RESULT, (uint32_t)sizeof(*m) + size);
	if (size)
		memcpy(m + 1, data, size);
	/* A peer that leaves its socket full waits for itself: the ring keeps the message until there is room. */
	io_uring_prep_send(sqe, io->wake, m, m->h.length, MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, TAG_ANSWER);
	io->answering = true;
	io->call_size = 0;
	return rearm(io);
}

int vgpu_io_note(struct vgpu_io *io, enum vgpu_control_type type, enum vgpu_host_error error, const char *text)
{
	struct vgpu_ctl_note note = { .error = error };

	vgpu_msg_init(&note.h, (uint16_t)type, sizeof(note));
	snprintf(note.text, sizeof(note.text), "%s", text ? text : "");
	return vgpu_msg_send(io->control, &note.h, NULL, 0);
}
