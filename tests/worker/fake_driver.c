/* SPDX-License-Identifier: MIT */
/* The driver that checks its caller, see fake_driver.h. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_driver.h"

#define SHM_SIZE (64ull << 20)
#define OBJECT_MAGIC 0x6f626a6563743031ull
#define MEMORY_BASE 0x300000000000ull
#define MEMORY_MOST 4096

struct fake_driver fake;

struct object {
	uint64_t magic;
	enum vgpu_handle_kind kind;
	struct object *owner;		/* dies with it */
	struct object *next, **link;
};

struct block {
	uint64_t start, size;
};

static struct object *objects;
static struct block blocks[MEMORY_MOST];
static unsigned int block_count;
static uint64_t next_block = MEMORY_BASE;
static struct vgpu_session *present;
static struct vgpu_driver table;

static void insist(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the driver was given %s\n", what);
	abort();
}

static void *make(enum vgpu_handle_kind kind, struct object *owner)
{
	struct object *o = calloc(1, sizeof(*o));

	insist(o, "no memory");
	*o = (struct object){ OBJECT_MAGIC, kind, owner, objects, &objects };
	if (objects)
		objects->link = &o->next;
	objects = o;
	fake.live++;
	return o;
}

/* Freed memory is ASan's to find; a foreign address is found by looking at the list first. */
static struct object *check(const void *handle, enum vgpu_handle_kind kind)
{
	for (struct object *o = objects; o; o = o->next) {
		if (o == handle) {
			insist(o->kind == kind, "an object of another kind");
			return o;
		}
	}
	insist(false, "an object that does not live");
	return NULL;
}

static void destroy(struct object *o)
{
	struct object *c, *next;

	*o->link = o->next;
	if (o->next)
		o->next->link = o->link;
	for (c = objects; c; c = next) {
		next = c->next;
		if (c->owner == o) {
			destroy(c);
			next = objects;	/* the list has changed: start again */
		}
	}
	free(o);
	fake.live--;
}

static void check_stream(CUstream s)
{
	if (s)
		check(s, VGPU_HANDLE_STREAM);
}

static void check_device(CUdeviceptr at, uint64_t size)
{
	for (unsigned int i = 0; i < block_count; i++)
		if (at >= blocks[i].start && at - blocks[i].start <= blocks[i].size &&
		    size <= blocks[i].size - (at - blocks[i].start))
			return;
	insist(false, "a device address outside device memory");
}

static bool inside(const void *p, uint64_t size, const void *start, uint64_t length)
{
	uint64_t at = (uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)start;

	return at <= length && size <= length - at;
}

static bool in_arena(const void *p, uint64_t size)
{
	return inside(p, size, present->base + present->geo.arena_at, present->geo.total_size - present->geo.arena_at);
}

static void check_source(const void *p, uint64_t size)
{
	insist(in_arena(p, size) || inside(p, size, present->command, sizeof(present->command)),
	       "a host source outside the arena and the command");
}

static void check_any(CUdeviceptr at, uint64_t size)
{
	if (!in_arena((const void *)(uintptr_t)at, size))
		check_device(at, size);
}

static CUresult f_init(unsigned int flags)
{
	(void)flags;
	return CUDA_SUCCESS;
}

static CUresult f_set_current(CUcontext c)
{
	fake.calls++;
	fake.current = c;
	return CUDA_SUCCESS;
}

