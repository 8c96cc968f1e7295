/* SPDX-License-Identifier: MIT */
/* Memory pools shared between two processes by descriptor, and allocations of them by what cuMemPoolExportPointer says. */
#include <unistd.h>

#include "pair.h"

#define BYTES	(3u << 20)
#define POOLS	2

enum what { IMPORT, POINTER, READ, WRITE, FREE, FREE_ASYNC, ALLOCATE, DESTROY };

struct request {
	enum what what;
	int pool;			/* 0 or 1 */
	CUmemPoolPtrExportData data;
	CUdeviceptr at;
	size_t size;
	uint32_t value;
};

struct answer {
	CUresult result;
	CUdeviceptr at;
	uint32_t value;
};

static struct pair other;

/* ---- the other process ---- */

static CUmemoryPool imported[POOLS];

static CUresult import(int fd, CUmemoryPool *pool)
{
	CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, gpu_device() }, CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUresult r = cuMemPoolImportFromShareableHandle(pool, (void *)(intptr_t)fd,
							CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;

	if (!r)
		r = cuMemPoolGetAccess(&flags, *pool, &access.location);
	if (!r && flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		r = cuMemPoolSetAccess(*pool, &access, 1);
	return r;
}

static void act(const void *request, int fd, void *answer)
{
	const struct request *q = request;
	struct answer *a = answer;

	switch (q->what) {
	case IMPORT:
		a->result = import(fd, &imported[q->pool]);
		return;
	case POINTER:
		a->result = cuMemPoolImportPointer(&a->at, imported[q->pool], (CUmemPoolPtrExportData *)&q->data);
		return;
	case READ:
		a->result = cuMemcpyDtoH(&a->value, q->at, sizeof(a->value));
		return;
	case WRITE:
		a->result = cuMemsetD32(q->at, q->value, q->size / 4);
		if (!a->result)
			a->result = cuCtxSynchronize();
		return;
	case FREE:
		a->result = cuMemFree(q->at);
		return;
	case FREE_ASYNC:
		a->result = cuMemFreeAsync(q->at, NULL);
		if (!a->result)
			a->result = cuStreamSynchronize(NULL);
		return;
	case ALLOCATE:
		a->result = cuMemAllocFromPoolAsync(&a->at, BYTES, imported[q->pool], NULL);
		return;
	case DESTROY:
		a->result = cuMemPoolDestroy(imported[q->pool]);
	}
}

static const struct pair_kind kind = { sizeof(struct request), sizeof(struct answer), act };

/* ---- this process ---- */

static CUmemoryPool pools[POOLS];
static CUstream stream;

static struct answer ask_with(struct request q, int fd)
{
	struct answer a;

	pair_ask(&other, &q, fd, &a);
	return a;
}

#define ask(...) ask_with((struct request){ __VA_ARGS__ }, -1)

static CUmemPoolProps properties(CUmemAllocationHandleType handles)
{
	return (CUmemPoolProps){ .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .handleTypes = handles,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, gpu_device() } };
}

static CUdeviceptr allocate(int pool, size_t size, uint32_t value)
{
	CUdeviceptr p = 0;

	ok(cuMemAllocFromPoolAsync(&p, size, pools[pool], stream));
	ok(cuMemsetD32Async(p, value, size / 4, stream));
	ok(cuStreamSynchronize(stream));
	return p;
}

static int setup(void **state)
{
	CUmemPoolProps props;
	int fd = -1;

	if (gpu_setup(state))
		return -1;
	props = properties(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < POOLS; i++) {
		ok(cuMemPoolCreate(&pools[i], &props));
		ok(cuMemPoolExportToShareableHandle(&fd, pools[i], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
		assert_true(fd >= 0);
		expect(CUDA_SUCCESS, ask_with((struct request){ .what = IMPORT, .pool = i }, fd).result);
		close(fd);
	}
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < POOLS; i++) {
		expect(CUDA_SUCCESS, ask(.what = DESTROY, .pool = i).result);
		ok(cuMemPoolDestroy(pools[i]));
	}
	ok(cuStreamDestroy(stream));
	return gpu_teardown(state);
}

/* ---- tests ---- */

/* What one writes the other reads, in large and small pieces; either way of freeing it leaves it to who made it. */
static void both_see_it(void **state)
{
	static const size_t sizes[] = { BYTES, 4096, 4096 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct request q = { .what = POINTER, .pool = i & 1 };
		CUdeviceptr p = allocate(i & 1, sizes[i], 0x2220000u + (uint32_t)i);
		struct answer a;

		ok(cuMemPoolExportPointer(&q.data, p));
		a = ask_with(q, -1);
		expect(CUDA_SUCCESS, a.result);
		assert_int_equal(ask(.what = READ, .at = a.at + sizes[i] - 4).value, 0x2220000u + (uint32_t)i);
		expect(CUDA_SUCCESS, ask(.what = WRITE, .at = a.at, .size = sizes[i], .value = 0xabcd).result);
		assert_int_equal(gpu_word(p + sizes[i] - 4), 0xabcd);
		expect(CUDA_SUCCESS, ask(.what = i ? FREE_ASYNC : FREE, .at = a.at).result);
		assert_int_equal(gpu_word(p), 0xabcd);
		ok(cuMemFreeAsync(p, stream));
		ok(cuStreamSynchronize(stream));
	}
}

/* An allocation belongs to one pool, and is imported from no other. */
static void of_its_pool(void **state)
{
	struct request q = { .what = POINTER, .pool = 0 };
	CUdeviceptr p = allocate(1, BYTES, 7);
	struct answer a;

	(void)state;
	ok(cuMemPoolExportPointer(&q.data, p));
	assert_int_not_equal(ask_with(q, -1).result, CUDA_SUCCESS);
	q.pool = 1;
	a = ask_with(q, -1);
	expect(CUDA_SUCCESS, a.result);
	assert_int_equal(ask(.what = READ, .at = a.at).value, 7);
	expect(CUDA_SUCCESS, ask(.what = FREE_ASYNC, .at = a.at).result);
	ok(cuMemFreeAsync(p, stream));
	ok(cuStreamSynchronize(stream));
}

static void refused(void **state)
{
	CUmemPoolProps props = properties(CU_MEM_HANDLE_TYPE_NONE);
	CUmemPoolPtrExportData data;
	CUmemoryPool own;
	CUdeviceptr p;
	int types = 0, fd = -1;

	(void)state;
	ok(cuDeviceGetAttribute(&types, CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES, gpu_device()));
	assert_true(types & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	ok(cuMemPoolCreate(&own, &props));
	assert_int_not_equal(cuMemPoolExportToShareableHandle(&fd, own, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
			     CUDA_SUCCESS);
	ok(cuMemAllocFromPoolAsync(&p, BYTES, own, stream));
	assert_int_not_equal(cuMemPoolExportPointer(&data, p), CUDA_SUCCESS);
	ok(cuMemFreeAsync(p, stream));
	ok(cuStreamSynchronize(stream));
	ok(cuMemPoolDestroy(own));
	/* An imported pool gives nothing but what was imported. */
	assert_int_not_equal(ask(.what = ALLOCATE).result, CUDA_SUCCESS);
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportPointer(NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuMemPoolExportToShareableHandle(NULL, pools[0], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_see_it),
		cmocka_unit_test(of_its_pool),
		cmocka_unit_test(refused),
	};
	int failed;

	if (pair_start(&other, &kind))
		return 1;
	gpu_need_device();
	failed = cmocka_run_group_tests_name("share_pool", tests, setup, teardown);
	return failed || pair_end(&other);
}
