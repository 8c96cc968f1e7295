/* SPDX-License-Identifier: MIT */
/*
 * Shared memory on a driver that has handles of its own, as a GPU's has: the guest gets tokens, the supervisor, which is
 * played here, gets what the driver gave, and the driver gets back exactly that.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <gen/wire.h>

#include "fake_driver.h"
#include "io.h"
#include "message.h"

#define GENERIC(n) vgpu_handle_make(VGPU_HANDLE_MEMGENERIC, 1, n)

#define SHARES	    8
#define SECRET	    "a handle of the driver, which no guest may see"
#define SHARED	    (8ull << 20)	/* bytes of another process's memory */

static struct vgpu_session *s;
static struct vgpu_io io;
static uint64_t seq;

#define EVENT(n) vgpu_handle_make(VGPU_HANDLE_EVENT, 1, n)
#define POOL(n) vgpu_handle_make(VGPU_HANDLE_MEMPOOL, 1, n)

/* ---- the driver's part: a handle begins with the secret, and so does a descriptor's file ---- */

static struct {
	struct vgpu_driver table;
	int opened;			/* handles of other processes */
	int made;			/* pieces of memory by cuMemCreate or imported, not released */
	bool strange;			/* it was given what it never gave */
} driver;

static CUresult d_ipc_get(CUipcMemHandle *handle, CUdeviceptr p)
{
	(void)p;
	memset(handle, 0, sizeof(*handle));
	memcpy(handle, SECRET, sizeof(SECRET));
	return CUDA_SUCCESS;
}

static CUresult d_ipc_open(CUdeviceptr *p, CUipcMemHandle handle, unsigned int flags)
{
	CUresult r = driver.table.cuMemAlloc_v2(p, SHARED);

	(void)flags;
	driver.strange |= memcmp(&handle, SECRET, sizeof(SECRET)) != 0;
	driver.opened += !r;
	return r;
}

static CUresult d_ipc_close(CUdeviceptr p)
{
	driver.opened--;
	return driver.table.cuMemFree_v2(p);
}

static CUresult d_create(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
			 unsigned long long flags)
{
	(void)size;
	(void)prop;
	(void)flags;
	*handle = 0xabc000 + (uint64_t)++driver.made;
	return CUDA_SUCCESS;
}

static CUresult d_release(CUmemGenericAllocationHandle handle)
{
	driver.strange |= handle >> 12 != 0xabc;
	driver.made--;
	return CUDA_SUCCESS;
}

static CUresult d_export(void *out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
			 unsigned long long flags)
{
	int fd = memfd_create("exported", MFD_CLOEXEC);

	(void)type;
	(void)flags;
	driver.strange |= handle >> 12 != 0xabc;
	if (fd < 0 || pwrite(fd, SECRET, sizeof(SECRET), 0) != sizeof(SECRET))
		abort();
	memcpy(out, &fd, sizeof(fd));
	return CUDA_SUCCESS;
}

static CUresult d_import(CUmemGenericAllocationHandle *handle, void *os_handle, CUmemAllocationHandleType type)
{
	char text[sizeof(SECRET)] = "";

	(void)type;
	driver.strange |= pread((int)(intptr_t)os_handle, text, sizeof(text), 0) != sizeof(text) || strcmp(text, SECRET);
	return d_create(handle, 0, NULL, 0);
}

static CUresult d_event_get(CUipcEventHandle *handle, CUevent e)
{
	CUipcMemHandle h;

	driver.strange |= !e;
	d_ipc_get(&h, 0);
	memcpy(handle, &h, sizeof(*handle));
	return CUDA_SUCCESS;
}

static CUresult d_event_open(CUevent *e, CUipcEventHandle handle)
{
	driver.strange |= memcmp(&handle, SECRET, sizeof(SECRET)) != 0;
	return driver.table.cuEventCreate(e, CU_EVENT_DISABLE_TIMING);
}

/* Pools are numbers, and counted with the memory of cuMemCreate. */
static CUresult d_pool_make(CUmemoryPool *pool, const CUmemPoolProps *props)
{
	(void)props;
	*pool = (CUmemoryPool)(uintptr_t)(0xabc000 + (uint64_t)++driver.made);
	return CUDA_SUCCESS;
}

