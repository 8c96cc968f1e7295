/* SPDX-License-Identifier: MIT */
/*
 * Says which devices the driver shows, one a line: its UUID. Then computes a little on each. Exit status 0, or 2 if a
 * call failed. With an argument it only calls cuInit, and stays, whatever that says, until it is killed.
 */
#include "program.h"

#include <unistd.h>

static void use(CUdevice device)
{
	CUcontext context;
	CUdeviceptr p;
	int in = device + 7, out = 0;

	CHECK(cuDevicePrimaryCtxRetain(&context, device));
	CHECK(cuCtxSetCurrent(context));
	CHECK(cuMemAlloc(&p, 4));
	CHECK(cuMemcpyHtoD(p, &in, 4));
	CHECK(cuMemcpyDtoH(&out, p, 4));
	CHECK(cuMemFree(p));
	if (in != out)
		program_die("copying", CUDA_ERROR_UNKNOWN);
}

static void stay(void)
{
	printf("cuInit: %d\n", (int)cuInit(0));
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	CUdevice device;
	CUuuid uuid;
	int count;

	(void)argv;
	if (argc > 1)
		stay();
	CHECK(cuInit(0));
	CHECK(cuDeviceGetCount(&count));
	for (int i = 0; i < count; i++) {
		CHECK(cuDeviceGet(&device, i));
		CHECK(cuDeviceGetUuid(&uuid, device));
		printf("GPU-");
		for (int k = 0; k < 16; k++)
			printf("%02x%s", (unsigned char)uuid.bytes[k], k == 3 || k == 5 || k == 7 || k == 9 ? "-" : "");
		printf("\n");
		use(device);
	}
	return 0;
}
