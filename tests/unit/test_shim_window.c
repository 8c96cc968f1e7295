/* SPDX-License-Identifier: MIT */
/*
 * The guest's end of the registers of version 1, on files instead of BARs: a thread plays the device, which sees nothing of a
 * store but its value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <vgpu/cuda_types.h>
#include <vgpu/device.h>
#include <vgpu/v1.h>

#include "shim/window.h"

#define BIG 4000u

static volatile uint32_t *bar0;
static uint8_t *bar1;
static _Atomic bool stop, alive = true, deaf;
static _Atomic uint32_t calls;

static uint32_t reg(uint32_t at)
{
	return __atomic_load_n(&bar0[(VGPU_REG_WINDOW + at) / 4], __ATOMIC_ACQUIRE);
}

static void set(uint32_t at, uint32_t value)
{
	__atomic_store_n(&bar0[(VGPU_REG_WINDOW + at) / 4], value, __ATOMIC_RELEASE);
}

static void set_status(uint32_t status)
{
	__atomic_store_n((uint32_t *)(bar1 + VGPU_V1_MIRROR), status, __ATOMIC_RELEASE);
}

/* Sends the data back; SEQ 2 fails with a CUDA error, SEQ 3 finds no worker. */
static void answer(void)
{
	uint32_t size = reg(VGPU_V1_DATA_LEN), seq = reg(VGPU_V1_SEQ), i;

	for (i = 0; i < size && size <= VGPU_V1_INLINE; i += 4)
		set(VGPU_V1_DATA_BACK + i, reg(VGPU_V1_DATA + i));
	if (size > VGPU_V1_INLINE)
		memcpy(bar1 + VGPU_V1_H2G, bar1, size);
	set(VGPU_V1_RESULT_STATUS, seq == 2 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
	set(VGPU_V1_RESULT_LEN, size);
	set(VGPU_V1_ERROR_CODE, seq == 2 ? VGPU_V1_ERROR_CUDA : seq == 3 ? VGPU_V1_ERROR_MEDIATOR : 0);
	atomic_fetch_add(&calls, 1);
	set(VGPU_V1_DOORBELL, 0);
	set_status(seq == 2 || seq == 3 ? VGPU_V1_ERROR : VGPU_V1_DONE);
}

static void *device(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		if (reg(VGPU_V1_DOORBELL) == 1 && !atomic_load(&deaf))
			answer();
		sched_yield();
	}
	return NULL;
}

static bool is_alive(struct vgpu_transport *t)
{
	(void)t;
	return atomic_load(&alive);
}

static const struct vgpu_transport_ops ops = { .name = "files", .alive = is_alive };

static struct vgpu_transport transport(void)
{
	return (struct vgpu_transport){
		.ops = &ops, .memory_fd = -1, .registers = bar0, .window = bar1, .channel = 3, .generation = 9,
	};
}

/*
 * A store into a file does not trap, so nothing sets STATUS before the guest looks at it: the test does, and the device
 * takes the call later.
 */
static int call(struct vgpu_transport *t, uint32_t seq, uint32_t size, struct vgpu_transport_result *r)
{
	static _Alignas(64) uint8_t command[BIG];
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)command;

	memset(command, (int)seq, sizeof(command));
	cmd->seq = seq;
	set_status(VGPU_V1_BUSY);
	return vgpu_window_call(t, cmd, size, 0, r);
}

static int setup(void **state)
{
	(void)state;
	bar0 = mmap(NULL, VGPU_BAR0_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bar1 = mmap(NULL, VGPU_V1_BAR1_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return bar0 == MAP_FAILED || bar1 == MAP_FAILED;
}

static void data_goes_and_comes(void **state)
{
	static const uint32_t sizes[] = { sizeof(struct vgpu_cmd), 61, VGPU_V1_INLINE, VGPU_V1_INLINE + 1, BIG };
	struct vgpu_transport t = transport();
	struct vgpu_transport_result r;
	pthread_t thread;

	(void)state;
	t.memory_fd = memfd_create("bar2", MFD_CLOEXEC);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, device, NULL), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(&r, 0, sizeof(r));
		assert_int_equal(call(&t, 7, sizes[i], &r), 0);
		assert_int_equal(r.status, CUDA_SUCCESS);
		assert_int_equal(r.size, sizes[i]);
		for (uint32_t k = sizeof(struct vgpu_cmd); k < sizes[i]; k++)
			assert_int_equal(r.data[k], 7);
		assert_int_equal(r.data[sizes[i]], 0);
	}
	assert_int_equal(reg(VGPU_V1_OP), VGPU_V1_COMMAND);
	assert_int_equal(reg(VGPU_V1_NUM_ARGS), 2);
	assert_int_equal(reg(VGPU_V1_ARG), 3);
	assert_int_equal(reg(VGPU_V1_ARG + 4), 9);
	assert_int_equal(call(&t, 2, 64, &r), 0);
	assert_int_equal(r.status, CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(call(&t, 3, 64, &r), -ECONNRESET);
	/* A device that is not there any more. */
	atomic_store(&deaf, true);
	atomic_store(&alive, false);
	assert_int_equal(call(&t, 7, 64, &r), -ECONNRESET);
	atomic_store(&alive, true);
	atomic_store(&deaf, false);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	close(t.memory_fd);
}

/* Who holds the turn keeps others out, and nobody when it is dead. */
static void a_dead_process_gives_its_turn(void **state)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = VGPU_WINDOW_LOCK, .l_len = 1 };
	struct vgpu_transport t = transport();
	struct vgpu_transport_result r;
	char path[] = "/tmp/vgpu-window.XXXXXX", byte = 0;
	int status, ready[2], fd = mkstemp(path);
	struct vgpu_cmd cmd = { .seq = 1 };
	pthread_t thread;
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	t.memory_fd = fd;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		int other = open(path, O_RDWR | O_CLOEXEC);

		if (fcntl(other, F_OFD_SETLK, &l) || write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* In a call as long as we look. */
	set_status(VGPU_V1_BUSY);
	assert_int_equal(vgpu_window_call(&t, &cmd, sizeof(cmd), 1, &r), -ETIMEDOUT);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, device, NULL), 0);
	assert_int_equal(call(&t, 7, 64, &r), 0);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	close(ready[0]);
	close(ready[1]);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_goes_and_comes),
		cmocka_unit_test(a_dead_process_gives_its_turn),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
