/* SPDX-License-Identifier: MIT */
/*
 * Graphs through the CUDA runtime, as nvcc builds it: a captured stream replayed, with copies, kernels and a host
 * function, must leave what the same stream leaves without a graph. Prints the time of one launch; exit status 0 if
 * everything was right.
 */
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include <cuda_runtime.h>

static int failures;

#define CHECK(call) do { cudaError_t e_ = (call); if (e_ != cudaSuccess) { failures++; \
	printf("%d: %s: %s\n", __LINE__, #call, cudaGetErrorName(e_)); } } while (0)
#define EXPECT(what) do { if (!(what)) { failures++; printf("%d: not so: %s\n", __LINE__, #what); } } while (0)

static const int n = 4096, rounds = 200;

__global__ void step(float *x, float a, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < count)
		x[i] = x[i] * a + 1.0f;
}

static void CUDART_CB called(void *data)
{
	++*(volatile int *)data;
}

struct work {
	float *device, *in, *out;	/* in, out: pinned */
	int calls;
	cudaStream_t stream, side;
	cudaEvent_t fork, join;
};

/* Two branches: each works on its half. */
static void enqueue(work *w)
{
	const size_t bytes = n * sizeof(float);

	CHECK(cudaMemcpyAsync(w->device, w->in, bytes, cudaMemcpyHostToDevice, w->stream));
	CHECK(cudaEventRecord(w->fork, w->stream));
	CHECK(cudaStreamWaitEvent(w->side, w->fork, 0));
	step<<<n / 512, 256, 0, w->stream>>>(w->device, 0.5f, n / 2);
	step<<<n / 512, 256, 0, w->side>>>(w->device + n / 2, 0.25f, n / 2);
	CHECK(cudaEventRecord(w->join, w->side));
	CHECK(cudaStreamWaitEvent(w->stream, w->join, 0));
	step<<<n / 256, 256, 0, w->stream>>>(w->device, 2.0f, n);
	CHECK(cudaMemcpyAsync(w->out, w->device, bytes, cudaMemcpyDeviceToHost, w->stream));
	CHECK(cudaLaunchHostFunc(w->stream, called, &w->calls));
}

static void prepare(work *w)
{
	memset(w, 0, sizeof(*w));
	CHECK(cudaMalloc(&w->device, n * sizeof(float)));
	CHECK(cudaMallocHost(&w->in, n * sizeof(float)));
	CHECK(cudaMallocHost(&w->out, n * sizeof(float)));
	CHECK(cudaStreamCreateWithFlags(&w->stream, cudaStreamNonBlocking));
	CHECK(cudaStreamCreateWithFlags(&w->side, cudaStreamNonBlocking));
	CHECK(cudaEventCreateWithFlags(&w->fork, cudaEventDisableTiming));
	CHECK(cudaEventCreateWithFlags(&w->join, cudaEventDisableTiming));
}

static cudaGraphExec_t capture(work *w)
{
	cudaGraphExec_t exec = NULL;
	cudaGraph_t graph;
	size_t nodes = 0;

	CHECK(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeThreadLocal));
	enqueue(w);
	CHECK(cudaStreamEndCapture(w->stream, &graph));
	CHECK(cudaGraphGetNodes(graph, NULL, &nodes));
	EXPECT(nodes == 6);
	CHECK(cudaGraphInstantiate(&exec, graph, 0));
	CHECK(cudaGraphDestroy(graph));
	return exec;
}

static void compare(work *w, cudaGraphExec_t exec)
{
	std::vector<float> direct(n);

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < n; i++)
			w->in[i] = (float)(i * 0.37 + round);
		w->calls = 0;
		enqueue(w);
		CHECK(cudaStreamSynchronize(w->stream));
		memcpy(direct.data(), w->out, n * sizeof(float));
		EXPECT(w->calls == 1);
		memset(w->out, 0, n * sizeof(float));
		CHECK(cudaGraphLaunch(exec, w->stream));
		CHECK(cudaStreamSynchronize(w->stream));
		EXPECT(w->calls == 2);
		EXPECT(!memcmp(direct.data(), w->out, n * sizeof(float)));
		EXPECT(w->out[0] == (w->in[0] * 0.5f + 1.0f) * 2.0f + 1.0f);
	}
}

/* What a launch costs the caller, and what it takes as a whole, of a graph of kernels only. */
static void measure(work *w)
{
	typedef std::chrono::steady_clock clock;
	cudaGraphExec_t exec = NULL;
	cudaGraph_t graph;

	CHECK(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeThreadLocal));
	for (int i = 0; i < 10; i++)
		step<<<1, 32, 0, w->stream>>>(w->device, 0.5f, 32);
	CHECK(cudaStreamEndCapture(w->stream, &graph));
	CHECK(cudaGraphInstantiate(&exec, graph, 0));
	CHECK(cudaGraphLaunch(exec, w->stream));
	CHECK(cudaStreamSynchronize(w->stream));
	const clock::time_point start = clock::now();
	for (int i = 0; i < rounds; i++)
		CHECK(cudaGraphLaunch(exec, w->stream));
	const clock::time_point sent = clock::now();
	CHECK(cudaStreamSynchronize(w->stream));
	const std::chrono::duration<double, std::nano> call = sent - start, whole = clock::now() - start;
	printf("graph of 10 kernels: %.0f ns a launch in the caller, %.0f ns until done\n", call.count() / rounds,
	       whole.count() / rounds);
	CHECK(cudaGraphExecDestroy(exec));
	CHECK(cudaGraphDestroy(graph));
}

int main()
{
	cudaGraphExec_t exec;
	work w;

	prepare(&w);
	exec = capture(&w);
	if (!failures) {
		compare(&w, exec);
		measure(&w);
	}
	CHECK(cudaGraphExecDestroy(exec));
	CHECK(cudaDeviceReset());
	printf("%s\n", failures ? "failed" : "right");
	return failures != 0;
}
