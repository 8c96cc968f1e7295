/* SPDX-License-Identifier: MIT */
/*
 * A program of the CUDA runtime, as nvcc builds it: the real cudart, static or shared, starts on our libcuda and
 * runs its kernels from the PTX in its fat binary. Each step says what went wrong; exit status 0 if nothing did.
 */
#include <cstdio>
#include <cstring>
#include <vector>

#include <cuda_runtime.h>

static int failures;

#define CHECK(call) do { cudaError_t e_ = (call); if (e_ != cudaSuccess) { failures++; \
	printf("%d: %s: %s\n", __LINE__, #call, cudaGetErrorName(e_)); } } while (0)
#define EXPECT(what) do { if (!(what)) { failures++; printf("%d: not so: %s\n", __LINE__, #what); } } while (0)

struct parameter {
	int a;
	double b;
	char c[5];
};

__constant__ float scale[2];
__device__ int counter;

__global__ void add(const float *a, const float *b, float *c, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		c[i] = a[i] + b[i];
}

__global__ void take_struct(parameter p, int *out)
{
	out[0] = p.a;
	out[1] = (int)p.b;
	out[2] = p.c[4];
	atomicAdd(&counter, 1);
}

__global__ void scaled(float *x, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		x[i] = x[i] * scale[0] + scale[1];
}

static void vector_add()
{
	const int n = 100000;
	std::vector<float> a(n), b(n), c(n);
	float *da, *db, *dc;
	int bad = 0;

	for (int i = 0; i < n; i++) {
		a[i] = i;
		b[i] = 2 * i;
	}
	CHECK(cudaMalloc(&da, n * sizeof(float)));
	CHECK(cudaMalloc(&db, n * sizeof(float)));
	CHECK(cudaMalloc(&dc, n * sizeof(float)));
	CHECK(cudaMemcpy(da, a.data(), n * sizeof(float), cudaMemcpyHostToDevice));
	CHECK(cudaMemcpy(db, b.data(), n * sizeof(float), cudaMemcpyHostToDevice));
	add<<<(n + 255) / 256, 256>>>(da, db, dc, n);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(c.data(), dc, n * sizeof(float), cudaMemcpyDeviceToHost));
	for (int i = 0; i < n; i++)
		bad += c[i] != 3.0f * i;
	EXPECT(bad == 0);
	CHECK(cudaFree(da));
	CHECK(cudaFree(db));
	CHECK(cudaFree(dc));
}

static void structs_and_symbols()
{
	parameter p = { 7, 9.5, { 0, 0, 0, 0, 3 } };
	int *d, out[3] = { 0, 0, 0 }, count = 0;

	CHECK(cudaMalloc(&d, sizeof(out)));
	take_struct<<<1, 32>>>(p, d);
	CHECK(cudaMemcpy(out, d, sizeof(out), cudaMemcpyDeviceToHost));
	EXPECT(out[0] == 7 && out[1] == 9 && out[2] == 3);
	CHECK(cudaMemcpyFromSymbol(&count, counter, sizeof(count)));
	EXPECT(count == 32);
	CHECK(cudaFree(d));
}

static void streams_and_events()
{
	const int n = 1 << 18;
	const float factors[2] = { 2, 1 };
	float *host, *device, milliseconds = -1;
	cudaEvent_t start, end;
	cudaStream_t s;
	int bad = 0;

	CHECK(cudaMallocHost(&host, n * sizeof(float)));
	CHECK(cudaMalloc(&device, n * sizeof(float)));
	CHECK(cudaStreamCreate(&s));
	CHECK(cudaEventCreate(&start));
	CHECK(cudaEventCreate(&end));
	CHECK(cudaMemcpyToSymbol(scale, factors, sizeof(factors)));
	if (failures)
		return;
	for (int i = 0; i < n; i++)
		host[i] = i;
	CHECK(cudaEventRecord(start, s));
	CHECK(cudaMemcpyAsync(device, host, n * sizeof(float), cudaMemcpyHostToDevice, s));
	scaled<<<n / 256, 256, 0, s>>>(device, n);
	CHECK(cudaMemcpyAsync(host, device, n * sizeof(float), cudaMemcpyDeviceToHost, s));
	CHECK(cudaEventRecord(end, s));
	CHECK(cudaStreamSynchronize(s));
	CHECK(cudaEventElapsedTime(&milliseconds, start, end));
	EXPECT(milliseconds >= 0);
	for (int i = 0; i < n; i++)
		bad += host[i] != 2.0f * i + 1;
	EXPECT(bad == 0);
	CHECK(cudaFreeHost(host));
	CHECK(cudaFree(device));
	CHECK(cudaStreamDestroy(s));
}

static void pointers_and_errors()
{
	cudaPointerAttributes attributes;
	int on_stack, *device;

	CHECK(cudaMalloc(&device, 4));
	CHECK(cudaPointerGetAttributes(&attributes, device));
	EXPECT(attributes.type == cudaMemoryTypeDevice);
	CHECK(cudaPointerGetAttributes(&attributes, &on_stack));
	EXPECT(attributes.type == cudaMemoryTypeUnregistered);
	EXPECT(cudaMemcpy(device, &on_stack, 4096, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
	add<<<1, 4096>>>(NULL, NULL, NULL, 0);
	EXPECT(cudaGetLastError() != cudaSuccess);
	EXPECT(cudaGetLastError() == cudaSuccess);
	CHECK(cudaFree(device));
}

int main()
{
	cudaDeviceProp properties;

	CHECK(cudaGetDeviceProperties(&properties, 0));
	vector_add();
	structs_and_symbols();
	streams_and_events();
	pointers_and_errors();
	CHECK(cudaDeviceReset());
	vector_add();
	printf("%s on %s\n", failures ? "failed" : "right", properties.name);
	return failures != 0;
}
