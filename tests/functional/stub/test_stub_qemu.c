/* SPDX-License-Identifier: MIT */
/*
 * The device inside the stock QEMU binary, driven by QEMU's qtest protocol
 * in place of a guest (whose processor stays stopped), with a mediator that the test plays: registers behind
 * BAR0, the shared memory behind BAR2, a doorbell that reaches the worker's
 * socket, reset, the end of QEMU.
 *
 * usage: test_stub_qemu vgpu-stub.so; 77: there is no QEMU.
 */
#include "fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT		5u
#define BAR0		0xe0000000ull
#define BAR2		0x100000000ull
#define PCI_COMMAND	0x04u
#define PCI_BAR(n)	(0x10u + 4 * (n))

static const char *preload;

struct machine {
	struct fixture *f;	/* only its mediator is used: the stub is QEMU's */
	pid_t pid;
	FILE *qtest;
};

static void run_qemu(const char *qtest_path, const char *socket_path)
{
	char env[256], qtest[160], device[256];

	snprintf(env, sizeof(env), "LD_PRELOAD=%s", preload);
	snprintf(qtest, sizeof(qtest), "unix:%s", qtest_path);
	snprintf(device, sizeof(device), "vgpu-stub,addr=%u,socket=%s,vm-id=7,memory=64M,channels=4",
		 SLOT, socket_path);
	execlp("env", "env", env, "qemu-system-x86_64", "-nodefaults", "-display", "none", "-M",
	       "pc,accel=tcg", "-S", "-m", "64", "-name", "qtestvm", "-qtest", qtest, "-qtest-log",
	       "/dev/null", "-device", device, (char *)NULL);
	_exit(127);
}

/* One line to QEMU, its "OK ..." back; returns the number behind OK. */
static uint64_t qtest(struct machine *m, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vfprintf(m->qtest, fmt, ap);
	va_end(ap);
	fflush(m->qtest);
	if (!fgets(line, sizeof(line), m->qtest))
		fail_msg("QEMU is gone");
	if (strncmp(line, "OK", 2))
		fail_msg("QEMU says: %s", line);
	return strtoull(line + 2, NULL, 0);
}

static void config_write(struct machine *m, uint32_t reg, uint32_t value)
{
	qtest(m, "outl 0xcf8 0x%x\n", 0x80000000u | SLOT << 11 | reg);
	qtest(m, "outl 0xcfc 0x%x\n", value);
}

static uint32_t config_read(struct machine *m, uint32_t reg)
{
	qtest(m, "outl 0xcf8 0x%x\n", 0x80000000u | SLOT << 11 | reg);
	return (uint32_t)qtest(m, "inl 0xcfc\n");
}

static void map_bars(struct machine *m)
{
	config_write(m, PCI_BAR(0), (uint32_t)BAR0);
	config_write(m, PCI_BAR(2), (uint32_t)BAR2);
	config_write(m, PCI_BAR(3), (uint32_t)(BAR2 >> 32));
	config_write(m, PCI_COMMAND, 2);
}

static uint32_t reg_read(struct machine *m, uint32_t reg)
{
	return (uint32_t)qtest(m, "readl 0x%llx\n", BAR0 + reg);
}

static void reg_write(struct machine *m, uint32_t reg, uint32_t value)
{
	qtest(m, "writel 0x%llx 0x%x\n", BAR0 + reg, value);
}

static int setup(void **state)
{
	static struct machine m;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct pollfd p = { .events = POLLIN };
	int listener, fd;

	memset(&m, 0, sizeof(m));
	fix_setup((void **)&m.f);
	fix_listen(m.f);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/q.sock", m.f->dir);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	m.pid = fork();
	if (!m.pid)
		run_qemu(a.sun_path, m.f->path);
	p.fd = listener;
	if (poll(&p, 1, FIX_WAIT_MS) != 1)
		fail_msg("QEMU does not start");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	m.qtest = fdopen(fd, "r+");
	close(listener);
	unlink(a.sun_path);
	map_bars(&m);
	*state = &m;
	return 0;
}

