/* SPDX-License-Identifier: MIT */
/* Memory shared between two processes: IPC handles, and descriptors of memory made by cuMemCreate. */
#include <unistd.h>

#include "pair.h"

#define BYTES (8u << 20)

enum what { GET, OPEN, READ, WRITE, CLOSE, MAP, UNMAP };

struct request {
	enum what what;
	CUipcMemHandle handle;
	CUdeviceptr at;			/* in the other process */
	size_t size;
	uint32_t value;
};

struct answer {
	CUresult result;
	CUdeviceptr at;
	uint32_t value;
	CUipcMemHandle handle;
};

static struct pair other, mortal;	/* the second one dies early */
static size_t grain;

/* ---- the other process ---- */

static CUresult map(const struct request *q, int fd, CUdeviceptr *at)
{
	CUmemAccessDesc access = { .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle h;
	CUresult r = cuMemImportFromShareableHandle(&h, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);

	access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	if (!r)
		r = cuMemAddressReserve(at, q->size, 0, 0, 0);
	if (!r)
		r = cuMemMap(*at, q->size, 0, h, 0);
	if (!r)
		r = cuMemRelease(h);
	return r ? r : cuMemSetAccess(*at, q->size, &access, 1);
}

static void act(const void *request, int fd, void *answer)
{
	const struct request *q = request;
	struct answer *a = answer;

	switch (q->what) {
	case GET:
		a->result = cuMemAlloc(&a->at, q->size);
		if (!a->result)
			a->result = cuIpcGetMemHandle(&a->handle, a->at);
		return;
	case OPEN:
		a->result = cuIpcOpenMemHandle(&a->at, q->handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
		return;
	case READ:
		a->result = cuMemcpyDtoH(&a->value, q->at, sizeof(a->value));
		return;
	case WRITE:
		a->result = cuMemsetD32(q->at, q->value, q->size / 4);
		if (!a->result)
			a->result = cuCtxSynchronize();
		return;
	case CLOSE:
		a->result = cuIpcCloseMemHandle(q->at);
		return;
	case MAP:
		a->result = map(q, fd, &a->at);
		return;
	case UNMAP:
		a->result = cuMemUnmap(q->at, q->size);
		if (!a->result)
			a->result = cuMemAddressFree(q->at, q->size);
	}
}

static const struct pair_kind kind = { sizeof(struct request), sizeof(struct answer), act };

/* ---- this process ---- */

static struct answer ask_with(struct request q, int fd)
{
	struct answer a;

	pair_ask(&other, &q, fd, &a);
	return a;
}

#define ask(...) ask_with((struct request){ __VA_ARGS__ }, -1)

/* What one writes the other reads, in memory of whole pages and in a small piece of one. */
static void ipc_memory(void **state)
{
	static const size_t sizes[] = { BYTES, 4096 };
	CUipcMemHandle handle;
	struct answer a;
	CUdeviceptr p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ok(cuMemAlloc(&p, sizes[i]));
		ok(cuMemsetD32(p, 0x11110000u + (uint32_t)i, sizes[i] / 4));
		ok(cuCtxSynchronize());
		ok(cuIpcGetMemHandle(&handle, p));
		a = ask(.what = OPEN, .handle = handle);
		expect(CUDA_SUCCESS, a.result);
		p += sizes[i] - 4;
		assert_int_equal(ask(.what = READ, .at = a.at + sizes[i] - 4).value, 0x11110000u + (uint32_t)i);
		expect(CUDA_SUCCESS, ask(.what = WRITE, .at = a.at, .size = sizes[i], .value = 0xabcd).result);
		assert_int_equal(gpu_word(p), 0xabcd);
		p -= sizes[i] - 4;
		expect(CUDA_SUCCESS, ask(.what = CLOSE, .at = a.at).result);
		assert_int_not_equal(ask(.what = READ, .at = a.at).result, CUDA_SUCCESS);
		assert_int_equal(gpu_word(p), 0xabcd);
		ok(cuMemFree(p));
	}
}

/* As a framework hands on a piece of a large block: by handle and offset, again and again, opened more than once. */
static void ipc_pieces(void **state)
{
	CUipcMemHandle handle, again;
	struct answer a, b;
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc(&p, BYTES));
	for (uint32_t i = 0; i < 3; i++) {
		CUdeviceptr piece = p + (i + 1) * 512;

		ok(cuMemsetD32(piece, 70 + i, 128));
		ok(cuIpcGetMemHandle(&handle, p));
		ok(cuIpcGetMemHandle(&again, p));
		a = ask(.what = OPEN, .handle = handle);
		b = ask(.what = OPEN, .handle = again);
		expect(CUDA_SUCCESS, a.result);
		expect(CUDA_SUCCESS, b.result);
		assert_int_equal(ask(.what = READ, .at = a.at + (piece - p)).value, 70 + i);
		expect(CUDA_SUCCESS, ask(.what = CLOSE, .at = b.at).result);
		assert_int_equal(ask(.what = READ, .at = a.at + (piece - p)).value, 70 + i);
		expect(CUDA_SUCCESS, ask(.what = CLOSE, .at = a.at).result);
	}
	ok(cuMemFree(p));
	assert_int_not_equal(ask(.what = OPEN, .handle = handle).result, CUDA_SUCCESS);
}