static CUresult f_retain(CUcontext *c, CUdevice d)
{
	static struct object primary = { .magic = OBJECT_MAGIC, .kind = VGPU_HANDLE_CONTEXT };

	fake.calls++;
	*c = (CUcontext)&primary;
	return d ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

static CUresult f_ctx_create(CUcontext *c, unsigned int flags, CUdevice d)
{
	(void)flags;
	(void)d;
	fake.calls++;
	*c = make(VGPU_HANDLE_CONTEXT, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_ctx_destroy(CUcontext c)
{
	destroy(check(c, VGPU_HANDLE_CONTEXT));
	return CUDA_SUCCESS;
}

static CUresult f_alloc(CUdeviceptr *p, size_t bytes)
{
	fake.calls++;
	if (fake.result)
		return fake.result;
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (block_count == MEMORY_MOST || bytes > (1ull << 40))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*p = next_block;
	blocks[block_count++] = (struct block){ next_block, bytes };
	next_block += (bytes + 511) & ~511ull;
	return CUDA_SUCCESS;
}

static CUresult f_alloc_pitch(CUdeviceptr *p, size_t *pitch, size_t width, size_t height, unsigned int element)
{
	(void)element;
	if (width > (1u << 30) || height > (1u << 10))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*pitch = (width + 511) & ~(size_t)511;
	return f_alloc(p, *pitch * height);
}

static CUresult f_alloc_async(CUdeviceptr *p, size_t bytes, CUstream s)
{
	check_stream(s);
	return f_alloc(p, bytes);
}

static CUresult f_free(CUdeviceptr p)
{
	fake.calls++;
	for (unsigned int i = 0; i < block_count; i++) {
		if (blocks[i].start == p) {
			blocks[i] = blocks[--block_count];
			return CUDA_SUCCESS;
		}
	}
	insist(false, "an address to free that was not allocated");
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult f_free_async(CUdeviceptr p, CUstream s)
{
	check_stream(s);
	return f_free(p);
}

static CUresult f_h2d(CUdeviceptr dst, const void *src, size_t n, CUstream s)
{
	fake.calls++;
	check_stream(s);
	check_any(dst, n);
	check_source(src, n);
	return fake.result;
}

static CUresult f_d2h(void *dst, CUdeviceptr src, size_t n, CUstream s)
{
	fake.calls++;
	check_stream(s);
	check_any(src, n);
	insist(in_arena(dst, n), "a host destination outside the arena");
	return fake.result;
}

static CUresult f_d2d(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s)
{
	fake.calls++;
	check_stream(s);
	check_device(dst, n);
	check_device(src, n);
	return fake.result;
}

static CUresult f_any_copy(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s)
{
	fake.calls++;
	check_stream(s);
	check_any(dst, n);
	check_any(src, n);
	return fake.result;
}

static CUresult f_peer(CUdeviceptr dst, CUcontext dc, CUdeviceptr src, CUcontext sc, size_t n, CUstream s)
{
	(void)dc;
	(void)sc;
	return f_any_copy(dst, src, n, s);
}

static void check_side(CUmemorytype type, const void *host, CUdeviceptr device, uint64_t span)
{
	if (type == CU_MEMORYTYPE_HOST)
		insist(in_arena(host, span), "a pitched host side outside the arena");
	else
		check_device(device, span);
}

static CUresult f_2d(const CUDA_MEMCPY2D *c, CUstream s)
{
	fake.calls++;
	check_stream(s);
	check_side(c->srcMemoryType, c->srcHost, c->srcDevice, (c->Height - 1) * c->srcPitch + c->WidthInBytes);
	check_side(c->dstMemoryType, c->dstHost, c->dstDevice, (c->Height - 1) * c->dstPitch + c->WidthInBytes);
	return fake.result;
}

static CUresult f_3d(const CUDA_MEMCPY3D *c, CUstream s)
{
	fake.calls++;
	check_stream(s);
	if (c->srcMemoryType == CU_MEMORYTYPE_ARRAY)
		check(c->srcArray, VGPU_HANDLE_ARRAY);
	else
		check_side(c->srcMemoryType, c->srcHost, c->srcDevice,
			   (c->Depth - 1) * c->srcHeight * c->srcPitch + (c->Height - 1) * c->srcPitch + c->WidthInBytes);
	if (c->dstMemoryType == CU_MEMORYTYPE_ARRAY)
		check(c->dstArray, VGPU_HANDLE_ARRAY);
	else
		check_side(c->dstMemoryType, c->dstHost, c->dstDevice,
			   (c->Depth - 1) * c->dstHeight * c->dstPitch + (c->Height - 1) * c->dstPitch + c->WidthInBytes);
	return fake.result;
}

static CUresult f_array(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *d)
{
	(void)d;
	fake.calls++;
	if (!fake.result)
		*out = make(VGPU_HANDLE_ARRAY, NULL);
	return fake.result;
}

static CUresult f_array_3d(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	(void)d;
	return f_array(out, NULL);
}

static CUresult f_array_destroy(CUarray array)
{
	destroy(check(array, VGPU_HANDLE_ARRAY));
	return fake.result;
}

static CUresult f_mipmap(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned int levels)
{
	(void)d;
	(void)levels;
	if (!fake.result)
		*out = make(VGPU_HANDLE_MIPMAP, NULL);
	return fake.result;
}

static CUresult f_mipmap_destroy(CUmipmappedArray mipmap)
{
	destroy(check(mipmap, VGPU_HANDLE_MIPMAP));
	return fake.result;
}

static CUresult f_level(CUarray *out, CUmipmappedArray mipmap, unsigned int level)
{
	struct object *m = check(mipmap, VGPU_HANDLE_MIPMAP);

	(void)level;
	if (!fake.result)
		*out = make(VGPU_HANDLE_ARRAY, m);
	return fake.result;
}

static void check_resource(const CUDA_RESOURCE_DESC *d)
{
	if (d->resType == CU_RESOURCE_TYPE_ARRAY)
		check(d->res.array.hArray, VGPU_HANDLE_ARRAY);
	else if (d->resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		check(d->res.mipmap.hMipmappedArray, VGPU_HANDLE_MIPMAP);
	else if (d->resType == CU_RESOURCE_TYPE_LINEAR)
		check_any(d->res.linear.devPtr, d->res.linear.sizeInBytes);
	else
		check_any(d->res.pitch2D.devPtr, d->res.pitch2D.pitchInBytes * (d->res.pitch2D.height - 1));
}

static CUresult f_texture(CUtexObject *out, const CUDA_RESOURCE_DESC *d, const CUDA_TEXTURE_DESC *sampler,
			  const CUDA_RESOURCE_VIEW_DESC *view)
{
	(void)sampler;
	(void)view;
	check_resource(d);
	if (!fake.result)
		*out = (CUtexObject)(uintptr_t)make(VGPU_HANDLE_TEXOBJECT, NULL);
	return fake.result;
}

static CUresult f_texture_destroy(CUtexObject t)
{
	destroy(check((const void *)(uintptr_t)t, VGPU_HANDLE_TEXOBJECT));
	return fake.result;
}

static CUresult f_surface(CUsurfObject *out, const CUDA_RESOURCE_DESC *d)
{
	check_resource(d);
	if (!fake.result)
		*out = (CUsurfObject)(uintptr_t)make(VGPU_HANDLE_SURFOBJECT, NULL);
	return fake.result;
}

static CUresult f_surface_destroy(CUsurfObject t)
{
	destroy(check((const void *)(uintptr_t)t, VGPU_HANDLE_SURFOBJECT));
	return fake.result;
}

static CUresult f_set8(CUdeviceptr dst, unsigned char v, size_t n, CUstream s)
{
	(void)v;
	fake.calls++;
	check_stream(s);
	check_any(dst, n);
	return fake.result;
}

static CUresult f_set16(CUdeviceptr dst, unsigned short v, size_t n, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, n * 2, s);
}

static CUresult f_set32(CUdeviceptr dst, unsigned int v, size_t n, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, n * 4, s);
}

static CUresult f_rows8(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, (h - 1) * pitch + w, s);
}

static CUresult f_rows16(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w, size_t h, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, (h - 1) * pitch + w * 2, s);
}

static CUresult f_rows32(CUdeviceptr dst, size_t pitch, unsigned int v, size_t w, size_t h, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, (h - 1) * pitch + w * 4, s);
}

