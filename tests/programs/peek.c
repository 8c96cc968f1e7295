/* SPDX-License-Identifier: MIT */
/*
 * Tries to see device memory of others. Exit status 0: nothing was seen, 1: a secret was read, 2: a call failed.
 *
 *	peek secret [MIB]	fills memory with the pattern, says "secret at ADDRESS", keeps it until killed
 *	peek leave [MIB]	fills memory with the pattern and exits without freeing it
 *	peek copy ADDRESS	reads there by the copy calls
 *	peek load ADDRESS	reads there by a kernel
 *	peek scan		takes all memory there is and looks for the pattern
 */
#include "program.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define PATTERN	 0x5ec4e701u
#define PIECE	 (4u << 20)
#define BY_COPY	 (8ull << 30)	/* up to here memory is looked at by copying it, beyond by a kernel */

static const char ptx[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".visible .entry load(.param .u64 p, .param .u64 out)\n{\n\t.reg .b32 %r<2>;\n\t.reg .b64 %d<3>;\n"
	"\tld.param.u64 %d1, [p];\n\tld.param.u64 %d2, [out];\n\tld.global.u32 %r1, [%d1];\n"
	"\tst.global.u32 [%d2], %r1;\n\tret;\n}\n"
	/* One thread for each 4 KiB: how many words are the pattern? */
	".visible .entry count(.param .u64 p, .param .u64 out, .param .u32 pages)\n{\n\t.reg .b32 %r<9>;\n"
	"\t.reg .b64 %d<5>;\n\t.reg .pred %p<4>;\n\tld.param.u64 %d1, [p];\n\tld.param.u64 %d2, [out];\n"
	"\tld.param.u32 %r1, [pages];\n\tmov.u32 %r2, %ctaid.x;\n\tmov.u32 %r3, %ntid.x;\n\tmov.u32 %r4, %tid.x;\n"
	"\tmad.lo.u32 %r2, %r2, %r3, %r4;\n\tsetp.ge.u32 %p1, %r2, %r1;\n\t@%p1 ret;\n"
	"\tmul.wide.u32 %d3, %r2, 4096;\n\tadd.u64 %d1, %d1, %d3;\n\tmov.u32 %r5, 0;\n\tmov.u32 %r6, 0;\nagain:\n"
	"\tld.global.u32 %r7, [%d1];\n\tsetp.eq.u32 %p2, %r7, 1589962497;\n\t@%p2 add.u32 %r6, %r6, 1;\n"
	"\tadd.u64 %d1, %d1, 4;\n\tadd.u32 %r5, %r5, 1;\n\tsetp.lt.u32 %p3, %r5, 1024;\n\t@%p3 bra again;\n"
	"\tatom.global.add.u32 %r8, [%d2], %r6;\n\tret;\n}\n";

_Static_assert(PATTERN == 1589962497u, "the number in the kernel");

static CUfunction kernel(const char *name)
{
	CUfunction f;
	CUmodule m;

	CHECK(cuModuleLoadData(&m, ptx));
	CHECK(cuModuleGetFunction(&f, m, name));
	return f;
}

static size_t patterns(const uint32_t *data, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes / 4; i++)
		n += data[i] == PATTERN;
	return n;
}

static int verdict(const char *how, size_t seen, CUresult r)
{
	const char *name = "?";

	cuGetErrorName(r, &name);
	printf("peek: %s: %s, %zu words of another's\n", how, name, seen);
	return seen != 0;
}

static void fill(size_t bytes)
{
	CUdeviceptr p;

	CHECK(cuMemAlloc(&p, bytes));
	CHECK(cuMemsetD32(p, PATTERN, bytes / 4));
	CHECK(cuCtxSynchronize());
	printf("peek: secret at %#llx\n", (unsigned long long)p);
	fflush(stdout);
}

static int copy(CUdeviceptr from)
{
	static uint32_t data[1024];
	CUdeviceptr own;
	CUresult r;
	int bad;

	CHECK(cuMemAlloc(&own, sizeof(data)));
	CHECK(cuMemsetD32(own, 0, 1024));
	r = cuMemcpyDtoH(data, from, sizeof(data));
	bad = verdict("device to host", r ? 0 : patterns(data, sizeof(data)), r);
	r = cuMemcpyDtoD(own, from, sizeof(data));
	CHECK(cuMemcpyDtoH(data, own, sizeof(data)));
	bad |= verdict("device to device", patterns(data, sizeof(data)), r);
	memset(data, 0, sizeof(data));
	r = cuMemsetD32(from, 0, 1024);	/* the owner looks whether this reached it */
	return bad | verdict("memset", 0, r);
}

static int load(CUdeviceptr from)
{
	CUfunction f = kernel("load");
	CUdeviceptr out;
	void *params[] = { &from, &out };
	uint32_t word = 0;
	CUresult r;

	CHECK(cuMemAlloc(&out, 4));
	CHECK(cuMemsetD32(out, 0, 1));
	CHECK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	r = cuMemcpyDtoH(&word, out, 4);
	return verdict("kernel", !r && word == PATTERN, r);
}

static size_t scan_by_copy(CUdeviceptr p, size_t bytes)
{
	static uint32_t data[PIECE / 4];
	size_t seen = 0;

	for (size_t at = 0; at < bytes; at += PIECE) {
		size_t n = bytes - at < PIECE ? bytes - at : PIECE;

		CHECK(cuMemcpyDtoH(data, p + at, n));
		seen += patterns(data, n);
	}
	return seen;
}

static size_t scan_by_kernel(CUdeviceptr p, size_t bytes)
{
	static CUdeviceptr out;
	static CUfunction f;
	uint32_t pages = (uint32_t)(bytes / 4096), seen;
	void *params[] = { &p, &out, &pages };

	if (!f) {
		f = kernel("count");
		CHECK(cuMemAlloc(&out, 4));
	}
	CHECK(cuMemsetD32(out, 0, 1));
	CHECK(cuLaunchKernel(f, (pages + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	CHECK(cuMemcpyDtoH(&seen, out, 4));
	return seen;
}

static int scan(void)
{
	size_t total = 0, available, all, seen = 0;
	CUdeviceptr p;

	CHECK(cuMemGetInfo(&available, &all));
	if (all > BY_COPY) {	/* it needs a little memory itself, while there is some */
		CHECK(cuMemAlloc(&p, PIECE));
		seen += scan_by_kernel(p, PIECE);
	}
	for (size_t size = 1ull << 34; size >= PIECE; size /= 2) {
		while (!cuMemAlloc(&p, size)) {
			seen += all > BY_COPY ? scan_by_kernel(p, size) : scan_by_copy(p, size);
			total += size;
		}
	}
	printf("peek: looked at %zu MiB of %zu\n", total >> 20, all >> 20);
	return verdict("fresh memory", seen, CUDA_SUCCESS) || !total;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	unsigned long long number = argc > 2 ? strtoull(argv[2], NULL, 0) : 64;

	program_open("peek");
	if (!strcmp(mode, "secret") || !strcmp(mode, "leave")) {
		fill((size_t)number << 20);
		while (!strcmp(mode, "secret"))
			pause();
		_exit(0);
	}
	if (!strcmp(mode, "copy"))
		return copy(number);
	if (!strcmp(mode, "load"))
		return load(number);
	if (!strcmp(mode, "scan"))
		return scan();
	fprintf(stderr, "usage: peek secret|leave [MIB] | copy|load ADDRESS | scan\n");
	return 2;
}
