/* SPDX-License-Identifier: MIT */
/*
 * link OBJECT ARCHIVE FATBIN RUNTIME: a kernel that NVRTC compiles is linked at run time with functions out of files, as
 * nvcc makes them, and with the device runtime, which nothing in it needs.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <cuda.h>
#include <nvrtc.h>

#define CHECK(call)                                                                     \
	do {                                                                            \
		int r_ = (int)(call);                                                   \
		if (r_) {                                                               \
			fprintf(stderr, "%s: error %d: %s\n", #call, r_, error_log);    \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

static const char source[] =
	"extern __device__ int from_object(int);\nextern __device__ int from_archive(int);\n"
	"extern __device__ int from_fatbin(int);\n"
	"extern \"C\" __global__ void k(int *out) { int i = threadIdx.x;\n"
	"\tout[i] = from_object(i) + from_archive(i) + from_fatbin(i); }\n";
static char error_log[8192], info_log[8192];

static std::vector<char> compile()
{
	const char *options[] = { "-arch=compute_80", "-rdc=true" };
	std::vector<char> ptx;
	nvrtcProgram program;
	size_t size;

	CHECK(nvrtcCreateProgram(&program, source, "kernel.cu", 0, nullptr, nullptr));
	CHECK(nvrtcCompileProgram(program, 2, options));
	CHECK(nvrtcGetPTXSize(program, &size));
	ptx.resize(size);
	CHECK(nvrtcGetPTX(program, ptx.data()));
	CHECK(nvrtcDestroyProgram(&program));
	return ptx;
}

static CUlinkState create()
{
	CUjit_option options[] = { CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
				   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_LOG_VERBOSE };
	static void *values[] = { info_log, (void *)sizeof(info_log), error_log, (void *)sizeof(error_log), (void *)1 };
	CUlinkState link;

	CHECK(cuLinkCreate(5, options, values, &link));
	return link;
}

static void run(CUmodule module)
{
	int out[32];
	CUdeviceptr p;
	CUfunction k;
	void *params[] = { &p };

	CHECK(cuModuleGetFunction(&k, module, "k"));
	CHECK(cuMemAlloc(&p, sizeof(out)));
	CHECK(cuLaunchKernel(k, 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
	CHECK(cuMemcpyDtoH(out, p, sizeof(out)));
	for (int i = 0; i < 32; i++)
		if (out[i] != (i + 1) + 2 * i + i * i) {
			fprintf(stderr, "element %d is %d\n", i, out[i]);
			exit(1);
		}
	CHECK(cuMemFree(p));
}

int main(int argc, char **argv)
{
	static const CUjitInputType types[] = { CU_JIT_INPUT_OBJECT, CU_JIT_INPUT_LIBRARY, CU_JIT_INPUT_FATBINARY,
						CU_JIT_INPUT_LIBRARY };
	std::vector<char> ptx = compile();
	CUlinkState link;
	CUcontext context;
	CUmodule module;
	size_t size;
	void *cubin;

	if (argc != 5)
		return 2;
	CHECK(cuInit(0));
	CHECK(cuDevicePrimaryCtxRetain(&context, 0));
	CHECK(cuCtxSetCurrent(context));
	link = create();
	CHECK(cuLinkAddData(link, CU_JIT_INPUT_PTX, ptx.data(), ptx.size(), "kernel.ptx", 0, nullptr, nullptr));
	for (int i = 0; i < 4; i++)
		CHECK(cuLinkAddFile(link, types[i], argv[i + 1], 0, nullptr, nullptr));
	CHECK(cuLinkComplete(link, &cubin, &size));
	CHECK(cuModuleLoadDataEx(&module, cubin, 0, nullptr, nullptr));
	CHECK(cuLinkDestroy(link));
	run(module);
	CHECK(cuModuleUnload(module));
	printf("linked %zu bytes\n", size);
	return 0;
}
