/* SPDX-License-Identifier: MIT */
/*
 * Lines of its own and of kernels, in the order in which a program sees them: host, kernel of one block (up to a wait
 * for its stream), host, kernel of BLOCKS blocks (up to a wait for an event, then one for the context), host.
 * Usage: printing [BLOCKS]
 */
#include "program.h"

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

int main(int argc, char **argv)
{
	unsigned blocks = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 300;
	CUstream stream;
	CUmodule module;
	CUevent event;

	program_open("printing");
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
	printf("host: end\n");
	return 0;
}
