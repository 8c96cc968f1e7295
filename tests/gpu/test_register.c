/* SPDX-License-Identifier: MIT */
/* Memory of the application's own that it registers: kernels and copies reach it, and nothing around it notices. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_test.h"

#define FLOATS 300000
#define BYTES (FLOATS * sizeof(float))
#define PAGE 4096u

static CUmodule module;
static CUfunction vector_add;
static int same_pointer;

static int setup(void **state)
{
	if (gpu_setup(state))
		return -1;
	module = gpu_module("vector_add.ptx");
	ok(cuModuleGetFunction(&vector_add, module, "vector_add"));
	ok(cuDeviceGetAttribute(&same_pointer, CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, gpu_device()));
	return 0;
}

static int teardown(void **state)
{
	ok(cuModuleUnload(module));
	return gpu_teardown(state);
}

static CUdeviceptr on_device(const void *p)
{
	CUdeviceptr d = 0;

	ok(cuMemHostGetDevicePointer(&d, (void *)(uintptr_t)p, 0));
	return d;
}

static void add(CUdeviceptr a, CUdeviceptr b, CUdeviceptr c, int n)
{
	void *params[] = { &a, &b, &c, &n };

	ok(cuLaunchKernel(vector_add, (unsigned)(n + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
}

/* *block: to be freed. At an odd place, as allocators have them. */
static float *floats(void **block, float first)
{
	float *p;

	*block = malloc(BYTES + 64);
	assert_non_null(*block);
	p = (float *)((char *)*block + 36);
	for (int i = 0; i < FLOATS; i++)
		p[i] = first + (float)i;
	return p;
}

static void kernels(void **state)
{
	void *blocks[3];
	float *a = floats(&blocks[0], 0), *b = floats(&blocks[1], 7), *c = floats(&blocks[2], -1);

	(void)state;
	ok(cuMemHostRegister(a, BYTES, CU_MEMHOSTREGISTER_DEVICEMAP));
	ok(cuMemHostRegister(b, BYTES, CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_PORTABLE));
	ok(cuMemHostRegister(c, BYTES, 0));
	if (same_pointer) {
		assert_int_equal(on_device(a), (uintptr_t)a);
		assert_int_equal(on_device(c + 5), (uintptr_t)(c + 5));
	}
	add(on_device(a), on_device(b), on_device(c), FLOATS);
	ok(cuCtxSynchronize());
	for (int i = 0; i < FLOATS; i++)
		assert_true(c[i] == (float)i + (7 + (float)i));
	a[1] = 100;	/* seen by the next */
	add(on_device(a), on_device(b), on_device(c), 2);
	ok(cuCtxSynchronize());
	assert_true(c[1] == 108);
	ok(cuMemHostUnregister(a));
	ok(cuMemHostUnregister(b));
	ok(cuMemHostUnregister(c));
	assert_true(c[1] == 108 && c[FLOATS - 1] == 2 * (float)(FLOATS - 1) + 7 && a[1] == 100);
	for (int i = 0; i < 3; i++)
		free(blocks[i]);
}

static int attribute(CUpointer_attribute which, const void *p)
{
	int v = -1;

	ok(cuPointerGetAttribute(&v, which, (CUdeviceptr)(uintptr_t)p));
	return v;
}

static void attributes(void **state)
{
	void *block, *v = NULL;
	char *p = (char *)floats(&block, 0);
	CUdeviceptr d = 0;
	unsigned int flags = 99;

	(void)state;
	ok(cuMemHostRegister(p, BYTES, CU_MEMHOSTREGISTER_PORTABLE));
	assert_int_equal(attribute(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p), CU_MEMORYTYPE_HOST);
	assert_int_equal(attribute(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + BYTES - 1), CU_MEMORYTYPE_HOST);
	assert_int_equal(attribute(CU_POINTER_ATTRIBUTE_IS_MANAGED, p), 0);
	assert_int_equal(attribute(CU_POINTER_ATTRIBUTE_MAPPED, p), 1);
	ok(cuPointerGetAttribute(&d, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, (CUdeviceptr)(uintptr_t)(p + 12)));
	assert_int_equal(d, on_device(p + 12));
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_HOST_POINTER, (CUdeviceptr)(uintptr_t)(p + 12)));
	assert_ptr_equal(v, p + 12);
	ok(cuMemHostGetFlags(&flags, p));
	assert_true(flags & CU_MEMHOSTREGISTER_PORTABLE && flags & CU_MEMHOSTREGISTER_DEVICEMAP);
	ok(cuMemHostUnregister(p));
	ok(cuMemHostRegister(p, BYTES, 0));	/* mapped for the device all the same */
	ok(cuMemHostGetFlags(&flags, p));
	assert_true(flags & CU_MEMHOSTREGISTER_DEVICEMAP);
	ok(cuMemHostUnregister(p));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostGetDevicePointer(&d, p, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&d, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, (CUdeviceptr)(uintptr_t)p));
	free(block);
}