/* Whose process is gone before anybody opened it is nobody's memory, though the news may take a moment. */
static void ipc_of_the_dead(void **state)
{
	struct request q = { .what = GET, .size = BYTES };
	struct answer a;
	CUdeviceptr p;

	(void)state;
	pair_ask(&mortal, &q, -1, &a);
	expect(CUDA_SUCCESS, a.result);
	assert_int_equal(pair_end(&mortal), 0);
	for (int i = 0; i < 1000; i++) {
		if (cuIpcOpenMemHandle(&p, a.handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS))
			return;
		ok(cuIpcCloseMemHandle(p));
		gpu_nap();
	}
	fail_msg("the memory of a dead process can be opened");
}

static void ipc_refused(void **state)
{
	CUipcMemHandle handle;
	CUdeviceptr p;

	(void)state;
	memset(&handle, 0x5a, sizeof(handle));
	assert_int_not_equal(ask(.what = OPEN, .handle = handle).result, CUDA_SUCCESS);
	expect(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(NULL, 0));
	ok(cuMemAlloc(&p, 4096));
	expect(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
	ok(cuMemFree(p));
}

/* A descriptor that travels by socket carries the memory of cuMemCreate. */
static void descriptor(void **state)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR };
	CUmemAccessDesc access = { .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle h;
	struct answer a;
	CUdeviceptr p;
	int fd = -1;

	(void)state;
	prop.location.type = access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	ok(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	ok(cuMemCreate(&h, grain, &prop, 0));
	ok(cuMemAddressReserve(&p, grain, 0, 0, 0));
	ok(cuMemMap(p, grain, 0, h, 0));
	ok(cuMemSetAccess(p, grain, &access, 1));
	ok(cuMemsetD32(p, 0x77, grain / 4));
	ok(cuCtxSynchronize());
	ok(cuMemExportToShareableHandle(&fd, h, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	assert_true(fd >= 0);
	a = ask_with((struct request){ .what = MAP, .size = grain }, fd);
	expect(CUDA_SUCCESS, a.result);
	close(fd);
	assert_int_equal(ask(.what = READ, .at = a.at + grain - 4).value, 0x77);
	expect(CUDA_SUCCESS, ask(.what = WRITE, .at = a.at, .size = grain, .value = 0x99).result);
	assert_int_equal(gpu_word(p), 0x99);
	ok(cuMemUnmap(p, grain));
	ok(cuMemRelease(h));
	ok(cuMemAddressFree(p, grain));
	/* The memory is the other's alone now. */
	assert_int_equal(ask(.what = READ, .at = a.at).value, 0x99);
	expect(CUDA_SUCCESS, ask(.what = UNMAP, .at = a.at, .size = grain).result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipc_memory),
		cmocka_unit_test(ipc_pieces),
		cmocka_unit_test(ipc_of_the_dead),
		cmocka_unit_test(ipc_refused),
		cmocka_unit_test(descriptor),
	};
	int failed;

	if (pair_start(&other, &kind) || pair_start(&mortal, &kind))
		return 1;
	gpu_need_device();
	failed = cmocka_run_group_tests_name("share", tests, gpu_setup, gpu_teardown);
	return failed || pair_end(&other);
}
