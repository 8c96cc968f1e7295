/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stub's thread and its io_uring.  Everything that the stub waits for is
 * an operation in this ring: reads of the doorbell eventfds, the mediator's
 * socket, the workers' wake sockets, timers.  An operation is a struct
 * stub_op inside the object that it belongs to, and that object stays until
 * the operation has completed.
 *
 * The thread blocks all signals (they are the hypervisor's) and sleeps in
 * the kernel while nothing happens.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

#define RING_ENTRIES	256

/* A free submission entry. A full queue is handed to the kernel first. */
struct io_uring_sqe *stub_sqe(struct vgpu_stub *s)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&s->ring)))
		io_uring_submit(&s->ring);
	return sqe;
}

/* After io_uring_prep_*(): give the entry to `op`, which must be idle. */
void stub_arm(struct vgpu_stub *s, struct io_uring_sqe *sqe, struct stub_op *op,
	      void (*done)(struct vgpu_stub *s, struct stub_op *op, int res))
{
	op->done = done;
	op->busy = true;
	s->in_flight++;
	io_uring_sqe_set_data(sqe, op);
}

static void control_arm(struct vgpu_stub *s);

static void control_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	(void)op;
	if (s->stopping)
		return;
	control_arm(s);
	if (res != sizeof(s->control_count))
		return;
	if (atomic_exchange(&s->reset, 0))
		stub_memory_format(s);
	stub_channels_requests(s);
	stub_window_pump(s);
}

static void control_arm(struct vgpu_stub *s)
{
	struct io_uring_sqe *sqe = stub_sqe(s);

	io_uring_prep_read(sqe, s->control_fd, &s->control_count, sizeof(s->control_count), 0);
	stub_arm(s, sqe, &s->control, control_done);
}

/* Any thread: requests, reset or stop have changed. */
void stub_loop_kick(struct vgpu_stub *s)
{
	uint64_t one = 1;

	/* It fails only when its count is full, and then the thread is due anyway. */
	if (write(s->control_fd, &one, sizeof(one)) < 0)
		return;
}

static int loop_setup_ring(struct vgpu_stub *s)
{
	int rc = io_uring_queue_init(RING_ENTRIES, &s->ring,
				     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	if (rc != -EINVAL)
		return rc;
	stub_log(s, VGPU_STUB_INFO, -1,
		 "this kernel has no IORING_SETUP_DEFER_TASKRUN (Linux 6.1); doorbells cost a little more");
	return io_uring_queue_init(RING_ENTRIES, &s->ring, 0);
}

/*
 * The doorbells and the ring itself as registered files: the kernel looks
 * them up without counting references.  Worth a tenth of a doorbell's way
 * (bench/pipeline.c); a kernel that refuses serves them all the same.
 */
static void loop_register(struct vgpu_stub *s)
{
	int fds[VGPU_MAX_CHANNELS], rc;
	uint32_t i;

	for (i = 0; i < s->channel_count; i++)
		fds[i] = s->channels[i].doorbell_fd;
	rc = io_uring_register_files(&s->ring, fds, s->channel_count);
	s->files_registered = !rc;
	if (!rc)
		rc = io_uring_register_ring_fd(&s->ring) == 1 ? 0 : -EINVAL;
	if (rc)
		stub_log(s, VGPU_STUB_INFO, -1, "the kernel registers no files: %s", strerror(-rc));
}

/* On the thread that will serve the ring. */
int stub_loop_init(struct vgpu_stub *s)
{
	int rc = loop_setup_ring(s);

	if (rc)
		return rc;
	s->ring_ready = true;
	loop_register(s);
	control_arm(s);
	stub_channels_start(s);
	stub_link_start(s);
	return 0;
}

static void loop_reap(struct vgpu_stub *s)
{
	struct io_uring_cqe *cqe;
	struct stub_op *op;
	int res;

	while (!io_uring_peek_cqe(&s->ring, &cqe)) {
		op = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&s->ring, cqe);
		if (!op)
			continue;
		op->busy = false;
		s->in_flight--;
		op->done(s, op, res);
	}
}

int stub_loop_once(struct vgpu_stub *s, bool wait)
{
	struct __kernel_timespec soon = { .tv_nsec = 1000 };
	struct io_uring_cqe *cqe;
	int rc;

	if (wait)
		rc = io_uring_submit_and_wait(&s->ring, 1);
	else
		rc = io_uring_submit_and_wait_timeout(&s->ring, &cqe, 1, &soon, NULL);
	if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY && rc != -ETIME)
		return rc;
	loop_reap(s);
	return 0;
}

void stub_loop_fini(struct vgpu_stub *s)
{
	struct __kernel_timespec patience = { .tv_nsec = 50 * 1000000 };
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;

	if (!s->ring_ready)
		return;
	s->stopping = true;
	stub_link_drop(s, false, VGPU_HOST_NO_MEDIATOR, "the device is being removed");
	while (s->in_flight) {
		sqe = stub_sqe(s);
		io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
		io_uring_sqe_set_data(sqe, NULL);
		io_uring_submit_and_wait_timeout(&s->ring, &cqe, 1, &patience, NULL);
		loop_reap(s);
	}
	io_uring_queue_exit(&s->ring);
	s->ring_ready = false;
}

static void loop_started(struct vgpu_stub *s, int rc)
{
	pthread_mutex_lock(&s->start_lock);
	s->start_result = rc;
	s->start_done = true;
	pthread_cond_signal(&s->start_cond);
	pthread_mutex_unlock(&s->start_lock);
}

static void *loop_main(void *arg)
{
	struct vgpu_stub *s = arg;
	int rc = stub_loop_init(s);

	loop_started(s, rc);
	if (rc)
		return NULL;
	while (!atomic_load(&s->stop)) {
		rc = stub_loop_once(s, true);
		if (rc) {
			stub_log(s, VGPU_STUB_ERROR, -1, "io_uring failed: %s; the device is dead",
				 strerror(-rc));
			break;
		}
	}
	stub_loop_fini(s);
	return NULL;
}

static int loop_create_thread(struct vgpu_stub *s)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, loop_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int stub_loop_start(struct vgpu_stub *s, char *err, size_t err_size)
{
	int rc = loop_create_thread(s);

	if (rc) {
		snprintf(err, err_size, "cannot start a thread: %s", strerror(-rc));
		return rc;
	}
	s->thread_started = true;
	pthread_mutex_lock(&s->start_lock);
	while (!s->start_done)
		pthread_cond_wait(&s->start_cond, &s->start_lock);
	rc = s->start_result;
	pthread_mutex_unlock(&s->start_lock);
	if (rc)
		snprintf(err, err_size,
			 "io_uring is not available: %s (needed: kernel.io_uring_disabled=0, no seccomp filter against it)",
			 strerror(-rc));
	return rc;
}

void stub_loop_stop(struct vgpu_stub *s)
{
	if (!s->thread_started)
		return;
	atomic_store(&s->stop, 1);
	stub_loop_kick(s);
	pthread_join(s->thread, NULL);
	s->thread_started = false;
}