static void refused(void **state)
{
	void *block;
	char *p = (char *)floats(&block, 0), *hole;

	(void)state;
	ok(cuMemHostRegister(p, BYTES, 0));
	expect(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(p, BYTES, 0));
	expect(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(p + PAGE, 10 * PAGE, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostUnregister(p + PAGE));
	assert_true(((float *)p)[FLOATS - 1] == FLOATS - 1);
	ok(cuMemHostUnregister(p));
	expect(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(p));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(p, BYTES, CU_MEMHOSTREGISTER_IOMEMORY));	/* it is none */
	if ((uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE < 1ull << 40)
		expect(CUDA_ERROR_OUT_OF_MEMORY, cuMemHostRegister(p, 1ull << 40, 0));
	free(block);
	hole = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(hole, MAP_FAILED);
	assert_int_equal(munmap(hole + PAGE, PAGE), 0);
	hole[0] = 1;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(hole, 3 * PAGE, 0));
	assert_int_equal(hole[0], 1);
	assert_int_equal(munmap(hole, 3 * PAGE), 0);
}

/* To the device and back at once; then in a graph, whose copies happen when it runs. */
static void copies(void **state)
{
	void *blocks[2];
	float *from = floats(&blocks[0], 3), *to = floats(&blocks[1], 0);
	CUgraphExec exec;
	CUgraph graph;
	CUdeviceptr d;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc(&d, BYTES));
	ok(cuMemHostRegister(from, BYTES, 0));
	ok(cuMemcpyHtoDAsync(d, from, BYTES, s));
	ok(cuMemHostRegister(to, BYTES, 0));
	ok(cuMemcpyDtoHAsync(to, d, BYTES, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(from, to, BYTES);
	ok(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	ok(cuMemcpyHtoDAsync(d, from, BYTES, s));
	ok(cuMemcpyDtoHAsync(to, d, BYTES, s));
	ok(cuStreamEndCapture(s, &graph));
	ok(cuGraphInstantiate(&exec, graph, 0));
	for (int i = 0; i < 3; i++) {
		from[i] = (float)(50 + i);
		ok(cuGraphLaunch(exec, s));
		ok(cuStreamSynchronize(s));
		assert_memory_equal(from, to, BYTES);
	}
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(graph));
	ok(cuMemHostUnregister(from));
	ok(cuMemHostUnregister(to));
	ok(cuMemFree(d));
	ok(cuStreamDestroy(s));
	free(blocks[0]);
	free(blocks[1]);
}

/* Rows, fills and words that a stream writes and waits for. */
static void by_address(void **state)
{
	void *block;
	char *p = (char *)floats(&block, 0), *rows = malloc(32 * 100);
	CUDA_MEMCPY2D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcPitch = 128, .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
			    .dstPitch = 100, .WidthInBytes = 100, .Height = 32 };
	CUdeviceptr d;

	(void)state;
	ok(cuMemAlloc(&d, 32 * 100));
	ok(cuMemHostRegister(p, BYTES, 0));
	c.srcHost = p + 12;
	c.dstDevice = d;
	ok(cuMemcpy2D(&c));
	ok(cuMemcpyDtoH(rows, d, 32 * 100));
	for (int i = 0; i < 32; i++)
		assert_memory_equal(rows + i * 100, p + 12 + i * 128, 100);
	ok(cuMemsetD8(on_device(p), 0x5a, 1000));
	ok(cuCtxSynchronize());
	assert_int_equal(p[0], 0x5a);
	assert_int_equal(p[999], 0x5a);
	ok(cuStreamWriteValue32(NULL, on_device(p) + 64, 77, 0));
	ok(cuCtxSynchronize());
	assert_int_equal(*(uint32_t *)(void *)(p + 64), 77);
	ok(cuMemcpyDtoD(d, on_device(p) + 64, 4));
	ok(cuMemcpyDtoH(rows, d, 4));
	assert_int_equal(*(uint32_t *)(void *)rows, 77);
	ok(cuMemHostUnregister(p));
	ok(cuMemFree(d));
	free(rows);
	free(block);
}

