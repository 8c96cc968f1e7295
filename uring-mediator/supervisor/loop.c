/* SPDX-License-Identifier: MIT */
/*
 * The io_uring of the supervisor.  Owned and run by its single thread.  All
 * sockets share one ring of receive buffers, so that a connection that says
 * nothing holds no memory for it; a buffer goes back as soon as its packet
 * has been copied, therefore running out of buffers only means to ask again.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vgpu/clock.h>

#include "log.h"
#include "loop.h"

#define RING_ENTRIES	256u
#define BUFFER_COUNT	64u		/* a power of two */
#define BUFFER_BYTES	4096u
#define BUFFER_GROUP	1
#define CONTROL_BYTES	CMSG_SPACE(VGPU_MSG_MAX_FDS * sizeof(int))

_Static_assert(sizeof(struct io_uring_recvmsg_out) + CONTROL_BYTES + VGPU_MSG_MAX_BYTES <=
	       BUFFER_BYTES, "the longest packet fits a buffer");

uint64_t clock_ms(void)
{
	return vgpu_clock_ns() / 1000000;
}

/* ---- set-up ---- */

static int ring_setup(struct io_uring *ring, bool sqpoll)
{
	/* Best first; older kernels answer EINVAL to flags that they do not know. */
	static const struct {
		unsigned int flags;
		const char *name;
	} tries[] = {
		{ IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER, "SQPOLL" },
		{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN" },
		{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN" },
		{ 0, NULL },
	};
	unsigned int i = sqpoll ? 0 : 1;
	int ret;

	while ((ret = io_uring_queue_init(RING_ENTRIES, ring, tries[i].flags)) && tries[i].name &&
	       (ret == -EINVAL || !i)) {
		vgpu_log(VGPU_LOG_NOTICE, NULL, "[INIT] no io_uring with %s: %s", tries[i].name, strerror(-ret));
		i++;
	}
	return ret;
}

static uint8_t *buffer_at(struct loop *loop, unsigned int id)
{
	return loop->buffer_memory + (size_t)id * BUFFER_BYTES;
}

static void buffer_give(struct loop *loop, unsigned int id)
{
	io_uring_buf_ring_add(loop->buffers, buffer_at(loop, id), BUFFER_BYTES, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFER_COUNT), 0);
	io_uring_buf_ring_advance(loop->buffers, 1);
}

static int buffers_setup(struct loop *loop)
{
	size_t ring_bytes = BUFFER_COUNT * sizeof(struct io_uring_buf);
	struct io_uring_buf_reg reg = { .ring_entries = BUFFER_COUNT, .bgid = BUFFER_GROUP };
	void *mem;
	int ret;

	mem = mmap(NULL, ring_bytes + BUFFER_COUNT * BUFFER_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	loop->buffers = mem;
	loop->buffer_memory = (uint8_t *)mem + ring_bytes;
	reg.ring_addr = (uintptr_t)mem;
	ret = io_uring_register_buf_ring(&loop->ring, &reg, 0);
	if (ret)
		return ret;
	io_uring_buf_ring_init(loop->buffers);
	for (unsigned int i = 0; i < BUFFER_COUNT; i++)
		buffer_give(loop, i);
	return 0;
}

static void timeout_done(struct io_op *op, int res, unsigned int flags, bool more);

int loop_init(struct loop *loop, bool sqpoll, char *why, size_t why_size)
{
	int ret;

	memset(loop, 0, sizeof(*loop));
	for (unsigned int i = 0; i < TIMER_QUEUES; i++)
		list_init(&loop->timers[i].timers);
	loop->timeout.done = timeout_done;
	loop->receive.msg_controllen = CONTROL_BYTES;
	loop->now_ms = clock_ms();
	ret = ring_setup(&loop->ring, sqpoll);
	if (ret) {
		snprintf(why, why_size, "io_uring_setup: %s%s", strerror(-ret),
			 ret == -EPERM || ret == -ENOSYS ?
			 " (see the sysctl kernel.io_uring_disabled and the container's seccomp profile)" : "");
		return ret;
	}
	/* Spares the kernel a look-up with each call; nothing depends on it. */
	io_uring_register_ring_fd(&loop->ring);
	ret = buffers_setup(loop);
	if (ret) {
		snprintf(why, why_size, "io_uring provided buffers: %s (Linux 6.0 or newer is needed)",
			 strerror(-ret));
		loop_exit(loop);
	}
	return ret;
}

void loop_exit(struct loop *loop)
{
	io_uring_queue_exit(&loop->ring);
	if (loop->buffers)
		munmap(loop->buffers, BUFFER_COUNT * (sizeof(struct io_uring_buf) + BUFFER_BYTES));
	loop->buffers = NULL;
}

/*
 * ---- operations ----
 * Descriptors stay in blocking mode: the ring waits for them, whereas it
 * would hand -EAGAIN of a non-blocking one straight back.
 */

static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&loop->ring))) {
		io_uring_submit(&loop->ring);
		io_uring_sqring_wait(&loop->ring);
	}
	return sqe;
}

static void arm(struct io_uring_sqe *sqe, struct io_op *op)
{
	io_uring_sqe_set_data(sqe, op);
	op->armed = true;
}

void loop_accept(struct loop *loop, struct io_op *op, int fd)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	arm(sqe, op);
}

void loop_receive(struct loop *loop, struct io_op *op, int fd)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_recvmsg_multishot(sqe, fd, &loop->receive, MSG_CMSG_CLOEXEC);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	arm(sqe, op);
}

void loop_read(struct loop *loop, struct io_op *op, int fd, void *buf, uint32_t size)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_read(sqe, fd, buf, size, 0);
	arm(sqe, op);
}

