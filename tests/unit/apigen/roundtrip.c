/* SPDX-License-Identifier: MIT */
/*
 * The two generated sides against each other, in one process: calls of sample.api go through the shim's marshalling
 * into a fake channel, from there into the worker's handlers, and end in a fake driver.  Then the handlers alone, fed
 * with commands that no shim would send.  One thread; the fakes below stand for shim/channel.c, shim/handle.c and
 * the worker's session.  Buffers have their exact size on the heap, so that a sanitizer sees a byte too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gen/cuda_api.h>
#include <gen/driver_table.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>
#include <shim/stream.h>
#include <shim/call.h>
#include <shim/capture.h>
#include <worker/dispatch.h>

#define OBJECTS 8
#define STREAM ((CUstream)(uintptr_t)0x5000)

struct object {
	uint64_t id;
	void *ptr;
};

static struct vgpu_driver driver;
static struct object objects[OBJECTS];	/* the worker's table */
static uint64_t live[OBJECTS];		/* the guest's */
static CUresult ready, driver_result;
static unsigned sent, next_id;
static struct vgpu_request last;
static CUresult last_result;
static const void *seen_stream;

/* ---- the worker's session ---- */

const struct vgpu_driver *vgpu_session_driver(const struct vgpu_session *s)
{
	(void)s;
	return &driver;
}

