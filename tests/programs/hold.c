/* SPDX-License-Identifier: MIT */
/*
 * Takes device memory, copies to it, says "holding", and keeps all of it until it is killed.
 * Usage: hold [MEBIBYTES]
 */
#include "program.h"

#include <unistd.h>

int main(int argc, char **argv)
{
	long mib = argc > 1 ? strtol(argv[1], NULL, 10) : 16;
	size_t bytes = (size_t)mib << 20;
	CUdeviceptr memory;
	char *data;

	if (mib < 1 || mib > 1 << 20) {
		fprintf(stderr, "usage: %s [MEBIBYTES]\n", argv[0]);
		return 2;
	}
	program_open("hold");
	data = calloc(1, bytes);
	if (!data)
		return 2;
	CHECK(cuMemAlloc(&memory, bytes));
	CHECK(cuMemcpyHtoD(memory, data, bytes));
	free(data);
	printf("hold: holding %ld MiB\n", mib);
	fflush(stdout);
	for (;;)
		pause();
}
