/* SPDX-License-Identifier: MIT */
/*
 * Lines of its own and of kernels, in the order in which a program sees them: host, kernel of one block (up to a wait
 * for its stream), host, kernel of BLOCKS blocks (up to a wait for an event, then one for the context), host; then
 * three contexts, one after the other, each with a kernel of one block that nobody but the context's end waits for;
 * last an assert that fails, whose message comes on standard error before the program goes on.
 * Usage: printing [BLOCKS [FIFO]]; FIFO: bytes of CU_LIMIT_PRINTF_FIFO_SIZE
 *        printing 0: only the assert, which nobody waits for
 */
#include "program.h"

#include <stdbool.h>
#include <string.h>

static CUfunction hello;
static CUdeviceptr name;

static void launch(unsigned blocks, CUstream stream)
{
	int value = 42;
	double ratio = 0.5;
	void *params[] = { &value, &ratio, &name };

	CHECK(cuLaunchKernel(hello, blocks, 1, 1, 32, 1, 1, 0, stream, params, NULL));
}

/* The end of a context is one of the points where the text must come. */
static void in_a_context_of_its_own(void)
{
	CUmodule module;
	CUcontext ctx;

	CHECK(cuCtxCreate(&ctx, NULL, 0, 0));
	hello = program_kernel(&module, "printf.ptx", "hello");
	CHECK(cuMemAlloc(&name, 8));
	CHECK(cuMemcpyHtoD(name, "device", 7));
	launch(1, NULL);
	CHECK(cuCtxDestroy(ctx));
	printf("host: a context less\n");
}

static void fail_an_assert(bool wait)
{
	int limit = 30;
	void *params[] = { &limit };
	CUmodule module;
	CUfunction f = program_kernel(&module, "faults.ptx", "assertion");

	fprintf(stderr, "host: assert\n");
	CHECK(cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
	while (!wait && cuStreamQuery(NULL) == CUDA_ERROR_NOT_READY)
		;
	if (wait && cuCtxSynchronize() == CUDA_ERROR_ASSERT && cuCtxSynchronize() == CUDA_ERROR_ASSERT)
		fprintf(stderr, "host: asserted\n");
}

int main(int argc, char **argv)
{
	unsigned blocks = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 300;
	CUstream stream;
	CUmodule module;
	CUevent event;

	program_open("printing");
	if (!blocks) {
		fail_an_assert(false);
		return 0;
	}
	if (argc > 2)
		CHECK(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, strtoul(argv[2], NULL, 10)));
	hello = program_kernel(&module, "printf.ptx", "hello");
	CHECK(cuMemAlloc(&name, 8));
	CHECK(cuMemcpyHtoD(name, "device", 7));
	CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	CHECK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	printf("host: one\n");
	launch(1, stream);
	CHECK(cuStreamSynchronize(stream));
	printf("host: many\n");
	launch(blocks, stream);
	CHECK(cuEventRecord(event, stream));
	CHECK(cuEventSynchronize(event));
	printf("host: none\n");
	CHECK(cuCtxSynchronize());
	CHECK(cuModuleUnload(module));
	for (int i = 0; i < 3; i++)
		in_a_context_of_its_own();
	fail_an_assert(true);
	printf("host: end\n");
	return 0;
}