void loop_send(struct loop *loop, struct io_op *op, int fd, const void *buf, uint32_t size)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_send(sqe, fd, buf, size, MSG_NOSIGNAL);
	arm(sqe, op);
}

void loop_poll(struct loop *loop, struct io_op *op, int fd)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	arm(sqe, op);
}

void loop_cancel(struct loop *loop, struct io_op *op)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* Copy what a multishot receive left in buffer `buf` (res bytes, with the kernel's header). */
static int packet_copy(struct loop *loop, void *buf, int res, struct vgpu_packet *packet)
{
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(buf, res, &loop->receive);
	struct msghdr control = { 0 };
	unsigned int size;

	if (!out)
		return -EPROTO;
	control.msg_control = io_uring_recvmsg_name(out);	/* no name was asked for */
	control.msg_controllen = out->controllen;
	packet->fd_count = vgpu_msg_take_fds(&control, packet->fds, VGPU_MSG_MAX_FDS);
	size = io_uring_recvmsg_payload_length(out, res, &loop->receive);
	if ((out->flags & (MSG_TRUNC | MSG_CTRUNC)) || size > sizeof(packet->bytes)) {
		vgpu_packet_close_fds(packet);
		return -EPROTO;
	}
	memcpy(packet->bytes, io_uring_recvmsg_payload(out, &loop->receive), size);
	packet->size = size;
	if (!size)
		vgpu_packet_close_fds(packet);
	return (int)size;
}

int loop_packet(struct loop *loop, int res, unsigned int flags, struct vgpu_packet *packet)
{
	unsigned int id = flags >> IORING_CQE_BUFFER_SHIFT;
	int ret;

	packet->size = 0;
	packet->fd_count = 0;
	if (!(flags & IORING_CQE_F_BUFFER))
		return res < 0 ? res : 0;
	ret = res < 0 ? res : packet_copy(loop, buffer_at(loop, id), res, packet);
	buffer_give(loop, id);
	return ret;
}

/* ---- timers ---- */

static struct timer *queue_first(const struct timer_queue *q)
{
	return list_empty(&q->timers) ? NULL : container_of(q->timers.next, struct timer, link);
}

static struct timer *first_timer(struct loop *loop)
{
	struct timer *first = NULL;

	for (unsigned int i = 0; i < TIMER_QUEUES; i++) {
		struct timer *t = queue_first(&loop->timers[i]);

		if (t && (!first || t->when_ms < first->when_ms))
			first = t;
	}
	return first;
}

static void timeout_arm(struct loop *loop)
{
	const struct timer *first = first_timer(loop);
	struct io_uring_sqe *sqe;

	if (!first || (loop->timeout_ms && loop->timeout_ms <= first->when_ms))
		return;
	loop->timeout_at.tv_sec = (int64_t)(first->when_ms / 1000);
	loop->timeout_at.tv_nsec = (long long)(first->when_ms % 1000) * 1000000;
	sqe = get_sqe(loop);
	if (loop->timeout_ms) {
		io_uring_prep_timeout_update(sqe, &loop->timeout_at, (uintptr_t)&loop->timeout,
					     IORING_TIMEOUT_ABS);
		io_uring_sqe_set_data(sqe, NULL);
	} else {
		io_uring_prep_timeout(sqe, &loop->timeout_at, 0, IORING_TIMEOUT_ABS);
		arm(sqe, &loop->timeout);
	}
	loop->timeout_ms = first->when_ms;
}

static void timeout_done(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct loop *loop = container_of(op, struct loop, timeout);

	(void)res;
	(void)flags;
	(void)more;
	loop->timeout_ms = 0;
}

static void timers_fire(struct loop *loop)
{
	struct timer *t;

	while ((t = first_timer(loop)) && t->when_ms <= loop->now_ms) {
		list_del(&t->link);
		t->fire(t);
	}
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	list_init(&timer->link);
	timer->fire = fire;
}

void timer_clear(struct timer *timer)
{
	list_del(&timer->link);
}

static struct timer_queue *queue_of(struct loop *loop, uint64_t delay_ms)
{
	struct timer_queue *last = &loop->timers[TIMER_QUEUES - 1], *unused = last;

	for (struct timer_queue *q = loop->timers; q < last; q++) {
		if (list_empty(&q->timers))
			unused = q;
		else if (q->delay_ms == delay_ms)
			return q;
	}
	unused->delay_ms = delay_ms;
	return unused;
}

void timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
	struct list *all, *at;

	list_del(&timer->link);
	timer->when_ms = loop->now_ms + delay_ms;
	at = all = &queue_of(loop, delay_ms)->timers;
	/* Only in the last queue can one that is there be later than this. */
	while (at->prev != all && container_of(at->prev, struct timer, link)->when_ms > timer->when_ms)
		at = at->prev;
	list_add_before(&timer->link, at);
}

/* ---- running ---- */

static void complete(struct io_uring_cqe *cqe)
{
	struct io_op *op = io_uring_cqe_get_data(cqe);
	bool more = cqe->flags & IORING_CQE_F_MORE;

	if (!op)
		return;
	if (!more)
		op->armed = false;
	op->done(op, cqe->res, cqe->flags, more);
}

int loop_turn(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	int ret;

	timeout_arm(loop);
	ret = io_uring_submit_and_wait(&loop->ring, 1);
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		return ret;
	loop->now_ms = clock_ms();
	/* One by one: a callback may submit and so reap more into the same queue. */
	while (!io_uring_peek_cqe(&loop->ring, &cqe)) {
		struct io_uring_cqe copy = *cqe;

		io_uring_cqe_seen(&loop->ring, cqe);
		complete(&copy);
	}
	timers_fire(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int ret = 0;

	while (!loop->stop && !ret)
		ret = loop_turn(loop);
	return ret;
}