static CUresult d_pool_destroy(CUmemoryPool pool)
{
	return d_release((CUmemGenericAllocationHandle)(uintptr_t)pool);
}

static CUresult d_pool_export(void *out, CUmemoryPool pool, CUmemAllocationHandleType type, unsigned long long flags)
{
	return d_export(out, (CUmemGenericAllocationHandle)(uintptr_t)pool, type, flags);
}

static CUresult d_pool_import(CUmemoryPool *pool, void *os_handle, CUmemAllocationHandleType type,
			      unsigned long long flags)
{
	CUmemGenericAllocationHandle h;
	CUresult r = d_import(&h, os_handle, type);

	(void)flags;
	*pool = (CUmemoryPool)(uintptr_t)h;
	return r;
}

static CUresult d_pool_alloc(CUdeviceptr *p, size_t size, CUmemoryPool pool, CUstream stream)
{
	(void)stream;
	driver.strange |= (uintptr_t)pool >> 12 != 0xabc;
	return driver.table.cuMemAlloc_v2(p, size);
}

static CUresult d_pointer_export(CUmemPoolPtrExportData *data, CUdeviceptr p)
{
	CUipcMemHandle h;

	d_ipc_get(&h, p);
	memcpy(data, &h, sizeof(*data));
	return CUDA_SUCCESS;
}

static CUresult d_pointer_import(CUdeviceptr *p, CUmemoryPool pool, CUmemPoolPtrExportData *data)
{
	driver.strange |= (uintptr_t)pool >> 12 != 0xabc || memcmp(data, SECRET, sizeof(SECRET)) != 0;
	return driver.table.cuMemAlloc_v2(p, SHARED);
}

static void driver_setup(void)
{
	memset(&driver, 0, sizeof(driver));
	driver.table = *fake_driver();
	driver.table.cuIpcGetMemHandle = d_ipc_get;
	driver.table.cuIpcOpenMemHandle_v2 = d_ipc_open;
	driver.table.cuIpcCloseMemHandle = d_ipc_close;
	driver.table.cuMemCreate = d_create;
	driver.table.cuMemRelease = d_release;
	driver.table.cuMemExportToShareableHandle = d_export;
	driver.table.cuMemImportFromShareableHandle = d_import;
	driver.table.cuIpcGetEventHandle = d_event_get;
	driver.table.cuIpcOpenEventHandle = d_event_open;
	driver.table.cuMemPoolCreate = d_pool_make;
	driver.table.cuMemPoolDestroy = d_pool_destroy;
	driver.table.cuMemPoolExportToShareableHandle = d_pool_export;
	driver.table.cuMemPoolImportFromShareableHandle = d_pool_import;
	driver.table.cuMemAllocFromPoolAsync = d_pool_alloc;
	driver.table.cuMemPoolExportPointer = d_pointer_export;
	driver.table.cuMemPoolImportPointer = d_pointer_import;
	s->drv = &driver.table;
}

/* ---- the supervisor: a thread that keeps what is exported, and gives it to whoever names it ---- */

static struct {
	pthread_t thread;
	int control;			/* its end of the socket */
	unsigned int count;
	struct vgpu_ctl_share share[SHARES];	/* the main thread looks at these between two calls */
	int fd[SHARES];			/* -1: none */
	bool full;			/* keeps nothing more */
	unsigned int withdrawn;
	_Atomic unsigned int turns;
} supervisor;

/* What was written before is seen behind the next turn: ThreadSanitizer does not know that messages by io_uring order. */
static void turn(void)
{
	atomic_fetch_add(&supervisor.turns, 1);
}

static int find(const uint8_t *token)
{
	for (unsigned int i = 0; i < supervisor.count; i++)
		if (!memcmp(supervisor.share[i].token, token, VGPU_TOKEN_BYTES))
			return (int)i;
	return -1;
}

static void answer(struct vgpu_ctl_share *m, bool found, int fd)
{
	m->found = found;
	vgpu_msg_init(&m->h, VGPU_CTL_SHARED, sizeof(*m));
	turn();
	if (vgpu_msg_send(supervisor.control, &m->h, &fd, fd >= 0))
		abort();
}

