/* SPDX-License-Identifier: MIT */
/*
 * Loads a module of a given size, has its kernel compute, unloads it: code KIB [SEED [TIMES [MAJOR]]]. Modules of one size
 * and seed are the same, byte for byte; most of it is machine code for devices of this major number, or of the device's
 * own. Exit status: 0 if the kernel was right each time, 1 if not, 2 if a call failed.
 */
#include "program.h"

#include <stdint.h>
#include <string.h>

#include "fatbin.h"

#define ANSWER 4711u

static const char text[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .entry answer(.param .u64 to)\n{\n\t.reg .b64 %rd<3>;\n\t.reg .b32 %r<2>;\n"
	"\tld.param.u64 %rd1, [to];\n\tcvta.to.global.u64 %rd2, %rd1;\n\tmov.u32 %r1, 4711;\n"
	"\tst.global.u32 [%rd2], %r1;\n\tret;\n}\n";

/* Is what its kernel computes right? */
static size_t wrong(const void *image)
{
	CUfunction answer;
	CUmodule module;
	CUdeviceptr p;
	unsigned int got = 0;
	void *params[] = { &p };

	CHECK(cuMemAlloc(&p, sizeof(got)));
	CHECK(cuModuleLoadData(&module, image));
	CHECK(cuModuleGetFunction(&answer, module, "answer"));
	CHECK(cuLaunchKernel(answer, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	CHECK(cuMemcpyDtoH(&got, p, sizeof(got)));
	CHECK(cuModuleUnload(module));
	CHECK(cuMemFree(p));
	return got != ANSWER;
}

static unsigned long argument(int argc, char **argv, int i, unsigned long otherwise)
{
	return i < argc ? strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	unsigned long times = argument(argc, argv, 3, 1);
	CUdevice device = program_open("code");
	size_t bytes, failures = 0;
	int major;
	void *image;

	CHECK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device));
	image = fatbin_make(text, sizeof(text) - 1, (struct fatbin_filler){
		.bytes = argument(argc, argv, 1, 0) << 10, .seed = argument(argc, argv, 2, 1),
		.arch = fatbin_arch_beside((int)argument(argc, argv, 4, (unsigned long)major)) }, &bytes);
	if (!image) {
		fprintf(stderr, "code: not enough memory\n");
		return 2;
	}
	for (unsigned long i = 0; i < times; i++)
		failures += wrong(image);
	free(image);
	return program_verdict("code", failures, times);
}
