/* SPDX-License-Identifier: MIT */
/*
 * What frameworks ask the driver for each launch, through libcuda.so.1: each of these is answered in the guest, without a
 * message. On a machine with a GPU, and without LD_LIBRARY_PATH, the driver's own.
 */
#include <stddef.h>

#include "device.h"

#define BATCH 1000

static const struct device *device;
static CUstream stream;
static CUdeviceptr memory;

static bool prepare(struct gbench *b)
{
	device = device_open(b);
	if (!device)
		return false;
	if (!stream && (cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuMemAlloc_v2(&memory, 1 << 20))) {
		gbench_fail(b, "no stream or no memory");
		return false;
	}
	return true;
}

static CUresult current(void)
{
	CUcontext c;

	return cuCtxGetCurrent(&c);
}

static CUresult current_device(void)
{
	CUdevice d;

	return cuCtxGetDevice(&d);
}

static CUresult device_attribute(void)
{
	int v;

	return cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0);
}

static CUresult is_capturing(void)
{
	CUstreamCaptureStatus status;

	return cuStreamIsCapturing(stream, &status);
}

static CUresult capture_info(void)
{
	CUstreamCaptureStatus status;
	cuuint64_t id;

	return cuStreamGetCaptureInfo_v2(stream, &status, &id, NULL, NULL, NULL);
}

static CUresult pointer_attribute(void)
{
	int type;

	return cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory);
}

static CUresult pointer_attributes(void)
{
	static CUpointer_attribute kinds[] = { CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					       CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL };
	CUcontext c;
	int type, ordinal;
	void *data[] = { &c, &type, &ordinal };

	return cuPointerGetAttributes(3, kinds, data, memory);
}

static CUresult function_attribute(void)
{
	int v;

	return cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, device->empty);
}

static CUresult occupancy(void)
{
	int v;

	return cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, device->empty, 128, 0);
}

static CUresult proc_address(void)
{
	void *f;

	return cuGetProcAddress_v2("cuLaunchKernel", &f, 12000, 0, NULL);
}

static CUresult function_by_name(void)
{
	CUfunction f;

	return cuModuleGetFunction(&f, device->module, "empty");
}

static const struct call {
	const char *name;
	CUresult (*call)(void);
} calls[] = {
	{ "query/current_context", current },
	{ "query/current_device", current_device },
	{ "query/device_attribute", device_attribute },
	{ "query/is_capturing", is_capturing },
	{ "query/capture_info", capture_info },
	{ "query/pointer_attribute", pointer_attribute },
	{ "query/pointer_attributes", pointer_attributes },
	{ "query/function_attribute", function_attribute },
	{ "query/occupancy", occupancy },
	{ "query/proc_address", proc_address },
	{ "query/function_by_name", function_by_name },
};

static void repeated(struct gbench *b)
{
	const struct call *c = gbench_data(b);
	CUresult r = CUDA_SUCCESS;

	if (!prepare(b))
		return;
	while (gbench_next_batch(b, BATCH))
		for (int i = 0; i < BATCH; i++)
			r |= c->call();
	if (r)
		gbench_fail(b, "a call failed");
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		gbench_add_case(calls[i].name, repeated, &(struct gbench_case){ .data = &calls[i] });
	return gbench_main(argc, argv);
}