static void keep(struct vgpu_ctl_share *m, struct vgpu_packet *p)
{
	if (!supervisor.full && supervisor.count < SHARES) {
		supervisor.share[supervisor.count] = *m;
		supervisor.fd[supervisor.count++] = p->fd_count ? p->fds[0] : -1;
		p->fd_count = 0;
		answer(m, true, -1);
	} else {
		answer(m, false, -1);
	}
}

static void give(struct vgpu_ctl_share *m)
{
	int i = find(m->token);
	struct vgpu_ctl_share a = i < 0 ? *m : supervisor.share[i];

	answer(&a, i >= 0, i < 0 ? -1 : supervisor.fd[i]);
}

static void take_back(const struct vgpu_ctl_share *m)
{
	int i = find(m->token);

	if (i < 0)
		abort();
	memset(supervisor.share[i].token, 0, VGPU_TOKEN_BYTES);
	supervisor.withdrawn++;
	turn();
}

static void *supervise(void *arg)
{
	struct vgpu_packet p;
	struct vgpu_ctl_share m;

	while (vgpu_msg_recv(supervisor.control, &p, 0) > 0) {
		turn();
		memcpy(&m, p.bytes, sizeof(m));
		if (p.h.type == VGPU_CTL_EXPORT)
			keep(&m, &p);
		else if (p.h.type == VGPU_CTL_IMPORT)
			give(&m);
		else if (p.h.type == VGPU_CTL_WITHDRAW)
			take_back(&m);
		vgpu_packet_close_fds(&p);
	}
	return arg;
}

/* ---- the session ---- */

static int setup(void **state)
{
	int pair[2];

	(void)state;
	s = fake_session();
	seq = 0;
	memset(&supervisor, 0, sizeof(supervisor));
	memset(&io, 0, sizeof(io));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) || vgpu_io_init(&io, pair[0], s->stats))
		return -1;
	s->io = &io;
	driver_setup();
	supervisor.control = pair[1];
	return pthread_create(&supervisor.thread, NULL, supervise, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shutdown(io.control, SHUT_RDWR);
	pthread_join(supervisor.thread, NULL);
	for (unsigned int i = 0; i < supervisor.count; i++)
		if (supervisor.fd[i] >= 0)
			close(supervisor.fd[i]);
	close(supervisor.control);
	fake_session_free(s);
	close(io.control);
	vgpu_io_exit(&io);
	assert_int_equal(fake.live, 0);
	assert_int_equal(driver.made, 0);
	assert_false(driver.strange);
	return 0;
}

static CUresult call(uint16_t op, const void *args, uint32_t args_size)
{
	const struct vgpu_cmd c = { .size = 64, .op = op, .slot = 1, .args_size = args_size, .seq = ++seq };

	memset(s->channel->replies[0].data, 0, sizeof(s->channel->replies[0].data));
	turn();
	assert_int_equal(fake_execute(s, &c, args, NULL), 0);
	turn();
	assert_int_equal(atomic_load(&s->channel->replies[0].done), seq);
	return (CUresult)s->channel->replies[0].result;
}

