/* SPDX-License-Identifier: MIT */
/*
 * Faults of kernels poison the process, and only that process. Each case runs in a child that starts from nothing.
 */
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soft_kernels.h"

#define REQUIRE(cond) do { if (!(cond)) { dprintf(2, "line %d: %s\n", __LINE__, #cond); _exit(1); } } while (0)

static CUfunction start(const char *name)
{
	CUmodule m;
	CUfunction f;

	REQUIRE(!soft_test_begin(NULL));
	REQUIRE(!load_kernels(&m, "faults.ptx"));
	REQUIRE(!drv->cuModuleGetFunction(&f, m, name));
	return f;
}

/* Everything but a few calls returns @error from now on, and pending fences are not written. */
static void require_poisoned(CUresult error, CUstream s, const uint32_t *word)
{
	CUdeviceptr p;
	CUcontext ctx;
	CUevent e;
	int n;

	REQUIRE(drv->cuStreamSynchronize(s) == error);
	REQUIRE(drv->cuCtxSynchronize() == error);
	REQUIRE(drv->cuStreamQuery(NULL) == error);
	REQUIRE(drv->cuMemAlloc_v2(&p, 16) == error);
	REQUIRE(drv->cuEventCreate(&e, 0) == error);
	REQUIRE(drv->cuStreamWriteValue32_v2(s, dptr(word), 5, 0) == error);
	REQUIRE(vgpu_soft_fault() == error);
	REQUIRE(*word == 0);
	REQUIRE(!drv->cuCtxGetCurrent(&ctx) && ctx);
	REQUIRE(!drv->cuDeviceGetCount(&n) && n == 1);
	REQUIRE(!drv->cuDevicePrimaryCtxRelease_v2(0));
}

static void provoke(const char *kernel, CUdeviceptr p, long long arg, unsigned threads, CUresult error)
{
	CUfunction f = start(kernel);
	CUdeviceptr own;
	uint32_t *word;
	CUstream s;
	int limit = (int)arg;
	void *pointer_params[] = { &own, &arg }, *int_params[] = { &limit };

	REQUIRE(!drv->cuMemAlloc_v2(&own, 64));
	if (p)
		own = p;
	REQUIRE(!drv->cuMemHostAlloc((void **)&word, 64, 0));
	*word = 0;
	REQUIRE(!drv->cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	REQUIRE(!drv->cuStreamWaitValue32_v2(s, dptr(&word[1]), 1, CU_STREAM_WAIT_VALUE_EQ));
	REQUIRE(!drv->cuLaunchKernel(f, 1, 1, 1, threads, 1, 1, 0, s,
				     strcmp(kernel, "trap") && strcmp(kernel, "assertion") ? pointer_params : int_params,
				     NULL));
	REQUIRE(!drv->cuStreamWriteValue32_v2(s, dptr(word), 1, 0));
	atomic_store((_Atomic uint32_t *)&word[1], 1);
	require_poisoned(error, s, word);
	_exit(7);
}

static void in_child(void (*child)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(50);
		child();
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void one_past(void)
{
	provoke("out_of_bounds", 0, 16, 1, CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void some_threads_past(void)
{
	provoke("out_of_bounds", 0, 0, 17, CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void null_pointer(void)
{
	provoke("out_of_bounds", 8, 0, 1, CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void host_stack(void)
{
	int local = 0;

	provoke("out_of_bounds", dptr(&local), 0, 1, CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void misaligned(void)
{
	provoke("misaligned", 0, 0, 1, CUDA_ERROR_MISALIGNED_ADDRESS);
}

static void trap(void)
{
	provoke("trap", 0, 3, 32, CUDA_ERROR_LAUNCH_FAILED);
}

static void assertion(void)
{
	provoke("assertion", 0, 3, 32, CUDA_ERROR_ASSERT);
}

static void illegal_addresses(void **state)
{
	(void)state;
	in_child(one_past);
	in_child(some_threads_past);
	in_child(null_pointer);
	in_child(host_stack);
}

static void other_faults(void **state)
{
	(void)state;
	in_child(misaligned);
	in_child(trap);
	in_child(assertion);
}

static CUstream launch_endless(void)
{
	CUfunction f = start("endless");
	CUdeviceptr flag;
	CUstream s;
	void *params[] = { &flag };

	REQUIRE(!drv->cuMemAlloc_v2(&flag, 4));
	REQUIRE(!drv->cuMemsetD32_v2(flag, 0, 1));
	REQUIRE(!drv->cuCtxSynchronize());
	REQUIRE(!drv->cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	REQUIRE(!drv->cuLaunchKernel(f, 64, 1, 1, 1, 1, 1, 0, s, params, NULL));
	REQUIRE(drv->cuStreamQuery(s) == CUDA_ERROR_NOT_READY);
	return s;
}

static void shut_down(void)
{
	CUstream s = launch_endless();

	vgpu_soft_shutdown();
	REQUIRE(drv->cuStreamSynchronize(s) == CUDA_ERROR_DEINITIALIZED);
	REQUIRE(drv->cuInit(0) == CUDA_ERROR_DEINITIALIZED);
	_exit(7);
}

static void reset(void)
{
	CUdeviceptr p;

	launch_endless();
	REQUIRE(!drv->cuDevicePrimaryCtxReset_v2(0));
	REQUIRE(!drv->cuMemAlloc_v2(&p, 16));
	REQUIRE(!drv->cuCtxSynchronize());
	_exit(7);
}

/* A kernel without end does not outlive its context or the device. */
static void endless_kernels_are_stopped(void **state)
{
	(void)state;
	in_child(shut_down);
	in_child(reset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(illegal_addresses),
		cmocka_unit_test(other_faults),
		cmocka_unit_test(endless_kernels_are_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