static CUresult f_register(void *p, size_t bytes, unsigned int flags)
{
	(void)flags;
	insist(in_arena(p, bytes) || p == (void *)present->channel->fences, "memory to register outside the arena");
	return fake.result;
}

static CUresult f_unregister(void *p)
{
	insist(in_arena(p, 1) || p == (void *)present->channel->fences, "memory to unregister outside the arena");
	return CUDA_SUCCESS;
}

static CUresult f_write_value(CUstream s, CUdeviceptr at, cuuint64_t value, unsigned int flags)
{
	void *p = (void *)(uintptr_t)at;

	(void)flags;
	fake.calls++;
	check_stream(s);
	if (fake.result)
		return fake.result;
	if (inside(p, 8, (void *)present->channel->fences, sizeof(present->channel->fences)))
		atomic_store((_Atomic uint64_t *)p, value);
	return CUDA_SUCCESS;
}

static CUresult f_stream(CUstream *s, unsigned int flags)
{
	(void)flags;
	*s = make(VGPU_HANDLE_STREAM, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_stream_priority(CUstream *s, unsigned int flags, int priority)
{
	(void)priority;
	return f_stream(s, flags);
}

static CUresult f_stream_destroy(CUstream s)
{
	destroy(check(s, VGPU_HANDLE_STREAM));
	return CUDA_SUCCESS;
}

static CUresult f_stream_query(CUstream s)
{
	check_stream(s);
	return fake.result;
}

static CUresult f_event(CUevent *e, unsigned int flags)
{
	(void)flags;
	*e = make(VGPU_HANDLE_EVENT, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_event_destroy(CUevent e)
{
	destroy(check(e, VGPU_HANDLE_EVENT));
	return CUDA_SUCCESS;
}

static CUresult f_event_record(CUevent e, CUstream s)
{
	check(e, VGPU_HANDLE_EVENT);
	check_stream(s);
	fake.records++;
	return fake.result;
}

static CUresult f_event_query(CUevent e)
{
	check(e, VGPU_HANDLE_EVENT);
	return fake.busy ? CUDA_ERROR_NOT_READY : fake.result;
}

static CUresult f_capturing(CUstream s, CUstreamCaptureStatus *status)
{
	check_stream(s);
	*status = fake.capturing ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	return fake.result;
}

static CUresult f_event_record_flags(CUevent e, CUstream s, unsigned int flags)
{
	(void)flags;
	return f_event_record(e, s);
}

static CUresult f_wait_event(CUstream s, CUevent e, unsigned int flags)
{
	(void)flags;
	return f_event_record(e, s);
}

static CUresult f_elapsed(float *ms, CUevent a, CUevent b)
{
	check(a, VGPU_HANDLE_EVENT);
	check(b, VGPU_HANDLE_EVENT);
	*ms = 1.5f;
	return fake.result;
}

static CUresult f_module(CUmodule *m, const void *image, unsigned int n, CUjit_option *options, void **values)
{
	(void)n;
	(void)options;
	(void)values;
	fake.image = image;
	*m = make(VGPU_HANDLE_MODULE, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_module_unload(CUmodule m)
{
	destroy(check(m, VGPU_HANDLE_MODULE));
	return CUDA_SUCCESS;
}

static CUresult f_get_function(CUfunction *f, CUmodule m, const char *name)
{
	(void)name;
	*f = make(VGPU_HANDLE_FUNCTION, check(m, VGPU_HANDLE_MODULE));
	return CUDA_SUCCESS;
}

static CUresult f_library(CUlibrary *l, const void *code, CUjit_option *jo, void **jv, unsigned int jn,
			  CUlibraryOption *lo, void **lv, unsigned int ln)
{
	(void)code;
	(void)jo;
	(void)jv;
	(void)jn;
	insist(!lo && !lv && !ln, "library options");
	*l = make(VGPU_HANDLE_LIBRARY, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_library_unload(CUlibrary l)
{
	destroy(check(l, VGPU_HANDLE_LIBRARY));
	return CUDA_SUCCESS;
}

static CUresult f_get_kernel(CUkernel *k, CUlibrary l, const char *name)
{
	(void)name;
	*k = make(VGPU_HANDLE_KERNEL, check(l, VGPU_HANDLE_LIBRARY));
	return CUDA_SUCCESS;
}

static CUresult f_kernel_function(CUfunction *f, CUkernel k)
{
	*f = make(VGPU_HANDLE_FUNCTION, check(k, VGPU_HANDLE_KERNEL)->owner);
	return CUDA_SUCCESS;
}

static CUresult f_library_module(CUmodule *m, CUlibrary l)
{
	*m = make(VGPU_HANDLE_MODULE, check(l, VGPU_HANDLE_LIBRARY));
	return CUDA_SUCCESS;
}

static CUresult f_func_param(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	check(f, VGPU_HANDLE_FUNCTION);
	*offset = i * 8;
	*size = 8;
	return i < fake.param_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult f_kernel_param(CUkernel k, size_t i, size_t *offset, size_t *size)
{
	check(k, VGPU_HANDLE_KERNEL);
	*offset = i * 8;
	*size = 8;
	return i < fake.param_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static void check_function(CUfunction f)
{
	for (struct object *o = objects; o; o = o->next)
		if ((void *)o == (void *)f) {
			insist(o->kind == VGPU_HANDLE_FUNCTION || o->kind == VGPU_HANDLE_KERNEL, "no function to launch");
			return;
		}
	insist(false, "a dead function to launch");
}

static CUresult launched(CUfunction f, CUstream s, void **params, void **extra)
{
	fake.calls++;
	check_function(f);
	check_stream(s);
	insist(!params && extra, "kernelParams");
	fake.params = extra[1];
	fake.param_bytes = *(size_t *)extra[3];
	insist(fake.param_bytes >= fake.param_count * 8, "a parameter block that is too short");
	check_source(fake.params, fake.param_bytes);
	return fake.result;
}

static CUresult f_launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by,
			 unsigned int bz, unsigned int shared, CUstream s, void **params, void **extra)
{
	(void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;
	return launched(f, s, params, extra);
}

static CUresult f_launch_ex(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
	for (unsigned int i = 0; i < c->numAttrs; i++) {
		if (c->attrs[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
			check(c->attrs[i].value.programmaticEvent.event, VGPU_HANDLE_EVENT);
		if (c->attrs[i].id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
			check(c->attrs[i].value.launchCompletionEvent.event, VGPU_HANDLE_EVENT);
		insist(c->attrs[i].id != CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, "a graph node's pointer");
	}
	return launched(f, c->hStream, params, extra);
}

static CUresult f_occupancy(int *n, CUfunction f, int block, size_t shared)
{
	(void)block;
	(void)shared;
	check_function(f);
	*n = 4;
	return fake.result;
}

/* For all slots that are not written out: takes anything, does nothing. */
static CUresult f_anything(void)
{
	return fake.result;
}

static void fill_memory(struct vgpu_driver *t)
{
	t->cuMemAlloc_v2 = f_alloc;
	t->cuMemAllocPitch_v2 = f_alloc_pitch;
	t->cuMemAllocAsync = f_alloc_async;
	t->cuMemFree_v2 = f_free;
	t->cuMemFreeAsync = f_free_async;
	t->cuMemcpyHtoDAsync_v2 = f_h2d;
	t->cuMemcpyDtoHAsync_v2 = f_d2h;
	t->cuMemcpyDtoDAsync_v2 = f_d2d;
	t->cuMemcpyAsync = f_any_copy;
	t->cuMemcpyPeerAsync = f_peer;
	t->cuMemcpy2DAsync_v2 = f_2d;
	t->cuMemcpy3DAsync_v2 = f_3d;
	t->cuMemcpy3DPeerAsync = NULL;
	t->cuMemAllocFromPoolAsync = NULL;
	t->cuMemMap = NULL;	/* would have to know what is reserved */
	t->cuMemsetD8Async = f_set8;
	t->cuMemsetD16Async = f_set16;
	t->cuMemsetD32Async = f_set32;
	t->cuMemsetD2D8Async = f_rows8;
	t->cuMemsetD2D16Async = f_rows16;
	t->cuMemsetD2D32Async = f_rows32;
	t->cuMemHostRegister_v2 = f_register;
	t->cuMemHostUnregister = f_unregister;
}

static void fill_arrays(struct vgpu_driver *t)
{
	t->cuArrayCreate_v2 = f_array;
	t->cuArray3DCreate_v2 = f_array_3d;
	t->cuArrayDestroy = f_array_destroy;
	t->cuArrayGetPlane = NULL;
	t->cuMipmappedArrayCreate = f_mipmap;
	t->cuMipmappedArrayDestroy = f_mipmap_destroy;
	t->cuMipmappedArrayGetLevel = f_level;
	t->cuTexObjectCreate = f_texture;
	t->cuTexObjectDestroy = f_texture_destroy;
	t->cuSurfObjectCreate = f_surface;
	t->cuSurfObjectDestroy = f_surface_destroy;
}

static void fill_streams(struct vgpu_driver *t)
{
	t->cuStreamWriteValue64_v2 = f_write_value;
	t->cuStreamCreate = f_stream;
	t->cuStreamCreateWithPriority = f_stream_priority;
	t->cuStreamDestroy_v2 = f_stream_destroy;
	t->cuStreamQuery = f_stream_query;
	t->cuStreamWaitEvent = f_wait_event;
	t->cuEventCreate = f_event;
	t->cuEventDestroy_v2 = f_event_destroy;
	t->cuEventRecord = f_event_record;
	t->cuEventQuery = f_event_query;
	t->cuStreamIsCapturing = f_capturing;
	t->cuEventRecordWithFlags = f_event_record_flags;
	t->cuEventElapsedTime = f_elapsed;
	t->cuEventElapsedTime_v2 = f_elapsed;
	t->cuLaunchHostFunc = NULL;	/* would call back */
}

static void fill_code(struct vgpu_driver *t)
{
	t->cuModuleLoadDataEx = f_module;
	t->cuModuleUnload = f_module_unload;
	t->cuModuleGetFunction = f_get_function;
	t->cuLibraryLoadData = f_library;
	t->cuLibraryUnload = f_library_unload;
	t->cuLibraryGetKernel = f_get_kernel;
	t->cuLibraryGetModule = f_library_module;
	t->cuKernelGetFunction = f_kernel_function;
	t->cuFuncGetParamInfo = f_func_param;
	t->cuKernelGetParamInfo = f_kernel_param;
	t->cuLaunchKernel = f_launch;
	t->cuLaunchKernelEx = f_launch_ex;
	t->cuOccupancyMaxActiveBlocksPerMultiprocessor = f_occupancy;
}

const struct vgpu_driver *fake_driver(void)
{
	CUresult (*any)(void) = f_anything;

	for (size_t i = 0; i < VGPU_DRIVER_SLOTS; i++)
		memcpy((char *)&table + vgpu_driver_slots[i].offset, &any, sizeof(any));
	table.cuInit = f_init;
	table.cuCtxSetCurrent = f_set_current;
	table.cuDevicePrimaryCtxRetain = f_retain;
	table.cuCtxCreate_v2 = f_ctx_create;
	table.cuCtxDestroy_v2 = f_ctx_destroy;
	fill_memory(&table);
	fill_arrays(&table);
	fill_streams(&table);
	fill_code(&table);
	return &table;
}

void fake_reset(void)
{
	while (objects)
		destroy(objects);
	block_count = 0;
	next_block = MEMORY_BASE;
	fake = (struct fake_driver){ .param_count = 2 };
}

struct vgpu_session *fake_session(void)
{
	static struct vgpu_device device;
	struct vgpu_worker_stats *stats = calloc(1, sizeof(*stats));

	fake_reset();
	device = (struct vgpu_device){ .drv = fake_driver(), .count = 1 };
	device.drv->cuDevicePrimaryCtxRetain(&device.primary, 0);
	present = vgpu_session_new(&device, stats);
	insist(stats && present && !vgpu_shm_geometry(&present->geo, SHM_SIZE, 2), "no memory");
	present->base = mmap(NULL, SHM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	insist(present->base != MAP_FAILED, "no memory");
	present->channel = vgpu_shm_channel(present->base, &present->geo, 1);
	return present;
}

void fake_session_free(struct vgpu_session *s)
{
	struct vgpu_worker_stats *stats = s->stats;

	fake.result = CUDA_SUCCESS;
	vgpu_session_free(s);
	free(stats);
}

int fake_execute(struct vgpu_session *s, const struct vgpu_cmd *header, const void *args, const void *payload)
{
	uint8_t *p = s->command + sizeof(*header);

	memcpy(s->command, header, sizeof(*header));
	if (header->args_size)
		memcpy(p, args, header->args_size);
	if (header->payload_size)
		memcpy(p + header->args_size, payload, header->payload_size);
	return vgpu_request_execute(s);
}
