/* SPDX-License-Identifier: MIT */
/*
 * Events that soft devices of several processes share by descriptor. Here both ends are one process;
 * tests/gpu has two.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "soft_test.h"

#define SHARED_EVENT	(CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING)
#define RECORDS		510	/* that may be under way */

/* A descriptor of `size` bytes of this and that. */
static int junk(size_t size)
{
	int fd = memfd_create("junk", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* ---- events ---- */

/* Another event with the same records. */
static CUevent twin(CUevent e)
{
	CUevent other;
	int fd = -1;

	assert_int_equal(vgpu_soft_share_event(e, &fd), 0);
	assert_int_equal(vgpu_soft_open_event(fd, &other), CUDA_SUCCESS);
	close(fd);
	return other;
}

static void records_are_seen_by_all(void **state)
{
	uint64_t *w = pinned(64);
	CUevent a, b;
	CUstream s, t;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&a, SHARED_EVENT));
	b = twin(a);
	ok(cuEventQuery(b));
	ok(cuEventSynchronize(b));
	ok(cuStreamWaitValue64_v2(s, dptr(&w[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuEventRecord(a, s));
	fails(NOT_READY, cuEventQuery(a));
	fails(NOT_READY, cuEventQuery(b));
	/* Who waits, waits for this record, though a later one is reached before it. */
	ok(cuStreamWaitEvent(t, b, 0));
	ok(cuStreamWriteValue64_v2(t, dptr(&w[1]), 7, 0));
	ok(cuEventRecord(b, NULL));
	ok(cuEventSynchronize(a));
	ok(cuEventQuery(b));
	fails(NOT_READY, cuStreamQuery(t));
	assert_int_equal(w[1], 0);
	/* Its own end may go meanwhile. */
	ok(cuEventDestroy_v2(a));
	atomic_store((_Atomic uint64_t *)&w[0], 1);
	ok(cuStreamSynchronize(t));
	assert_int_equal(w[1], 7);
	ok(cuEventDestroy_v2(b));
	ok(cuStreamDestroy_v2(s));
	ok(cuStreamDestroy_v2(t));
	ok(cuMemFreeHost(w));
}

static void too_many_records(void **state)
{
	uint64_t *w = pinned(64);
	CUstream s;
	CUevent a;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&a, SHARED_EVENT));
	ok(cuStreamWaitValue64_v2(s, dptr(w), 1, CU_STREAM_WAIT_VALUE_EQ));
	for (int i = 0; i < RECORDS; i++)
		ok(cuEventRecord(a, s));
	fails(OUT_OF_MEMORY, cuEventRecord(a, s));
	atomic_store((_Atomic uint64_t *)w, 1);
	ok(cuEventSynchronize(a));
	for (int i = 0; i < 2 * RECORDS; i++)
		ok(cuEventRecord(a, NULL));
	ok(cuEventSynchronize(a));
	ok(cuEventDestroy_v2(a));
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFreeHost(w));
}

static void what_is_no_event(void **state)
{
	CUevent plain, e;
	int fd = -1;

	(void)state;
	ok(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
	assert_int_not_equal(vgpu_soft_share_event(plain, &fd), 0);
	assert_int_not_equal(vgpu_soft_share_event((CUevent)0x1234, &fd), 0);
	ok(cuEventDestroy_v2(plain));
	fd = junk(4096);
	assert_int_equal(vgpu_soft_open_event(fd, &e), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(vgpu_soft_open_event(fd, &e), CUDA_ERROR_INVALID_HANDLE);
	close(fd);
	assert_int_equal(vgpu_soft_open_event(-1, &e), CUDA_ERROR_INVALID_HANDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_seen_by_all),
		cmocka_unit_test(too_many_records),
		cmocka_unit_test(what_is_no_event),
	};

	return cmocka_run_group_tests_name("soft_share", tests, soft_test_begin, soft_test_end);
}
