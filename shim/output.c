/* SPDX-License-Identifier: MIT */
/* Fetching what kernels printed, see output.h. One thread at a time does it, so that lines stay in order. */
#include "output.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include <gen/wire.h>

#include "call.h"
#include "channel.h"
#include "session.h"
#include "thread.h"

static _Atomic bool expected, asserted;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

void vgpu_output_expect(void)
{
	atomic_store_explicit(&expected, true, memory_order_relaxed);
}

/* One piece; true if there is more. Also after an error of a kernel: what it said before is what one wants to read. */
static bool fetch_piece(void)
{
	const struct vgpu_ret_output_take *o;
	struct vgpu_call c;
	bool more = false;

	if (vgpu_call_begin(&c, VGPU_OP_output_take, 0, 0, VGPU_CALL_REPLY | VGPU_CALL_CHECKED))
		return false;
	vgpu_call_submit(&c);
	if (!vgpu_call_wait(&c) && c.ret_size >= sizeof(*o)) {
		o = c.ret;
		more = o->more;
		fwrite(o + 1, 1, c.ret_size - sizeof(*o), o->error ? stderr : stdout);
	}
	vgpu_call_end(&c);
	return more;
}

/* True once: when an assert has failed, whose message comes whether modules print or not. */
static bool assert_failed(void)
{
	return vgpu_error_sticky() == CUDA_ERROR_ASSERT && !atomic_exchange(&asserted, true);
}

static void fetch(void)
{
	vgpu_lock(&order);
	while (fetch_piece())
		;
	vgpu_unlock(&order);
}

void vgpu_output_fetch(void)
{
	if (atomic_load(&vgpu_session.state) == VGPU_SESSION_OPEN &&
	    (assert_failed() || atomic_load_explicit(&expected, memory_order_relaxed)))
		fetch();
}

void vgpu_output_last(void)
{
	if (atomic_load(&vgpu_session.state) == VGPU_SESSION_OPEN && assert_failed())
		fetch();
}