CUresult vgpu_session_lookup(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id, void **obj)
{
	(void)s;
	if (kind == VGPU_HANDLE_STREAM) {
		*obj = (void *)(uintptr_t)id;
		return CUDA_SUCCESS;
	}
	for (int i = 0; i < OBJECTS; i++) {
		if (objects[i].id == id && id && vgpu_handle_kind_of(id) == kind) {
			*obj = objects[i].ptr;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_HANDLE;
}

CUresult vgpu_session_bind(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id, void *obj)
{
	void *old;

	if (!vgpu_session_lookup(s, kind, id, &old))
		return VGPU_BROKEN;
	for (int i = 0; i < OBJECTS; i++) {
		if (!objects[i].id) {
			objects[i] = (struct object){ id, obj };
			return CUDA_SUCCESS;
		}
	}
	return VGPU_BROKEN;
}

void vgpu_session_unbind(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id)
{
	(void)s, (void)kind;
	for (int i = 0; i < OBJECTS; i++)
		if (objects[i].id == id)
			objects[i].id = 0;
}

const void *vgpu_take(const struct vgpu_request *rq, uint32_t *at, uint32_t size)
{
	uint32_t begin = *at;
	uint64_t end = begin + vgpu_align8(size);

	if (end > rq->payload_size)
		return NULL;
	*at = (uint32_t)end;
	return (const uint8_t *)rq->payload + begin;
}

const char *vgpu_take_string(const struct vgpu_request *rq, uint32_t *at, uint32_t size, uint32_t limit)
{
	const char *s = size && size <= limit ? vgpu_take(rq, at, size) : NULL;

	return s && strnlen(s, size) == size - 1 ? s : NULL;
}

void *vgpu_room(struct vgpu_request *rq, uint32_t *end, uint32_t size)
{
	uint32_t begin = *end;

	if (begin + vgpu_align8(size) > rq->ret_cap)
		return NULL;
	*end = (uint32_t)(begin + vgpu_align8(size));
	return (uint8_t *)rq->ret + begin;
}

CUresult vgpu_handle_hand_made(struct vgpu_session *s, struct vgpu_request *rq)
{
	(void)s;
	return rq->payload_size ? CUDA_SUCCESS : VGPU_BROKEN;
}

CUresult vgpu_handle_cuMemCreate(struct vgpu_session *s, struct vgpu_request *rq)
{
	return vgpu_default_cuMemCreate(s, rq);
}

/* What the dispatcher does with a command before and around its handler. */
static CUresult dispatch(uint16_t op, const void *args, uint32_t args_size, const void *payload, uint32_t payload_size)
{
	const struct vgpu_op_info *info = vgpu_op_find(op);
	void *a = malloc(args_size ? args_size : 1), *p = malloc(payload_size ? payload_size : 1);
	CUresult r;

	assert_non_null(info);
	if (args_size)
		memcpy(a, args, args_size);
	if (payload_size)
		memcpy(p, payload, payload_size);
	free(last.ret);
	last = (struct vgpu_request){ .args = a, .args_size = args_size, .payload = p, .payload_size = payload_size,
				      .ret = calloc(1, info->ret_max ? info->ret_max : 1), .ret_cap = info->ret_max,
				      .op = op };
	r = args_size != info->args_size || payload_size > info->payload_max ? VGPU_BROKEN : info->fn(NULL, &last);
	assert_true(last.ret_size <= info->ret_max);
	free(a);
	free(p);
	return r;
}

/* ---- the guest's runtime ---- */

static uint8_t *call_args, *call_payload;

CUresult vgpu_call_ready(unsigned flags)
{
	(void)flags;
	return ready;
}

static CUresult captured;

__thread struct vgpu_thread vgpu_thread;

bool vgpu_stream_lend(CUstream app)
{
	(void)app;
	return false;
}

CUresult vgpu_capture_never(CUstream stream)
{
	(void)stream;
	return captured;
}

CUresult vgpu_call_begin(struct vgpu_call *c, uint16_t op, uint32_t args_size, uint32_t payload_size, unsigned flags)
{
	(void)flags;
	c->args = call_args = calloc(1, args_size ? args_size : 1);
	c->payload = call_payload = calloc(1, payload_size ? payload_size : 1);
	c->seq = op;
	c->size = args_size;
	c->slot = payload_size;
	return CUDA_SUCCESS;
}

void vgpu_call_submit(struct vgpu_call *c)
{
	sent++;
	last_result = dispatch((uint16_t)c->seq, c->args, c->size, c->payload, c->slot);
	free(call_args);
	free(call_payload);
}

CUresult vgpu_call_wait(struct vgpu_call *c)
{
	c->ret = last.ret;
	c->ret_size = last.ret_size;
	return last_result;
}

void vgpu_call_end(struct vgpu_call *c)
{
	c->ret = NULL;
}

CUresult vgpu_call_broken(void)
{
	return CUDA_ERROR_UNKNOWN;
}

CUresult vgpu_unsupported(const char *name)
{
	return name[0] == 'c' ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_UNKNOWN;
}

CUresult vgpu_handle_wire(enum vgpu_handle_kind kind, const void *app, uint64_t *wire)
{
	*wire = (uintptr_t)app;
	if (kind == VGPU_HANDLE_STREAM)
		return CUDA_SUCCESS;
	for (int i = 0; i < OBJECTS; i++)
		if (live[i] == *wire && *wire)
			return CUDA_SUCCESS;
	return CUDA_ERROR_INVALID_HANDLE;
}

CUresult vgpu_handle_new(enum vgpu_handle_kind kind, uint64_t *wire)
{
	*wire = vgpu_handle_make(kind, 1, ++next_id);
	for (int i = 0; i < OBJECTS; i++) {
		if (!live[i]) {
			live[i] = *wire;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

void *vgpu_handle_app(enum vgpu_handle_kind kind, uint64_t wire)
{
	(void)kind;
	return (void *)(uintptr_t)wire;
}

void vgpu_handle_drop(enum vgpu_handle_kind kind, uint64_t wire)
{
	(void)kind;
	for (int i = 0; i < OBJECTS; i++)
		if (live[i] == wire)
			live[i] = 0;
}

CUresult cuCtxGetDevice(int *device)
{
	*device = 0;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
	return vgpu_remote_cuMemAlloc_v2(dptr, bytesize);
}

CUresult vgpu_on_cuMemsetD8_v2(CUstream default_stream, CUdeviceptr dst, unsigned char value, size_t count)
{
	(void)dst, (void)value, (void)count;
	seen_stream = default_stream;
	return CUDA_SUCCESS;
}

/* ---- the driver ---- */

static CUresult fake_alloc(CUdeviceptr *dptr, size_t bytesize)
{
	*dptr = 0xd000000000000000ull + bytesize;
	return driver_result;
}

static CUresult fake_write(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
	(void)addr, (void)value, (void)flags;
	seen_stream = stream;
	return driver_result;
}

static CUresult fake_create(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
			    unsigned long long flags)
{
	assert_null(prop->win32HandleMetaData);
	*handle = size + (unsigned)prop->location.id + flags;
	return driver_result;
}

static CUmemGenericAllocationHandle released;

static CUresult fake_release(CUmemGenericAllocationHandle handle)
{
	released = handle;
	return driver_result;
}

static unsigned access_sum;

static CUresult fake_access(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
	(void)ptr, (void)size;
	access_sum = 0;
	for (size_t i = 0; i < count; i++)
		access_sum += (unsigned)desc[i].location.id;
	return driver_result;
}

static CUresult fake_global(CUdeviceptr *dptr, size_t *bytes, CUmodule module, const char *name)
{
	*dptr = (uintptr_t)module;
	*bytes = strlen(name);
	return strncmp(name, "missing", 7) ? driver_result : CUDA_ERROR_NOT_FOUND;
}

static CUresult fake_limit(size_t *value, CUlimit limit)
{
	*value = 100 + limit;
	return driver_result;
}

static CUresult fake_capabilities(unsigned int *capabilities, const CUatomicOperation *operations, unsigned int count,
				  CUdevice dev)
{
	for (unsigned i = 0; i < count; i++)
		capabilities[i] = operations[i] * 10u + (unsigned)dev;
	return driver_result;
}

static CUresult fake_exchange(CUstreamCaptureMode *mode)
{
	*mode = *mode == CU_STREAM_CAPTURE_MODE_GLOBAL ? CU_STREAM_CAPTURE_MODE_RELAXED : CU_STREAM_CAPTURE_MODE_GLOBAL;
	return driver_result;
}

static CUresult fake_tensor(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
			    const cuuint64_t *dim, const cuuint64_t *strides, const cuuint32_t *box,
			    const cuuint32_t *element_strides, CUtensorMapInterleave interleave,
			    CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
	map->opaque[0] = (uintptr_t)address + type + interleave + swizzle + promotion + fill;
	for (unsigned i = 0; i < rank; i++)
		map->opaque[15] += dim[i] + box[i] + element_strides[i] + (i + 1 < rank ? strides[i] : 0);
	return driver_result;
}

static int setup(void **state)
{
	(void)state;
	driver = (struct vgpu_driver){
		.cuMemAlloc_v2 = fake_alloc, .cuStreamWriteValue32_v2 = fake_write, .cuMemCreate = fake_create,
		.cuMemRelease = fake_release, .cuMemSetAccess = fake_access, .cuModuleGetGlobal_v2 = fake_global,
		.cuCtxGetLimit = fake_limit, .cuDeviceGetHostAtomicCapabilities = fake_capabilities,
		.cuThreadExchangeStreamCaptureMode = fake_exchange, .cuTensorMapEncodeTiled = fake_tensor,
	};
	memset(objects, 0, sizeof(objects));
	memset(live, 0, sizeof(live));
	ready = driver_result = CUDA_SUCCESS;
	sent = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(last.ret);
	last.ret = NULL;
	return 0;
}

/* ---- tests: both sides ---- */

static void scalars(void **state)
{
	CUdeviceptr p = 1;
	size_t limit = 0;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(&p, 77), CUDA_SUCCESS);
	assert_true(p == 0xd00000000000004dull);
	assert_int_equal(cuCtxGetLimit(&limit, CU_LIMIT_MALLOC_HEAP_SIZE), CUDA_SUCCESS);
	assert_int_equal(limit, 102);
	driver_result = CUDA_ERROR_OUT_OF_MEMORY;
	p = 5;
	assert_int_equal(cuMemAlloc_v2(&p, 77), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(p, 5);
	driver.cuMemAlloc_v2 = NULL;
	assert_int_equal(cuMemAlloc_v2(&p, 77), CUDA_ERROR_NOT_SUPPORTED);
}

static void refused_before_sending(void **state)
{
	CUdeviceptr p;

	(void)state;
	assert_int_equal(cuMemAlloc_v2(NULL, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuStreamWriteValue32_v2(NULL, 0, 2, 3), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuModuleGetGlobal_v2(&p, NULL, (CUmodule)(uintptr_t)3, "x"), CUDA_ERROR_INVALID_HANDLE);
	ready = CUDA_ERROR_NOT_INITIALIZED;
	assert_int_equal(cuMemAlloc_v2(NULL, 1), CUDA_ERROR_NOT_INITIALIZED);
	/* `early`: the argument first. */
	assert_int_equal(cuCtxGetLimit(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(sent, 0);
}

static void objects_come_and_go(void **state)
{
	CUmemAllocationProp prop = { .location = { .id = 3 }, .win32HandleMetaData = &prop };
	CUmemGenericAllocationHandle h = 0;

	(void)state;
	assert_int_equal(cuMemCreate(&h, 1000, &prop, 20), CUDA_SUCCESS);
	assert_int_equal(vgpu_handle_kind_of(h), VGPU_HANDLE_MEMGENERIC);
	assert_int_equal(cuMemRelease(h), CUDA_SUCCESS);
	assert_int_equal(released, 1023);
	assert_int_equal(cuMemRelease(h), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(objects[0].id, 0);
	driver_result = CUDA_ERROR_OUT_OF_MEMORY;
	assert_int_equal(cuMemCreate(&h, 1000, &prop, 20), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(live[0], 0);
}

static void arrays(void **state)
{
	CUmemAccessDesc desc[5] = { { .location.id = 1 }, { .location.id = 10 }, { .location.id = 100 },
				    { .location.id = 1000 }, { .location.id = 10000 } };
	CUatomicOperation ops[3] = { 1, 2, 3 };
	unsigned int caps[3] = { 0 };

	(void)state;
	assert_int_equal(cuMemSetAccess(1, 2, desc, 4), CUDA_SUCCESS);
	assert_int_equal(access_sum, 1111);
	assert_int_equal(cuMemSetAccess(1, 2, NULL, 0), CUDA_SUCCESS);
	assert_int_equal(access_sum, 0);
	assert_int_equal(cuMemSetAccess(1, 2, NULL, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuMemSetAccess(1, 2, desc, 5), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuDeviceGetHostAtomicCapabilities(caps, ops, 3, 7), CUDA_SUCCESS);
	assert_int_equal(caps[0], 17);
	assert_int_equal(caps[2], 37);
	assert_int_equal(cuDeviceGetHostAtomicCapabilities(NULL, ops, 0, 7), CUDA_ERROR_INVALID_VALUE);
}

static void several_arrays(void **state)
{
	cuuint64_t dim[2] = { 1, 2 }, strides[1] = { 4 };
	cuuint32_t box[2] = { 8, 16 }, steps[2] = { 32, 64 };
	CUtensorMap map = { { 0 } };

	(void)state;
	assert_int_equal(cuTensorMapEncodeTiled(&map, 1, 2, (void *)0x1000, dim, strides, box, steps, 0, 0, 0, 0),
			 CUDA_SUCCESS);
	assert_int_equal(map.opaque[0], 0x1001);
	assert_int_equal(map.opaque[15], 127);
	assert_int_equal(cuTensorMapEncodeTiled(&map, 1, 0, NULL, dim, strides, box, steps, 0, 0, 0, 0),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuTensorMapEncodeTiled(&map, 1, 6, NULL, dim, strides, box, steps, 0, 0, 0, 0),
			 CUDA_ERROR_INVALID_VALUE);
}

static void strings(void **state)
{
	char name[300];
	CUmodule m = NULL;
	CUdeviceptr p = 0;
	size_t n = 0;
	uint64_t id;

	(void)state;
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_MODULE, &id), CUDA_SUCCESS);
	assert_int_equal(vgpu_session_bind(NULL, VGPU_HANDLE_MODULE, id, (void *)0xabc), CUDA_SUCCESS);
	m = vgpu_handle_app(VGPU_HANDLE_MODULE, id);
	assert_int_equal(cuModuleGetGlobal_v2(&p, &n, m, "counter"), CUDA_SUCCESS);
	assert_int_equal(p, 0xabc);
	assert_int_equal(n, 7);
	assert_int_equal(cuModuleGetGlobal_v2(NULL, &n, m, ""), CUDA_SUCCESS);
	assert_int_equal(n, 0);
	assert_int_equal(cuModuleGetGlobal_v2(&p, &n, m, "missing"), CUDA_ERROR_NOT_FOUND);
	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	assert_int_equal(cuModuleGetGlobal_v2(&p, &n, m, name), CUDA_SUCCESS);
	assert_int_equal(n, 255);
	name[255] = 'a';
	name[256] = '\0';
	assert_int_equal(cuModuleGetGlobal_v2(&p, &n, m, name), CUDA_ERROR_INVALID_VALUE);
}

static void in_and_out(void **state)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

	(void)state;
	assert_int_equal(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
	assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
}

static void default_streams(void **state)
{
	(void)state;
	assert_int_equal(cuStreamWriteValue32_v2(NULL, 1, 2, 3), CUDA_SUCCESS);
	assert_null(seen_stream);
	assert_int_equal(cuStreamWriteValue32_v2_ptsz(NULL, 1, 2, 3), CUDA_SUCCESS);
	assert_ptr_equal(seen_stream, CU_STREAM_PER_THREAD);
	assert_int_equal(cuStreamWriteValue32_ptsz(STREAM, 1, 2, 3), CUDA_SUCCESS);
	captured = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	assert_int_equal(cuStreamWriteValue32_ptsz(STREAM, 1, 2, 3), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	captured = CUDA_SUCCESS;
	assert_ptr_equal(seen_stream, STREAM);
	assert_int_equal(cuMemsetD8_v2_ptds(1, 2, 3), CUDA_SUCCESS);
	assert_ptr_equal(seen_stream, CU_STREAM_PER_THREAD);
	assert_int_equal(cuMemsetD8_v2(1, 2, 3), CUDA_SUCCESS);
	assert_ptr_equal(seen_stream, CU_STREAM_LEGACY);
	assert_int_equal(cuGraphCreate(NULL, 0), CUDA_ERROR_NOT_SUPPORTED);
}

/* ---- tests: the worker alone ---- */

static void broken_commands(void **state)
{
	struct vgpu_args_cuModuleGetGlobal_v2 g = { .module = vgpu_handle_make(VGPU_HANDLE_MODULE, 1, 1), .name_size = 4 };
	struct vgpu_args_cuMemSetAccess acc = { .count = 4 };
	struct vgpu_args_cuMemCreate create = { .handle = vgpu_handle_make(VGPU_HANDLE_MODULE, 1, 2) };
	struct vgpu_args_cuTensorMapEncodeTiled tensor = { .rank = 0 };
	uint64_t bytes[64] = { 0x00616161 };

	(void)state;
	objects[0] = (struct object){ g.module, NULL };
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 8), CUDA_SUCCESS);
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 0), VGPU_BROKEN);
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 16), VGPU_BROKEN);
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g) - 8, bytes, 8), VGPU_BROKEN);
	g.name_size = 3;
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 8), VGPU_BROKEN);
	g.name_size = 8;
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 8), VGPU_BROKEN);
	g.name_size = UINT32_MAX;
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 8), VGPU_BROKEN);
	g.module = vgpu_handle_make(VGPU_HANDLE_STREAM, 1, 1);
	assert_int_equal(dispatch(VGPU_OP_cuModuleGetGlobal_v2, &g, sizeof(g), bytes, 8), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(dispatch(VGPU_OP_cuMemSetAccess, &acc, sizeof(acc), bytes, 40), VGPU_BROKEN);
	acc.count = UINT64_MAX / 12 + 2;
	assert_int_equal(dispatch(VGPU_OP_cuMemSetAccess, &acc, sizeof(acc), bytes, 8), VGPU_BROKEN);
	assert_int_equal(dispatch(VGPU_OP_cuMemCreate, &create, sizeof(create), NULL, 0), VGPU_BROKEN);
	assert_int_equal(dispatch(VGPU_OP_cuTensorMapEncodeTiled, &tensor, sizeof(tensor), NULL, 0), VGPU_BROKEN);
}

