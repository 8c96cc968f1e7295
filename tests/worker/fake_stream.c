/* SPDX-License-Identifier: MIT */
/* Streams and events of the driver that checks its caller. One thread. */
#include "fake_parts.h"

static CUresult f_write_value(CUstream s, CUdeviceptr at, cuuint64_t value, unsigned int flags)
{
	void *p = (void *)(uintptr_t)at;

	(void)flags;
	fake.calls++;
	fake_check_stream(s);
	if (fake.result)
		return fake.result;
	if (!fake.slow && fake_inside(p, 8, (void *)fake_present->channel->fences, sizeof(fake_present->channel->fences)))
		atomic_store((_Atomic uint64_t *)p, value);
	return CUDA_SUCCESS;
}

static CUresult f_stream(CUstream *s, unsigned int flags)
{
	(void)flags;
	*s = fake_make(VGPU_HANDLE_STREAM, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_stream_priority(CUstream *s, unsigned int flags, int priority)
{
	(void)priority;
	return f_stream(s, flags);
}

static CUresult f_stream_destroy(CUstream s)
{
	fake_destroy(fake_check(s, VGPU_HANDLE_STREAM));
	return CUDA_SUCCESS;
}

static CUresult f_stream_query(CUstream s)
{
	fake_check_stream(s);
	return fake.result;
}

static CUresult f_event(CUevent *e, unsigned int flags)
{
	(void)flags;
	*e = fake_make(VGPU_HANDLE_EVENT, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_event_destroy(CUevent e)
{
	fake_destroy(fake_check(e, VGPU_HANDLE_EVENT));
	return CUDA_SUCCESS;
}

static CUresult f_event_record(CUevent e, CUstream s)
{
	fake_check(e, VGPU_HANDLE_EVENT);
	fake_check_stream(s);
	fake.records++;
	return fake.result;
}

static CUresult f_event_query(CUevent e)
{
	fake_check(e, VGPU_HANDLE_EVENT);
	return fake.busy ? CUDA_ERROR_NOT_READY : fake.result;
}

static CUresult f_capturing(CUstream s, CUstreamCaptureStatus *status)
{
	fake_check_stream(s);
	*status = fake.capturing ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	return fake.result;
}

static CUresult f_event_record_flags(CUevent e, CUstream s, unsigned int flags)
{
	(void)flags;
	return f_event_record(e, s);
}

static CUresult f_wait_event(CUstream s, CUevent e, unsigned int flags)
{
	(void)flags;
	return f_event_record(e, s);
}

static CUresult f_elapsed(float *ms, CUevent a, CUevent b)
{
	fake_check(a, VGPU_HANDLE_EVENT);
	fake_check(b, VGPU_HANDLE_EVENT);
	*ms = 1.5f;
	return fake.result;
}

void fake_fill_streams(struct vgpu_driver *t)
{
	t->cuStreamWriteValue64_v2 = f_write_value;
	t->cuStreamCreate = f_stream;
	t->cuStreamCreateWithPriority = f_stream_priority;
	t->cuStreamDestroy_v2 = f_stream_destroy;
	t->cuStreamQuery = f_stream_query;
	t->cuStreamWaitEvent = f_wait_event;
	t->cuEventCreate = f_event;
	t->cuEventDestroy_v2 = f_event_destroy;
	t->cuEventRecord = f_event_record;
	t->cuEventQuery = f_event_query;
	t->cuStreamIsCapturing = f_capturing;
	t->cuEventRecordWithFlags = f_event_record_flags;
	t->cuEventElapsedTime = f_elapsed;
	t->cuEventElapsedTime_v2 = f_elapsed;
	t->cuLaunchHostFunc = NULL;	/* would call back */
}