/* What is in the same pages, before, between and behind: some drivers register a page once only, then one range will do. */
static void neighbours(void **state)
{
	char *block = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	float *first = (float *)(void *)(block + 1000), *second = (float *)(void *)(block + 1000 + PAGE);
	CUresult r;

	(void)state;
	assert_ptr_not_equal(block, MAP_FAILED);
	for (uint32_t i = 0; i < 4 * PAGE / 4; i++)
		((float *)(void *)block)[i] = (float)i;
	ok(cuMemHostRegister(first, 2048, 0));
	r = cuMemHostRegister(second, 2 * PAGE, 0);
	assert_true(r == CUDA_SUCCESS || r == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	add(on_device(first), on_device(first + 256), on_device(first + 256), 256);
	if (!r)
		add(on_device(second), on_device(second), on_device(second), 2 * PAGE / 4);
	ok(cuCtxSynchronize());
	ok(cuMemHostUnregister(first));
	assert_true(second[7] == (r ? 1 : 2) * (float)(250 + PAGE / 4 + 7));
	if (!r) {
		add(on_device(second), on_device(second), on_device(second), 2 * PAGE / 4);
		ok(cuCtxSynchronize());
		ok(cuMemHostUnregister(second));
	}
	for (uint32_t i = 0; i < 4 * PAGE / 4; i++) {
		float was = (float)i, now = ((float *)(void *)block)[i];

		if (i >= 250 + PAGE / 4 && i < 250 + 3 * PAGE / 4)
			assert_true(now == (r ? 1 : 4) * was);
		else if (i >= 250 + 256 && i < 250 + 512)
			assert_true(now == 2 * was - 256);
		else
			assert_true(now == was);
	}
	assert_int_equal(munmap(block, 4 * PAGE), 0);
}

struct writer {
	volatile uint64_t *word;
	uint64_t stores;
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		*w->word = *w->word + 1;
		w->stores++;
	}
	return NULL;
}

/* Threads that store into the same pages, before the range and inside it, lose nothing when it comes and goes. */
static void writers(void **state)
{
	char *block = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct writer w[2] = { { .word = (uint64_t *)(void *)(block + 8) },
			       { .word = (uint64_t *)(void *)(block + 33 * PAGE) } };
	pthread_t threads[2];

	(void)state;
	assert_ptr_not_equal(block, MAP_FAILED);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, &w[i]), 0);
	for (int i = 0; i < 300; i++) {
		ok(cuMemHostRegister(block + 100, 60 * PAGE, 0));
		assert_int_equal(block[100 + PAGE], (char)i);
		ok(cuMemsetD8(on_device(block + 100 + PAGE), (unsigned char)(i + 1), 1));
		ok(cuMemHostUnregister(block + 100));
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&w[i].stop, true);
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(*w[i].word, w[i].stores);
	}
	assert_int_equal(munmap(block, 64 * PAGE), 0);
}

/* A child has what was there when it was made, and nothing of either goes to the other. */
static void children(void **state)
{
	void *block;
	float *p = floats(&block, 9);
	int status, go[2];
	char byte = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(go), 0);
	ok(cuMemHostRegister(p, BYTES, 0));
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (read(go[0], &byte, 1) != 1)
			_exit(2);
		status = p[0] == 9 && p[FLOATS - 1] == 9 + (float)(FLOATS - 1);
		p[1] = -5;
		_exit(!status);
	}
	add(on_device(p), on_device(p), on_device(p), FLOATS);
	ok(cuCtxSynchronize());
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(p[0] == 18 && p[1] == 20);
	ok(cuMemHostUnregister(p));
	close(go[0]);
	close(go[1]);
	free(block);
}

static float bss[5000], data[5000] = { 1, 2, 3 };

