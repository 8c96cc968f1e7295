/* SPDX-License-Identifier: MIT */
/*
 * A program that does one thing that must hurt nobody else: misbehave MODE. Exit status 0: the driver answered as it
 * should, 1: it did not, 2: a call before that failed.
 *
 *	stack	recursion without end in a kernel: the context is lost
 *	trap	a kernel that gives up: CUDA_ERROR_LAUNCH_FAILED
 *	hog	takes all device memory, says how many MiB, gets CUDA_ERROR_OUT_OF_MEMORY
 *	loop	a kernel without end: synchronising gives CUDA_ERROR_LAUNCH_TIMEOUT, or never returns
 *	free	the same, but what it waits in is cuMemFree
 *	graph	the same, launched as a graph; exit status 77 on a device without graphs
 *	busy	many short kernels for three seconds: nothing happens
 *	pointers	frees what it has not, twice, and in the wrong place; launches with wrong geometry
 */
#include "program.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

static const char ptx[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".func (.param .b32 r) deep(.param .b32 n)\n{\n\t.local .align 16 .b8 frame[2048];\n"
	"\t.reg .b32 %r<5>;\n\t.reg .b64 %d<2>;\n\tmov.u64 %d1, frame;\n\tld.param.u32 %r1, [n];\n"
	"\tst.local.u32 [%d1], %r1;\n\tadd.u32 %r2, %r1, 1;\n"
	"\t{\n\t.param .b32 a;\n\t.param .b32 b;\n\tst.param.b32 [a], %r2;\n\tcall.uni (b), deep, (a);\n"
	"\tld.param.b32 %r3, [b];\n\t}\n\tld.local.u32 %r4, [%d1];\n\tadd.u32 %r3, %r3, %r4;\n"
	"\tst.param.b32 [r], %r3;\n\tret;\n}\n"
	".visible .entry stack(.param .u64 p)\n{\n\t.reg .b32 %r<3>;\n\t.reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [p];\n\tmov.u32 %r1, 1;\n"
	"\t{\n\t.param .b32 a;\n\t.param .b32 b;\n\tst.param.b32 [a], %r1;\n\tcall.uni (b), deep, (a);\n"
	"\tld.param.b32 %r2, [b];\n\t}\n\tst.global.u32 [%d1], %r2;\n\tret;\n}\n"
	".visible .entry stop(.param .u64 p)\n{\n\ttrap;\n\tret;\n}\n"
	".visible .entry loop(.param .u64 p)\n{\n\t.reg .b32 %r<2>;\n\t.reg .b64 %d<2>;\n\t.reg .pred %p<2>;\n"
	"\tld.param.u64 %d1, [p];\nagain:\n\tld.volatile.global.u32 %r1, [%d1];\n\tsetp.eq.u32 %p1, %r1, 0;\n"
	"\t@%p1 bra again;\n\tret;\n}\n"
	".visible .entry some(.param .u64 p)\n{\n\t.reg .b32 %r<3>;\n\t.reg .b64 %d<2>;\n\t.reg .pred %p<2>;\n"
	"\tld.param.u64 %d1, [p];\n\tmov.u32 %r1, 2000;\nagain:\n\tsub.u32 %r1, %r1, 1;\n"
	"\tld.volatile.global.u32 %r2, [%d1];\n\tsetp.ne.u32 %p1, %r1, 0;\n\t@%p1 bra again;\n\tret;\n}\n";

static CUdeviceptr word;

static CUfunction kernel(const char *name)
{
	CUfunction f;
	CUmodule m;

	CHECK(cuModuleLoadData(&m, ptx));
	CHECK(cuModuleGetFunction(&f, m, name));
	CHECK(cuMemAlloc(&word, 4));
	CHECK(cuMemsetD32(word, 0, 1));
	return f;
}

static void launch(CUfunction f, CUstream stream)
{
	void *params[] = { &word };

	CHECK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

static int judge(const char *what, CUresult got, CUresult want, CUresult or)
{
	const char *name = "?";

	cuGetErrorName(got, &name);
	printf("misbehave: %s: %s (%d)\n", what, name, got);
	return got != want && got != or;
}

static int lose(const char *name, CUresult want, CUresult or)
{
	CUfunction f = kernel(name);
	CUdeviceptr p;
	CUresult r;

	launch(f, NULL);
	r = cuCtxSynchronize();
	/* It stays so. */
	return judge("synchronize", r, want, or) || judge("afterwards", cuMemAlloc(&p, 64), r, r);
}

static int hog(void)
{
	CUresult r = CUDA_SUCCESS;
	CUdeviceptr p;
	size_t sum = 0;

	for (size_t size = 1ull << 36; size >= 1 << 20; size /= 2)
		while (!(r = cuMemAlloc(&p, size)))
			sum += size;
	printf("misbehave: took %zu MiB\n", sum >> 20);
	return judge("the next allocation", r, CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
}

static int loop(const char *mode)
{
	CUfunction f = kernel("loop");
	CUgraphExec exec;
	CUstream stream;
	CUgraph graph;
	CUdeviceptr p;
	CUresult r;

	CHECK(cuMemAlloc(&p, 32 << 20));
	CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	if (!strcmp(mode, "graph")) {
		r = cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
		if (r == CUDA_ERROR_NOT_SUPPORTED)
			exit(77);
		CHECK(r);
		launch(f, stream);
		CHECK(cuStreamEndCapture(stream, &graph));
		CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
		CHECK(cuGraphLaunch(exec, stream));
	} else {
		launch(f, stream);
	}
	printf("misbehave: looping\n");
	fflush(stdout);
	r = strcmp(mode, "free") ? cuCtxSynchronize() : cuMemFree(p);
	return judge("after the wait", r, CUDA_ERROR_LAUNCH_TIMEOUT, CUDA_ERROR_LAUNCH_TIMEOUT) ||
	       judge("afterwards", cuMemAlloc(&p, 64), CUDA_ERROR_LAUNCH_TIMEOUT, CUDA_ERROR_LAUNCH_TIMEOUT);
}

static int busy(void)
{
	CUfunction f = kernel("some");
	time_t end = time(NULL) + 3;

	while (time(NULL) < end) {
		for (int i = 0; i < 50; i++)
			launch(f, NULL);
		CHECK(cuCtxSynchronize());
	}
	return 0;
}

/* Through the mediator the error comes with the next wait. */
static CUresult write_value(CUdeviceptr p)
{
	CUresult r = cuStreamWriteValue32(NULL, p, 1, 0);

	return r ? r : cuCtxSynchronize();
}

static int pointers(void)
{
	CUfunction f = kernel("some");
	void *params[] = { &word };
	CUdeviceptr p;
	int here, bad = 0;

	CHECK(cuMemAlloc(&p, 4096));
	bad |= judge("free of an inner address", cuMemFree(p + 16), CUDA_ERROR_INVALID_VALUE, 0);
	bad |= judge("free of host memory", cuMemFree((CUdeviceptr)(uintptr_t)&here), CUDA_ERROR_INVALID_VALUE, 0);
	CHECK(cuMemFree(p));
	bad |= judge("second free", cuMemFree(p), CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE);
	bad |= judge("memset of freed memory", cuMemsetD32(p, 1, 16), CUDA_ERROR_INVALID_VALUE, CUDA_SUCCESS);
	bad |= judge("write of a value to freed memory", write_value(p), CUDA_ERROR_INVALID_VALUE,
		     CUDA_ERROR_NOT_SUPPORTED);
	bad |= judge("2048 threads", cuLaunchKernel(f, 1, 1, 1, 2048, 1, 1, 0, NULL, params, NULL),
		     CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
	bad |= judge("no blocks", cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, NULL, params, NULL), CUDA_ERROR_INVALID_VALUE,
		     CUDA_ERROR_INVALID_VALUE);
	bad |= judge("1 GiB of shared memory", cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 1 << 30, NULL, params, NULL),
		     CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
	bad |= judge("a wild function", cuLaunchKernel((CUfunction)(uintptr_t)0x123456, 1, 1, 1, 1, 1, 1, 0, NULL, params,
						       NULL), CUDA_ERROR_INVALID_HANDLE, CUDA_ERROR_INVALID_HANDLE);
	launch(f, NULL);
	return bad | judge("and still", cuCtxSynchronize(), CUDA_SUCCESS, CUDA_SUCCESS);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	program_open("misbehave");
	if (!strcmp(mode, "stack"))
		return lose("stack", CUDA_ERROR_HARDWARE_STACK_ERROR, CUDA_ERROR_ILLEGAL_ADDRESS);
	if (!strcmp(mode, "trap"))
		return lose("stop", CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_ILLEGAL_INSTRUCTION);
	if (!strcmp(mode, "hog"))
		return hog();
	if (!strcmp(mode, "loop") || !strcmp(mode, "free") || !strcmp(mode, "graph"))
		return loop(mode);
	if (!strcmp(mode, "busy"))
		return busy();
	if (!strcmp(mode, "pointers"))
		return pointers();
	fprintf(stderr, "usage: misbehave stack|trap|hog|loop|free|graph|busy|pointers\n");
	return 2;
}