#define CALL(name, ...)                                                                        \
	({                                                                                     \
		struct vgpu_args_##name a_ = { __VA_ARGS__ };                                  \
		call(VGPU_OP_##name, &a_, sizeof(a_));                                \
	})

static const void *reply(void)
{
	return s->channel->replies[0].data;
}

static uint64_t alloc(uint64_t bytes)
{
	assert_int_equal(CALL(cuMemAlloc_v2, .bytesize = bytes), 0);
	return ((const struct vgpu_ret_cuMemAlloc_v2 *)reply())->dptr;
}

/* Nothing of what the driver gave may lie in memory that the guest sees. */
static void assert_nothing_leaked(void)
{
	const size_t n = strlen(SECRET);
	const uint8_t *at = (const uint8_t *)s->channel;

	assert_null(memmem(at, sizeof(*s->channel), SECRET, n));
}

/* ---- tests ---- */

static void a_handle_stays_on_the_host(void **state)
{
	const struct vgpu_ret_ipc_get_memory *got = reply();
	uint64_t p = alloc(1 << 20);

	(void)state;
	assert_int_equal(CALL(ipc_get_memory, p + 4096), 0);
	assert_int_equal(supervisor.count, 1);
	assert_memory_equal(got->token, supervisor.share[0].token, VGPU_TOKEN_BYTES);
	assert_memory_equal(supervisor.share[0].data, SECRET, strlen(SECRET));
	assert_int_equal(supervisor.share[0].size, 1 << 20);
	assert_int_equal(supervisor.fd[0], -1);
	assert_nothing_leaked();
	/* One token for one allocation; another for the next that lies there. */
	assert_int_equal(CALL(ipc_get_memory, p), 0);
	assert_int_equal(supervisor.count, 1);
	assert_memory_equal(got->token, supervisor.share[0].token, VGPU_TOKEN_BYTES);
	assert_int_equal(CALL(ipc_get_memory, p + (1 << 20)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(ipc_get_memory, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(supervisor.count, 1);
}

/* Another process's memory: as if the token had come from there. */
static struct vgpu_args_ipc_open_memory foreign(void)
{
	struct vgpu_args_ipc_open_memory a = { .flags = 1 };
	struct vgpu_ctl_share *m = &supervisor.share[0];

	memset(m, 0, sizeof(*m));
	memset(m->token, 0x5a, sizeof(m->token));
	memcpy(m->data, SECRET, strlen(SECRET));
	m->size = SHARED;
	m->kind = VGPU_SHARE_MEMORY;
	supervisor.fd[0] = -1;
	supervisor.count = 1;
	memcpy(a.token, m->token, sizeof(a.token));
	return a;
}

static void the_driver_opens_its_own_handle(void **state)
{
	struct vgpu_args_ipc_open_memory a = foreign();
	const struct vgpu_ret_ipc_open_memory *got = reply();
	uint64_t p;

	(void)state;
	assert_int_equal(call(VGPU_OP_ipc_open_memory, &a, sizeof(a)), 0);
	p = got->pointer;
	assert_int_equal(got->size, SHARED);
	assert_nothing_leaked();
	assert_int_equal(call(VGPU_OP_ipc_open_memory, &a, sizeof(a)), 0);
	assert_int_equal(got->pointer, p);
	assert_int_equal(driver.opened, 1);
	/* It is memory like other, except that freeing it is not its user's, nor exporting it. */
	assert_int_equal(CALL(memcpy_d2d, .dst = p, .src = p + 4096, .bytes = 4096,
			      .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, VGPU_STREAM_INDEX_LEGACY)), 0);
	assert_int_equal(CALL(cuMemFree_v2, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(ipc_get_memory, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(ipc_close_memory, p + 4096), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(ipc_close_memory, p), 0);
	assert_int_equal(driver.opened, 1);
	assert_int_equal(CALL(ipc_close_memory, p), 0);
	assert_int_equal(driver.opened, 0);
	assert_int_equal(CALL(ipc_close_memory, p), CUDA_ERROR_INVALID_VALUE);
}

static void a_token_that_names_nothing(void **state)
{
	struct vgpu_args_ipc_open_memory a = foreign();

	(void)state;
	a.token[3] ^= 1;
	assert_int_equal(call(VGPU_OP_ipc_open_memory, &a, sizeof(a)), CUDA_ERROR_INVALID_HANDLE);
	/* The driver may refuse, too: then nothing stays behind. */
	a.token[3] ^= 1;
	fake.result = CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
	assert_int_equal(call(VGPU_OP_ipc_open_memory, &a, sizeof(a)), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
	fake.result = CUDA_SUCCESS;
	assert_int_equal(call(VGPU_OP_ipc_open_memory, &a, sizeof(a)), 0);
	assert_int_equal(driver.opened, 1);
	assert_int_equal(CALL(ipc_close_memory, ((const struct vgpu_ret_ipc_open_memory *)reply())->pointer), 0);
}

static void a_token_nobody_keeps_is_none(void **state)
{
	const struct vgpu_ret_ipc_get_memory *got = reply();
	uint64_t p = alloc(4096);

	(void)state;
	supervisor.full = true;
	assert_int_equal(CALL(ipc_get_memory, p), CUDA_ERROR_OUT_OF_MEMORY);
	supervisor.full = false;
	assert_int_equal(CALL(ipc_get_memory, p), 0);
	assert_memory_equal(got->token, supervisor.share[0].token, VGPU_TOKEN_BYTES);
}

static void a_descriptor_stays_on_the_host(void **state)
{
	struct vgpu_args_memory_import import = { .handle = GENERIC(2) };
	const struct vgpu_ret_memory_export *got = reply();

	(void)state;
	assert_int_equal(CALL(cuMemCreate, .handle = GENERIC(1), .size = 2 << 20), 0);
	assert_int_equal(CALL(memory_export, GENERIC(1)), 0);
	assert_int_equal(supervisor.count, 1);
	assert_true(supervisor.fd[0] >= 0);
	assert_memory_equal(got->token, supervisor.share[0].token, VGPU_TOKEN_BYTES);
	assert_nothing_leaked();
	memcpy(import.token, got->token, sizeof(import.token));
	assert_int_equal(call(VGPU_OP_memory_import, &import, sizeof(import)), 0);
	assert_int_equal(CALL(memory_export, GENERIC(3)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMemRelease, GENERIC(1)), 0);
	assert_int_equal(driver.made, 1);
	assert_int_equal(CALL(cuMemRelease, GENERIC(2)), 0);
	assert_int_equal(driver.made, 0);
	/* An entry without a descriptor is not memory of cuMemCreate. */
	supervisor.share[1] = supervisor.share[0];
	memset(supervisor.share[1].token, 0x11, VGPU_TOKEN_BYTES);
	supervisor.fd[1] = -1;
	supervisor.count = 2;
	memset(import.token, 0x11, sizeof(import.token));
	assert_int_equal(call(VGPU_OP_memory_import, &import, sizeof(import)), CUDA_ERROR_INVALID_HANDLE);
}

/* What was withdrawn so far; an answer to another question shows that the supervisor has seen all of it. */
static unsigned int withdrawn(void)
{
	struct vgpu_args_ipc_open_memory a = { .token = { 0xee } };

	assert_int_equal(call(VGPU_OP_ipc_open_memory, &a, sizeof(a)), CUDA_ERROR_INVALID_HANDLE);
	return supervisor.withdrawn;
}

static void what_is_freed_is_withdrawn(void **state)
{
	uint64_t p = alloc(1 << 20);

	(void)state;
	assert_int_equal(CALL(ipc_get_memory, p), 0);
	assert_int_equal(withdrawn(), 0);
	assert_int_equal(CALL(cuMemFree_v2, p), 0);
	assert_int_equal(withdrawn(), 1);
	p = alloc(1 << 20);
	assert_int_equal(CALL(cuMemFree_v2, p), 0);
	assert_int_equal(withdrawn(), 1);
}

static void an_event(void **state)
{
	struct vgpu_args_ipc_open_event open = { .handle = EVENT(2) };
	const struct vgpu_ret_ipc_get_event *got = reply();

	(void)state;
	assert_int_equal(CALL(event_create, .event = EVENT(1), .flags = 6), 0);
	assert_int_equal(CALL(ipc_get_event, EVENT(1)), 0);
	assert_int_equal(supervisor.share[0].kind, VGPU_SHARE_EVENT);
	assert_memory_equal(supervisor.share[0].data, SECRET, strlen(SECRET));
	assert_memory_equal(got->token, supervisor.share[0].token, VGPU_TOKEN_BYTES);
	assert_nothing_leaked();
	memcpy(open.token, got->token, sizeof(open.token));
	assert_int_equal(CALL(ipc_get_event, EVENT(1)), 0);
	assert_int_equal(supervisor.count, 1);
	assert_int_equal(CALL(ipc_get_event, EVENT(7)), CUDA_ERROR_INVALID_HANDLE);
	/* As if another process had made it. */
	assert_int_equal(call(VGPU_OP_ipc_open_event, &open, sizeof(open)), 0);
	assert_int_equal(CALL(event_query, EVENT(2)), 0);
	assert_int_equal(CALL(event_destroy, EVENT(2)), 0);
	assert_int_equal(withdrawn(), 0);
	assert_int_equal(CALL(event_destroy, EVENT(1)), 0);
	assert_int_equal(withdrawn(), 1);
	open.handle = EVENT(3);
	assert_int_equal(call(VGPU_OP_ipc_open_event, &open, sizeof(open)), CUDA_ERROR_INVALID_HANDLE);
}

static void a_pool(void **state)
{
	struct vgpu_args_mempool_import import = { .handle = POOL(2) };
	const struct vgpu_ret_mempool_export *got = reply();

	(void)state;
	assert_int_equal(CALL(cuMemPoolCreate, .pool = POOL(1)), 0);
	assert_int_equal(CALL(mempool_export, POOL(1)), 0);
	assert_int_equal(supervisor.share[0].kind, VGPU_SHARE_POOL);
	assert_true(supervisor.fd[0] >= 0);
	assert_nothing_leaked();
	memcpy(import.token, got->token, sizeof(import.token));
	assert_int_equal(CALL(mempool_export, POOL(1)), 0);
	assert_memory_equal(got->token, import.token, sizeof(import.token));
	assert_int_equal(call(VGPU_OP_mempool_import, &import, sizeof(import)), 0);
	assert_int_equal(CALL(cuMemPoolDestroy, POOL(2)), 0);
	assert_int_equal(withdrawn(), 0);
	assert_int_equal(CALL(cuMemPoolDestroy, POOL(1)), 0);
	assert_int_equal(withdrawn(), 1);
	import.handle = POOL(3);
	assert_int_equal(call(VGPU_OP_mempool_import, &import, sizeof(import)), CUDA_ERROR_INVALID_HANDLE);
}

/* Charged to who made it: neither importing it nor freeing what was imported moves this session's account. */
static void a_pointer(void **state)
{
	struct vgpu_args_pointer_import import = { .pool = POOL(1) };
	const struct vgpu_ret_pointer_import *got = reply();
	uint64_t own, p;

	(void)state;
	assert_int_equal(CALL(cuMemPoolCreate, .pool = POOL(1)), 0);
	assert_int_equal(CALL(cuMemAllocFromPoolAsync, .bytesize = 1 << 20, .pool = POOL(1)), 0);
	own = ((const struct vgpu_ret_cuMemAllocFromPoolAsync *)reply())->dptr;
	assert_int_equal(CALL(pointer_export, own + 64), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(pointer_export, own), 0);
	assert_int_equal(supervisor.share[0].kind, VGPU_SHARE_POINTER);
	assert_int_equal(supervisor.share[0].size, 1 << 20);
	assert_nothing_leaked();
	memcpy(import.token, supervisor.share[0].token, sizeof(import.token));
	assert_int_equal(call(VGPU_OP_pointer_import, &import, sizeof(import)), 0);
	p = got->pointer;
	assert_int_equal(got->size, 1 << 20);
	assert_int_equal(s->memory_used, 1 << 20);
	assert_int_equal(CALL(ipc_get_memory, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(pointer_export, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMemFree_v2, p), 0);
	assert_int_equal(s->memory_used, 1 << 20);
	assert_int_equal(CALL(cuMemFree_v2, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMemFree_v2, own), 0);
	assert_int_equal(s->memory_used, 0);
	assert_int_equal(withdrawn(), 1);
	assert_int_equal(call(VGPU_OP_pointer_import, &import, sizeof(import)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMemPoolDestroy, POOL(1)), 0);
	assert_int_equal(call(VGPU_OP_pointer_import, &import, sizeof(import)), CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_handle_stays_on_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(the_driver_opens_its_own_handle, setup, teardown),
		cmocka_unit_test_setup_teardown(a_token_that_names_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_token_nobody_keeps_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(a_descriptor_stays_on_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_freed_is_withdrawn, setup, teardown),
		cmocka_unit_test_setup_teardown(an_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pointer, setup, teardown),
	};

	return cmocka_run_group_tests_name("worker_share", tests, NULL, NULL);
}