/* Wherever a program has its memory it can be registered, and copied from. */
static void places(void **state)
{
	float stack[5000] = { 1, 2, 3 }, back[5000];
	float *shared = mmap(NULL, sizeof(stack), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	float *heap = calloc(5000, sizeof(*heap));
	float *all[] = { bss, data, stack, shared, heap };
	CUdeviceptr d;
	int status;

	(void)state;
	ok(cuMemAlloc(&d, sizeof(stack)));
	for (int i = 0; i < 5; i++) {
		ok(cuMemHostRegister(all[i], sizeof(stack), CU_MEMHOSTREGISTER_PORTABLE));
		all[i][4999] = (float)(i + 1);
		ok(cuMemcpyHtoDAsync(d, all[i], sizeof(stack), NULL));
		ok(cuStreamSynchronize(NULL));
		ok(cuMemcpyDtoH(back, d, sizeof(stack)));
		assert_memory_equal(all[i], back, sizeof(stack));
	}
	if (!fork()) {
		shared[1] = 4;	/* is shared, registered or not */
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	assert_true(shared[1] == 4);
	for (int i = 0; i < 5; i++)
		ok(cuMemHostUnregister(all[i]));
	assert_true(data[2] == 3 && stack[2] == 3 && bss[4999] == 1 && heap[4999] == 5);
	assert_int_equal(munmap(shared, sizeof(stack)), 0);
	free(heap);
	ok(cuMemFree(d));
}

static sigjmp_buf out;
static volatile sig_atomic_t caught[2];

static void on_fault(int number)
{
	(void)number;
	caught[0]++;
	siglongjmp(out, 1);
}

static void on_fault_again(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	caught[1] += info->si_code == SEGV_ACCERR;
	siglongjmp(out, 1);
}

static void store(volatile char *at)
{
	if (!sigsetjmp(out, 1))
		*at = 1;
}

static void come_and_go(char *p)
{
	ok(cuMemHostRegister(p, PAGE, 0));
	ok(cuMemHostUnregister(p));
}

/* A program's own faults are its own: handlers from before and after it registered something get each once. */
static void faults(void **state)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction before, a = { .sa_handler = on_fault },
			 b = { .sa_sigaction = on_fault_again, .sa_flags = SA_SIGINFO };

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(sigaction(SIGSEGV, &a, &before), 0);
	for (int i = 1; i <= 3; i++) {
		come_and_go(p);
		store(p + PAGE);
		assert_int_equal(caught[0], i);
	}
	assert_int_equal(sigaction(SIGSEGV, &b, NULL), 0);
	for (int i = 1; i <= 3; i++) {
		store(p + PAGE);
		come_and_go(p);
		store(p + PAGE);
		assert_int_equal(caught[1], 2 * i);
	}
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
	assert_int_equal(caught[0], 3);
	assert_int_equal(munmap(p, 2 * PAGE), 0);
}

/* Sizes and places of all kinds, several at a time. */
static void many(void **state)
{
	enum { COUNT = 40, ROUNDS = 6 };
	unsigned char *p[COUNT];
	size_t size[COUNT];
	uint32_t seed = 12345;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < COUNT; i++) {
			seed = seed * 1664525 + 1013904223;
			size[i] = 4096 + seed % (i % 8 ? 20000 : 3000000);
			p[i] = mmap(NULL, size[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			assert_ptr_not_equal(p[i], MAP_FAILED);
			memset(p[i], i, size[i]);
			ok(cuMemHostRegister(p[i], size[i], 0));
		}
		for (int i = 0; i < COUNT; i++)
			ok(cuMemsetD8(on_device(p[i]) + size[i] / 2, (unsigned char)(i + 100), 1));
		ok(cuCtxSynchronize());
		for (int i = round % 2 ? COUNT - 1 : 0; i >= 0 && i < COUNT; i += round % 2 ? -1 : 1) {
			assert_int_equal(p[i][0], i);
			ok(cuMemHostUnregister(p[i]));
			assert_int_equal(p[i][size[i] / 2], i + 100);
			assert_int_equal(p[i][size[i] - 1], i);
			assert_int_equal(munmap(p[i], size[i]), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels),
		cmocka_unit_test(attributes),
		cmocka_unit_test(refused),
		cmocka_unit_test(copies),
		cmocka_unit_test(by_address),
		cmocka_unit_test(neighbours),
		cmocka_unit_test(writers),
		cmocka_unit_test(children),
		cmocka_unit_test(places),
		cmocka_unit_test(faults),
		cmocka_unit_test(many),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("register", tests, setup, teardown);
}
