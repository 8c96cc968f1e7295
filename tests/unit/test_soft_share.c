/* SPDX-License-Identifier: MIT */
/*
 * What soft devices of several processes share by descriptor: events, and memory of pools. Here both ends are one process;
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

/* ---- pools ---- */

static CUmemoryPool make_pool(void)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
				       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemoryPool pool;

	ok(cuMemPoolCreate(&pool, &props));
	return pool;
}

static CUmemoryPool import_pool(CUmemoryPool pool)
{
	CUmemoryPool other;
	int fd = -1;

	ok(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	ok(cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	close(fd);
	return other;
}

static uint32_t word(CUdeviceptr at)
{
	uint32_t v = 0;

	ok(cuMemcpyDtoH_v2(&v, at, sizeof(v)));
	return v;
}

static size_t room(void)
{
	size_t free_bytes, total;

	ok(cuMemGetInfo_v2(&free_bytes, &total));
	return free_bytes;
}

static void memory_of_a_pool(void **state)
{
	static const size_t sizes[] = { 5 << 20, 4096 };
	CUmemoryPool pool = make_pool(), other = import_pool(pool);
	CUmemPoolPtrExportData data;
	CUdeviceptr filler, p, q;
	size_t before = room();
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ok(cuMemAllocFromPoolAsync(&filler, 4096, pool, NULL));
		ok(cuMemAllocFromPoolAsync(&p, sizes[i], pool, NULL));
		ok(cuMemsetD32_v2(p, 11, sizes[i] / 4));
		assert_int_equal(vgpu_soft_share_pointer(p, &data, &fd), CUDA_SUCCESS);
		assert_int_equal(vgpu_soft_open_pointer(other, &data, fd, &q), CUDA_SUCCESS);
		close(fd);
		assert_int_not_equal(p, q);
		assert_int_equal(word(q + sizes[i] - 4), 11);
		ok(cuMemsetD32_v2(q, 12, sizes[i] / 4));
		assert_int_equal(word(p), 12);
		fails(NOT_FOUND, cuMemGetAddressRange_v2(NULL, NULL, q + sizes[i]));
		ok(cuMemFreeAsync(p, NULL));
		assert_int_equal(word(q), 12);
		if (i)
			ok(cuMemFreeAsync(q, NULL));
		else
			ok(cuMemFree_v2(q));
		ok(cuMemFreeAsync(filler, NULL));
		ok(cuCtxSynchronize());
		fails(NOT_FOUND, cuMemGetAddressRange_v2(NULL, NULL, q));
	}
	assert_true(room() + (4 << 20) > before);
	ok(cuMemPoolDestroy(other));
	ok(cuMemPoolDestroy(pool));
}

/* Whatever the data say, nothing but a block of the descriptor's memory, and of this pool, is opened. */
static void forged_pointers(void **state)
{
	CUmemoryPool pool = make_pool(), other = import_pool(pool), stranger = make_pool();
	CUmemPoolPtrExportData data, bad;
	CUdeviceptr p, q;
	uint64_t field[4];	/* name, name, offset, size */
	int fd, file = junk(4 << 20);

	(void)state;
	ok(cuMemAllocFromPoolAsync(&p, 3 << 20, pool, NULL));
	assert_int_equal(vgpu_soft_share_pointer(p, &data, &fd), CUDA_SUCCESS);
	for (int i = 0; i < 4; i++) {
		static const uint64_t values[] = { 1, 4 << 20, 1ull << 40, ~0ull };

		for (int j = 0; j < 4; j++) {
			memcpy(field, &data, sizeof(field));
			field[i] += values[j];
			bad = data;
			memcpy(&bad, field, sizeof(field));
			if (vgpu_soft_open_pointer(other, &bad, fd, &q))
				continue;
			assert_true(i >= 2 && field[2] + field[3] <= 4 << 20);
			ok(cuMemFree_v2(q));
		}
	}
	assert_int_equal(vgpu_soft_open_pointer(other, &data, file, &q), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vgpu_soft_open_pointer(other, &data, -1, &q), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vgpu_soft_open_pointer(pool, &data, fd, &q), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vgpu_soft_open_pointer(stranger, &data, fd, &q), CUDA_ERROR_INVALID_VALUE);
	close(fd);
	assert_int_equal(vgpu_soft_share_pointer(p + 4, &data, &fd), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vgpu_soft_share_pointer(WILD, &data, &fd), CUDA_ERROR_INVALID_VALUE);
	ok(cuMemFree_v2(p));
	assert_int_equal(vgpu_soft_share_pointer(p, &data, &fd), CUDA_ERROR_INVALID_VALUE);
	close(file);
	ok(cuMemPoolDestroy(other));
	ok(cuMemPoolDestroy(stranger));
	ok(cuMemPoolDestroy(pool));
}

static void what_is_no_pool(void **state)
{
	const CUmemAllocationHandleType type = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	CUmemoryPool pool = make_pool(), other = import_pool(pool), standard;
	int fd = junk(32);
	CUdeviceptr p;

	(void)state;
	fails(INVALID_VALUE, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)fd, type, 0));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	fails(INVALID_VALUE, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)fd, type, 0));
	fails(INVALID_VALUE, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)-1, type, 0));
	close(fd);
	ok(cuDeviceGetDefaultMemPool(&standard, 0));
	fails(INVALID_VALUE, cuMemPoolExportToShareableHandle(&fd, standard, type, 0));
	fails(INVALID_VALUE, cuMemPoolExportToShareableHandle(&fd, other, type, 0));
	fails(INVALID_VALUE, cuMemPoolExportToShareableHandle(&fd, pool, type, 1));
	fails(INVALID_VALUE, cuMemAllocFromPoolAsync(&p, 4096, other, NULL));
	fails(INVALID_VALUE, cuDeviceSetMemPool(0, other));
	ok(cuMemPoolDestroy(other));
	ok(cuMemPoolDestroy(pool));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_seen_by_all),
		cmocka_unit_test(too_many_records),
		cmocka_unit_test(what_is_no_event),
		cmocka_unit_test(memory_of_a_pool),
		cmocka_unit_test(forged_pointers),
		cmocka_unit_test(what_is_no_pool),
	};

	return cmocka_run_group_tests_name("soft_share", tests, soft_test_begin, soft_test_end);
}
