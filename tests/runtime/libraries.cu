/* SPDX-License-Identifier: MIT */
/*
 * Libraries of the toolkit: NVRTC compiles a kernel that is loaded and launched by the driver API; cuFFT makes a plan
 * and transforms. Exit status 0 if all went well.
 */
#include <cmath>
#include <cstdio>
#include <vector>

#include <cuda.h>
#include <cuda_runtime.h>
#include <cufft.h>
#include <nvrtc.h>

static int failures;

#define CHECK(call) do { int e_ = (int)(call); if (e_) { failures++; printf("%d: %s: %d\n", __LINE__, #call, e_); } } while (0)
#define EXPECT(what) do { if (!(what)) { failures++; printf("%d: not so: %s\n", __LINE__, #what); } } while (0)

static const char source[] =
	"template <typename T> __global__ void ramp(T *x, T slope) { x[threadIdx.x] = threadIdx.x * slope; }\n";

static std::vector<char> compile(const char **name)
{
	const char *options[] = { "--gpu-architecture=compute_80" };
	static nvrtcProgram program;
	size_t size = 0;

	CHECK(nvrtcCreateProgram(&program, source, "ramp.cu", 0, NULL, NULL));
	CHECK(nvrtcAddNameExpression(program, "ramp<float>"));
	CHECK(nvrtcCompileProgram(program, 1, options));
	CHECK(nvrtcGetPTXSize(program, &size));
	std::vector<char> ptx(size);
	CHECK(nvrtcGetPTX(program, ptx.data()));
	CHECK(nvrtcGetLoweredName(program, "ramp<float>", name));
	return ptx;
}

static void runtime_compiler()
{
	const char *name = NULL;
	std::vector<char> ptx = compile(&name);
	float *x, slope = 2.5f, h[32] = { 0 };
	void *args[] = { &x, &slope };
	CUfunction ramp;
	CUmodule module;

	CHECK(cudaMalloc(&x, sizeof(h)));
	CHECK(cuModuleLoadData(&module, ptx.data()));
	CHECK(cuModuleGetFunction(&ramp, module, name));
	CHECK(cuLaunchKernel(ramp, 1, 1, 1, 32, 1, 1, 0, NULL, args, NULL));
	CHECK(cudaMemcpy(h, x, sizeof(h), cudaMemcpyDeviceToHost));
	EXPECT(h[0] == 0 && h[31] == 77.5f);
	CHECK(cuModuleUnload(module));
	CHECK(cudaFree(x));
}

/* The transform of a cosine of three periods has two peaks. */
static void transforms()
{
	const int n = 1024;
	std::vector<cufftComplex> h(n);
	cufftComplex *x;
	cufftHandle plan;

	for (int i = 0; i < n; i++)
		h[i] = { (float)cos(2 * M_PI * 3 * i / n), 0 };
	CHECK(cudaMalloc(&x, n * sizeof(h[0])));
	CHECK(cudaMemcpy(x, h.data(), n * sizeof(h[0]), cudaMemcpyHostToDevice));
	CHECK(cufftPlan1d(&plan, n, CUFFT_C2C, 1));
	CHECK(cufftExecC2C(plan, x, x, CUFFT_FORWARD));
	CHECK(cudaMemcpy(h.data(), x, n * sizeof(h[0]), cudaMemcpyDeviceToHost));
	for (int i = 0; i < n; i++)
		EXPECT(fabsf(h[i].x - (i == 3 || i == n - 3 ? n / 2 : 0)) < 0.01f && fabsf(h[i].y) < 0.01f);
	CHECK(cufftDestroy(plan));
	CHECK(cudaFree(x));
}

int main()
{
	runtime_compiler();
	transforms();
	return failures != 0;
}
