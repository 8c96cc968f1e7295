/* SPDX-License-Identifier: MIT */
/* A faulting kernel poisons its own process, and only that; fork. */
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_test.h"

static const char fault_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .entry wild(.param .u64 p)\n{\n\t.reg .b32 %r<2>;\n\t.reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [p];\n\tmov.u32 %r1, 1;\n\tst.global.u32 [%d1], %r1;\n\tret;\n}\n"
	".visible .entry stop()\n{\n\ttrap;\n\tret;\n}\n";

/* In a child: run one faulty kernel, say by the exit status what was seen. */
static int child_runs(const char *kernel, uint64_t address, CUresult want)
{
	void *params[] = { &address };
	CUcontext ctx;
	CUmodule m;
	CUfunction f;
	CUdeviceptr p;
	CUresult err;

	if (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx) ||
	    cuModuleLoadData(&m, fault_ptx) || cuModuleGetFunction(&f, m, kernel) ||
	    cuMemAlloc(&p, 64))
		return 1;
	if (cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL))
		return 2;
	err = cuCtxSynchronize();
	if (err != want) {
		fprintf(stderr, "%s: synchronize gave %d, wanted %d\n", kernel, err, want);
		return 3;
	}
	/* Sticky: nothing works in this process any more. */
	if (cuMemAlloc(&p, 64) != want || cuCtxSynchronize() != want ||
	    cuMemcpyHtoD(p, &address, 8) != want)
		return 4;
	return 0;
}

static int exit_status(pid_t pid)
{
	int status;

	assert_true(pid >= 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int in_child(const char *kernel, uint64_t address, CUresult want)
{
	pid_t pid = fork();

	if (!pid)
		_exit(child_runs(kernel, address, want));
	return exit_status(pid);
}

/* Runs before this process initialises the driver: children must be able to. */
static void faults(void **state)
{
	(void)state;
	assert_int_equal(in_child("wild", 0x10, CUDA_ERROR_ILLEGAL_ADDRESS), 0);
	assert_int_equal(in_child("wild", 0x7f00ull << 32, CUDA_ERROR_ILLEGAL_ADDRESS), 0);
	assert_int_equal(in_child("stop", 0, CUDA_ERROR_LAUNCH_FAILED), 0);
}

/* Likewise: the launch itself tells what its kernel did. */
static int child_launches_and_waits(void)
{
	uint64_t address = 0x10;
	void *params[] = { &address };
	CUcontext ctx;
	CUgraph graph;
	CUstream s;
	CUmodule m;
	CUfunction f;

	setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx) || cuStreamCreate(&s, 0) ||
	    cuModuleLoadData(&m, fault_ptx) || cuModuleGetFunction(&f, m, "wild"))
		return 1;
	if (cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) ||
	    cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, s, params, NULL) || cuStreamEndCapture(s, &graph))
		return 2;
	return cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, s, params, NULL) == CUDA_ERROR_ILLEGAL_ADDRESS ? 0 : 3;
}

static void blocking_launches(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(child_launches_and_waits());
	assert_int_equal(exit_status(pid), 0);
}

static void others_go_on(void **state)
{
	uint32_t v = 3, w = 0;
	CUcontext ctx;
	CUdeviceptr p;

	(void)state;
	gpu_need_device();
	ok(cuDevicePrimaryCtxRetain(&ctx, 0));
	ok(cuCtxSetCurrent(ctx));
	ok(cuMemAlloc(&p, 4));
	ok(cuMemcpyHtoD(p, &v, 4));
	ok(cuMemcpyDtoH(&w, p, 4));
	assert_int_equal(w, 3);
}

static void fork_child(void **state)
{
	CUdeviceptr p;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid)
		_exit(cuMemAlloc(&p, 16) == CUDA_ERROR_NOT_INITIALIZED &&
		      cuInit(0) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
	assert_int_equal(exit_status(pid), 0);
	ok(cuMemAlloc(&p, 16));
	ok(cuMemFree(p));
}

static int have_device(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		gpu_need_device();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(blocking_launches),
		cmocka_unit_test(others_go_on),
		cmocka_unit_test(fork_child),
	};

	if (!have_device())
		return getenv("VGPU_TEST_NEEDS_DEVICE") ? 1 : SKIPPED;
	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