static void stop_qemu(struct machine *m)
{
	int status;

	if (!m->pid)
		return;
	kill(m->pid, SIGTERM);
	assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
	m->pid = 0;
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

static int teardown(void **state)
{
	struct machine *m = *state;

	stop_qemu(m);
	fclose(m->qtest);
	return fix_teardown((void **)&m->f);
}

/* HELLO and WELCOME; returns the VM's memory as mapped from what HELLO carried. */
static uint8_t *welcome(struct machine *m)
{
	struct vgpu_msg_welcome w = { .h = fix_header(VGPU_MSG_WELCOME, sizeof(w)),
				      .shm_size = FIX_MEMORY };
	struct vgpu_msg_hello hello;
	uint64_t end = fix_now_ms() + FIX_WAIT_MS;
	uint8_t *base;
	int fd;

	fix_accept(m->f);
	assert_int_equal(fix_recv(m->f->conn, &hello, sizeof(hello), &fd), sizeof(hello));
	assert_int_equal(hello.vm_id, 7);
	assert_string_equal(hello.name, "qtestvm");
	assert_int_equal(hello.pid, m->pid);
	base = mmap(NULL, FIX_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(base, MAP_FAILED);
	close(fd);
	fix_send_raw(m->f->conn, &w, sizeof(w), NULL, 0);
	while (!reg_read(m, VGPU_REG_LINK))
		assert_true(fix_now_ms() < end);
	m->f->base = base;	/* unmapped by the fixture */
	return base;
}

static void test_pci(void **state)
{
	struct machine *m = *state;

	assert_int_equal(config_read(m, 0), VGPU_PCI_VENDOR | VGPU_PCI_DEVICE << 16);
	assert_int_equal(config_read(m, 8) >> 16, VGPU_PCI_CLASS);
	/* BAR0: 32 bits; BAR2: 64 bits, prefetchable. */
	assert_int_equal(config_read(m, PCI_BAR(0)) & 0xf, 0);
	assert_int_equal(config_read(m, PCI_BAR(2)) & 0xf, 0xc);
	/* BAR1: 32 bits, the data window of version 1. */
	config_write(m, PCI_BAR(1), ~0u);
	assert_int_equal(config_read(m, PCI_BAR(1)), ~(VGPU_V1_BAR1_SIZE - 1));
	config_write(m, PCI_BAR(0), ~0u);
	assert_int_equal(config_read(m, PCI_BAR(0)), ~(VGPU_BAR0_SIZE - 1));
	/* The capability list holds MSI-X (11h). */
	assert_int_equal(config_read(m, config_read(m, 0x34) & 0xff) & 0xff, 0x11);
}

static void test_registers(void **state)
{
	struct machine *m = *state;

	assert_int_equal(reg_read(m, VGPU_REG_ID), VGPU_DEVICE_ID_VALUE);
	assert_int_equal(reg_read(m, VGPU_REG_CHANNELS), 4);
	assert_int_equal(reg_read(m, VGPU_REG_CAPS), VGPU_CAP_RING | VGPU_CAP_WINDOW | VGPU_CAP_MSIX);
	reg_write(m, VGPU_REG_SCRATCH, 0x600df00d);
	assert_int_equal(reg_read(m, VGPU_REG_SCRATCH), 0x600df00d);
	assert_int_equal(qtest(m, "readb 0x%llx\n", BAR0), 0);
	assert_int_equal(qtest(m, "readq 0x%llx\n", BAR0 + 1), 0);
	assert_int_equal(reg_read(m, VGPU_REG_CNT_STRAY), 2);
}

static void test_shared_memory(void **state)
{
	struct machine *m = *state;
	uint8_t *base = welcome(m);
	uint64_t at = FIX_MEMORY - 4096;

	assert_true(qtest(m, "readq 0x%llx\n", BAR2) == VGPU_SHM_MAGIC);
	qtest(m, "writel 0x%llx 0xcafe\n", BAR2 + at);
	assert_int_equal(*(uint32_t *)(base + at), 0xcafe);
	*(uint32_t *)(base + at) = 0xbeef;
	assert_int_equal(qtest(m, "readl 0x%llx\n", BAR2 + at), 0xbeef);
}

static void test_doorbell_and_reset(void **state)
{
	struct machine *m = *state;
	struct vgpu_msg_channel c;
	struct vgpu_msg_wake wake;
	int pair[2];

	welcome(m);
	reg_write(m, VGPU_REG_CHANNEL_OPEN, 3);
	fix_expect(m->f->conn, VGPU_MSG_CHANNEL_OPEN, &c, sizeof(c));
	assert_int_equal(c.channel, 3);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fix_send_channel(m->f, VGPU_MSG_CHANNEL_OPENED, 3, 0, pair[1]);
	close(pair[1]);
	reg_write(m, VGPU_REG_DOORBELL + 12, 1);
	fix_expect(pair[0], VGPU_MSG_WAKE, &wake, sizeof(wake));
	assert_int_equal(wake.channel, 3);
	assert_int_equal(wake.doorbells, 1);
	/* The doorbell did not trap into the device's write function. */
	assert_int_equal(reg_read(m, VGPU_REG_CNT_MMIO_W), 1);
	qtest(m, "outb 0xcf9 0x06\n");
	fix_expect(m->f->conn, VGPU_MSG_CHANNEL_CLOSE, &c, sizeof(c));
	assert_int_equal(c.channel, 3);
	assert_true(fix_closed(pair[0]));
	close(pair[0]);
}

/* QEMU ends in order while a session is open; the mediator sees it. */
static void test_quit(void **state)
{
	struct machine *m = *state;
	struct vgpu_msg_channel c;

	welcome(m);
	reg_write(m, VGPU_REG_CHANNEL_OPEN, 0);
	fix_expect(m->f->conn, VGPU_MSG_CHANNEL_OPEN, &c, sizeof(c));
	stop_qemu(m);
	assert_true(fix_closed(m->f->conn));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pci, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbell_and_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quit, setup, teardown),
	};

	if (argc != 2 || access(argv[1], R_OK) || access("/usr/bin/qemu-system-x86_64", X_OK)) {
		printf("no vgpu-stub.so or no qemu-system-x86_64\n");
		return 77;
	}
	preload = argv[1];
	return cmocka_run_group_tests_name("vgpu-stub in QEMU", tests, NULL, NULL);
}
