/* SPDX-License-Identifier: MIT */
/*
 * A program with a bug: its kernel stores to an address that is not its own.
 * Exit status 0 if the driver said so (CUDA_ERROR_ILLEGAL_ADDRESS), else 1.
 */
#include <stdint.h>
#include <stdio.h>

#include <cuda.h>

static const char ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .entry wild(.param .u64 p)\n{\n\t.reg .b32 %r<2>;\n\t.reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [p];\n\tmov.u32 %r1, 1;\n\tst.global.u32 [%d1], %r1;\n\tret;\n}\n";

int main(void)
{
	uint64_t address = 0x10;
	void *params[] = { &address };
	CUcontext ctx;
	CUmodule mod;
	CUfunction fn;
	CUresult err;

	if (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx) ||
	    cuModuleLoadData(&mod, ptx) || cuModuleGetFunction(&fn, mod, "wild") ||
	    cuLaunchKernel(fn, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL)) {
		fprintf(stderr, "wild: could not even start\n");
		return 1;
	}
	err = cuCtxSynchronize();
	printf("cuCtxSynchronize: %d\n", err);
	return err != CUDA_ERROR_ILLEGAL_ADDRESS;
}