static void random_commands(void **state)
{
	static const uint32_t sizes[] = { 0, 8, 16, 24, 32, 48, 64, 120, 256 };
	uint8_t args[256], payload[256];
	unsigned ok = 0, broken = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < 200000; i++) {
		const struct vgpu_op_info *info = vgpu_op_find((uint16_t)(0x100 + rand() % 16));
		CUresult r;

		if (!info)
			continue;
		for (size_t k = 0; k < sizeof(args); k++) {
			args[k] = rand() % 3 ? 0 : (uint8_t)(rand() % 8);
			payload[k] = rand() % 4 ? 'a' : 0;
		}
		r = dispatch(info->op, args, info->args_size, payload, sizes[rand() % 9]);
		ok += r == CUDA_SUCCESS;
		broken += r == VGPU_BROKEN;
		memset(objects, 0, sizeof(objects));
	}
	assert_true(ok > 1000);
	assert_true(broken > 1000);
}

static void unknown_ops(void **state)
{
	(void)state;
	assert_null(vgpu_op_find(0));
	assert_null(vgpu_op_find(0xff));
	assert_null(vgpu_op_find(VGPU_OP_LIMIT));
	assert_null(vgpu_op_find(0xffff));
	assert_string_equal(vgpu_op_find(VGPU_OP_hand_made)->name, "hand_made");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(scalars, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_before_sending, setup, teardown),
		cmocka_unit_test_setup_teardown(objects_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(several_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(strings, setup, teardown),
		cmocka_unit_test_setup_teardown(in_and_out, setup, teardown),
		cmocka_unit_test_setup_teardown(default_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(random_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_ops, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
