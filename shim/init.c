/* SPDX-License-Identifier: MIT */
/*
 * cuInit, and what ends the shim's life: fork and exit.
 *
 * A fork's child shares the mapping of the ring with its parent, so it must
 * never write there: from the fork on every call of the child returns
 * CUDA_ERROR_NOT_INITIALIZED, as natively, also cuInit. A child of a process
 * that had not called cuInit yet may call it.
 */
#include <pthread.h>
#include <string.h>

#include <gen/cuda_api.h>

#include "call.h"
#include "channel.h"
#include "config.h"
#include "context.h"
#include "device.h"
#include "init.h"
#include "log.h"
#include "memory.h"
#include "moved.h"
#include "output.h"
#include "record.h"
#include "session.h"
#include "thread.h"

/* What is reported before a session says which driver it has: the API that this build describes. */
#define BUILT_VERSION	CUDA_VERSION

static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;

static void fork_child(void)
{
	uint32_t state = atomic_load(&vgpu_session.state);

	pthread_mutex_init(&init_lock, NULL);
	vgpu_thread.busy = 0;
	if (state == VGPU_SESSION_COLD)
		return;
	vgpu_moved_in_child();
	atomic_store(&vgpu_session.state, VGPU_SESSION_FORKED);
	vgpu_record_forked();
	vgpu_session.transport.ops->forked(&vgpu_session.transport);
}

/* After exit handlers of the application and of libraries that were loaded later. */
__attribute__((destructor)) static void at_exit(void)
{
	uint32_t open = VGPU_SESSION_OPEN;

	vgpu_output_last();
	atomic_store(&vgpu_session.error, CUDA_ERROR_DEINITIALIZED);
	if (!atomic_compare_exchange_strong(&vgpu_session.state, &open, VGPU_SESSION_EXIT))
		return;
	vgpu_channel_bye();
	vgpu_record_close();
	if (vgpu_session.transport.ops->exit)
		vgpu_session.transport.ops->exit(&vgpu_session.transport);
}

/* The session is there: what lives on it. */
static CUresult furnish(void)
{
	CUresult r;

	if (vgpu_channel_init(vgpu_config.batch, vgpu_config.batch_usec))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (vgpu_config.record)
		vgpu_record_open(vgpu_config.record, vgpu_config.record_data);
	/* Open for the commands of the rest of the start; other threads still wait for the lock. */
	atomic_store(&vgpu_session.state, VGPU_SESSION_OPEN);
	r = vgpu_device_init(vgpu_config.visible_devices);
	if (!r)
		r = vgpu_tables_init();
	if (!r)
		r = vgpu_context_init();
	/* The worker has nothing to do until a context is wanted: what the first copy back needs is registered by then. */
	if (!r)
		vgpu_arena_prepare(&vgpu_arena, 0);
	return r;
}

static CUresult start(void)
{
	CUresult r;

	vgpu_config_read();
	if (pthread_atfork(vgpu_moved_before_fork, vgpu_moved_after_fork, fork_child))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgpu_session_open();
	if (r)
		return r;
	r = furnish();
	if (r) {	/* where CUDA_VISIBLE_DEVICES names none, say */
		atomic_store(&vgpu_session.state, VGPU_SESSION_COLD);
		vgpu_session_close();
	}
	return r;
}

CUresult cuInit(unsigned int flags)
{
	static CUresult failed;
	CUresult r = CUDA_SUCCESS;

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (vgpu_thread.busy)
		return CUDA_ERROR_NOT_PERMITTED;
	vgpu_lock(&init_lock);
	switch (atomic_load(&vgpu_session.state)) {
	case VGPU_SESSION_COLD:
		/* Once refused, stay so: a program that polls cuInit would print the same line each time. */
		if (!failed)
			failed = start();
		r = failed;
		break;
	case VGPU_SESSION_OPEN:
		break;
	case VGPU_SESSION_FORKED:
		r = CUDA_ERROR_NOT_INITIALIZED;
		break;
	default:
		r = (CUresult)atomic_load(&vgpu_session.error);
	}
	vgpu_unlock(&init_lock);
	return r;
}

CUresult cuDriverGetVersion(int *driver_version)
{
	if (!driver_version)
		return CUDA_ERROR_INVALID_VALUE;
	*driver_version = vgpu_driver_version() ? vgpu_driver_version() : BUILT_VERSION;
	return CUDA_SUCCESS;
}
