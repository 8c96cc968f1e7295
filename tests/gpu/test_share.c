/* SPDX-License-Identifier: MIT */
/*
 * Memory shared between two processes: IPC handles, and descriptors of memory made by cuMemCreate. The other process is
 * a fork from before CUDA is initialised, which does what a message asks for and answers with the result.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_test.h"

#define BYTES (8u << 20)

enum what { OPEN, READ, WRITE, CLOSE, MAP, UNMAP };

struct request {
	enum what what;
	CUipcMemHandle handle;
	CUdeviceptr at;			/* in the other process */
	size_t size;
	uint32_t value;
};

struct answer {
	CUresult result;
	CUdeviceptr at;
	uint32_t value;
};

static int other = -1;		/* socket to the other process */
static size_t grain;

/* ---- the other process ---- */

static int take_fd(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static CUresult map(const struct request *q, int fd, CUdeviceptr *at)
{
	CUmemAccessDesc access = { .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle h;
	CUresult r = cuMemImportFromShareableHandle(&h, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);

	access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	if (!r)
		r = cuMemAddressReserve(at, q->size, 0, 0, 0);
	if (!r)
		r = cuMemMap(*at, q->size, 0, h, 0);
	if (!r)
		r = cuMemRelease(h);
	return r ? r : cuMemSetAccess(*at, q->size, &access, 1);
}

static void act(const struct request *q, int fd, struct answer *a)
{
	switch (q->what) {
	case OPEN:
		a->result = cuIpcOpenMemHandle(&a->at, q->handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
		return;
	case READ:
		a->result = cuMemcpyDtoH(&a->value, q->at, sizeof(a->value));
		return;
	case WRITE:
		a->result = cuMemsetD32(q->at, q->value, q->size / 4);
		if (!a->result)
			a->result = cuCtxSynchronize();
		return;
	case CLOSE:
		a->result = cuIpcCloseMemHandle(q->at);
		return;
	case MAP:
		a->result = map(q, fd, &a->at);
		return;
	case UNMAP:
		a->result = cuMemUnmap(q->at, q->size);
		if (!a->result)
			a->result = cuMemAddressFree(q->at, q->size);
	}
}

static int serve(int sock)
{
	char space[CMSG_SPACE(sizeof(int))];
	struct request q;
	struct iovec v = { &q, sizeof(q) };
	CUcontext ctx = NULL;

	for (;;) {
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space,
				    .msg_controllen = sizeof(space) };
		struct answer a = { CUDA_SUCCESS, 0, 0 };
		int fd;

		if (recvmsg(sock, &m, 0) != sizeof(q))
			return 0;
		fd = take_fd(&m);
		if (!ctx && (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx)))
			a.result = CUDA_ERROR_NOT_INITIALIZED;
		else
			act(&q, fd, &a);
		if (fd >= 0)
			close(fd);
		if (send(sock, &a, sizeof(a), 0) != sizeof(a))
			return 1;
	}
}

/* ---- this process ---- */

static struct answer ask_with(struct request q, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { &q, sizeof(q) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct answer a = { CUDA_ERROR_UNKNOWN, 0, 0 };
	struct cmsghdr *c;

	if (fd >= 0) {
		m.msg_control = space;
		m.msg_controllen = sizeof(space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(other, &m, 0), sizeof(q));
	assert_int_equal(recv(other, &a, sizeof(a), 0), sizeof(a));
	return a;
}

#define ask(...) ask_with((struct request){ __VA_ARGS__ }, -1)

static uint32_t word(CUdeviceptr at)
{
	uint32_t v = 0;

	ok(cuMemcpyDtoH(&v, at, sizeof(v)));
	return v;
}

/* What one writes the other reads, in memory of whole pages and in a small piece of one. */
static void ipc_memory(void **state)
{
	static const size_t sizes[] = { BYTES, 4096 };
	CUipcMemHandle handle;
	struct answer a;
	CUdeviceptr p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ok(cuMemAlloc(&p, sizes[i]));
		ok(cuMemsetD32(p, 0x11110000u + (uint32_t)i, sizes[i] / 4));
		ok(cuCtxSynchronize());
		ok(cuIpcGetMemHandle(&handle, p));
		a = ask(.what = OPEN, .handle = handle);
		expect(CUDA_SUCCESS, a.result);
		p += sizes[i] - 4;
		assert_int_equal(ask(.what = READ, .at = a.at + sizes[i] - 4).value, 0x11110000u + (uint32_t)i);
		expect(CUDA_SUCCESS, ask(.what = WRITE, .at = a.at, .size = sizes[i], .value = 0xabcd).result);
		assert_int_equal(word(p), 0xabcd);
		p -= sizes[i] - 4;
		expect(CUDA_SUCCESS, ask(.what = CLOSE, .at = a.at).result);
		assert_int_not_equal(ask(.what = READ, .at = a.at).result, CUDA_SUCCESS);
		assert_int_equal(word(p), 0xabcd);
		ok(cuMemFree(p));
	}
}

static void ipc_refused(void **state)
{
	CUipcMemHandle handle;
	CUdeviceptr p;

	(void)state;
	memset(&handle, 0x5a, sizeof(handle));
	assert_int_not_equal(ask(.what = OPEN, .handle = handle).result, CUDA_SUCCESS);
	expect(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(NULL, 0));
	ok(cuMemAlloc(&p, 4096));
	expect(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
	ok(cuMemFree(p));
}

/* A descriptor that travels by socket carries the memory of cuMemCreate. */
static void descriptor(void **state)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR };
	CUmemAccessDesc access = { .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle h;
	struct answer a;
	CUdeviceptr p;
	int fd = -1;

	(void)state;
	prop.location.type = access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	ok(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	ok(cuMemCreate(&h, grain, &prop, 0));
	ok(cuMemAddressReserve(&p, grain, 0, 0, 0));
	ok(cuMemMap(p, grain, 0, h, 0));
	ok(cuMemSetAccess(p, grain, &access, 1));
	ok(cuMemsetD32(p, 0x77, grain / 4));
	ok(cuCtxSynchronize());
	ok(cuMemExportToShareableHandle(&fd, h, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	assert_true(fd >= 0);
	a = ask_with((struct request){ .what = MAP, .size = grain }, fd);
	expect(CUDA_SUCCESS, a.result);
	close(fd);
	assert_int_equal(ask(.what = READ, .at = a.at + grain - 4).value, 0x77);
	expect(CUDA_SUCCESS, ask(.what = WRITE, .at = a.at, .size = grain, .value = 0x99).result);
	assert_int_equal(word(p), 0x99);
	ok(cuMemUnmap(p, grain));
	ok(cuMemRelease(h));
	ok(cuMemAddressFree(p, grain));
	/* The memory is the other's alone now. */
	assert_int_equal(ask(.what = READ, .at = a.at).value, 0x99);
	expect(CUDA_SUCCESS, ask(.what = UNMAP, .at = a.at, .size = grain).result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipc_memory),
		cmocka_unit_test(ipc_refused),
		cmocka_unit_test(descriptor),
	};
	int pair[2], failed, status = 0;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return 1;
	child = fork();
	if (child <= 0) {
		close(pair[0]);
		_exit(child ? 1 : serve(pair[1]));
	}
	close(pair[1]);
	other = pair[0];
	gpu_need_device();
	failed = cmocka_run_group_tests_name("share", tests, gpu_setup, gpu_teardown);
	close(other);
	waitpid(child, &status, 0);
	return failed || status;
}
