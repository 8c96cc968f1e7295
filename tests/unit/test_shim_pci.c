/* SPDX-License-Identifier: MIT */
/*
 * The pci transport over a folder that looks like sysfs and files that hold still: what it finds, what it refuses,
 * which channel it claims, what it cleans, and how one channel after the other is used up; what a session that is
 * refused there leaves behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <vgpu/device.h>

#include "free_addresses.h"
#include "shim/config.h"
#include "shim/session.h"
#include "shim/transport.h"

#define CHANNELS	4u

static char root[] = "/tmp/vgpu-test-pci-XXXXXX";
static char folder[128];
static volatile uint32_t *registers;
static uint8_t *memory;
static struct vgpu_shm_geometry geometry;
static struct vgpu_config config;

static void put_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void *put_bar(const char *name, size_t size)
{
	char path[256];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static void set(uint32_t at, uint32_t value)
{
	registers[at / 4] = value;
}

static int setup(void **state)
{
	char path[256];

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "mkdir -p %s/bus/pci/devices/0000:00:04.0", root);
	assert_int_equal(system(path), 0);
	snprintf(folder, sizeof(folder), "%s/bus/pci/devices/0000:00:04.0", root);
	put_file("vendor", "0x1234\n");
	put_file("device", "0x7647\n");
	registers = put_bar("resource0", VGPU_BAR0_SIZE);
	memory = put_bar("resource2", VGPU_SHM_MIN_SIZE);
	assert_int_equal(vgpu_shm_geometry(&geometry, VGPU_SHM_MIN_SIZE, CHANNELS), 0);
	vgpu_shm_format(memory, &geometry, 7);
	set(VGPU_REG_ID, VGPU_DEVICE_ID_VALUE);
	set(VGPU_REG_VERSION, VGPU_PROTOCOL_VERSION);
	set(VGPU_REG_SHM_SIZE_LO, VGPU_SHM_MIN_SIZE);
	set(VGPU_REG_CHANNELS, CHANNELS);
	set(VGPU_REG_LINK, 1);
	config.sysfs_root = root;
	config.pci_vendor = VGPU_PCI_VENDOR;
	config.pci_device = VGPU_PCI_DEVICE;
	config.transport = VGPU_TRANSPORT_PCI;
	config.batch = VGPU_BATCH_DEFAULT;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void expect_refusal(int error, const char *word)
{
	struct vgpu_transport t;

	assert_int_equal(vgpu_transport_open(&t, &config), error);
	assert_non_null(strstr(t.text, word));
}

static void says_why_not(void **state)
{
	(void)state;
	config.pci_device = 1;
	expect_refusal(-ENODEV, "no PCI device 1234:0001");
	config.pci_device = VGPU_PCI_DEVICE;
	set(VGPU_REG_ID, 5);
	expect_refusal(-ENODEV, "not a vgpu-stub");
	set(VGPU_REG_ID, VGPU_DEVICE_ID_VALUE);
	set(VGPU_REG_VERSION, (VGPU_PROTOCOL_MAJOR + 1) << 16 | 1);
	expect_refusal(-EPROTO, "the vgpu-stub device 4.1");
	set(VGPU_REG_VERSION, VGPU_PROTOCOL_VERSION);
	set(VGPU_REG_CHANNELS, 0);
	expect_refusal(-EPROTO, "not usable");
	set(VGPU_REG_CHANNELS, CHANNELS);
	config.batch = VGPU_BATCH_REGISTERS;
	expect_refusal(-EPROTO, "does not know VGPU_BATCH=0");
	config.batch = VGPU_BATCH_DEFAULT;
	set(VGPU_REG_LINK, 0);
	expect_refusal(-ENOTCONN, "start vgpu-mediator");
	set(VGPU_REG_LINK, 1);
}

static void a_stale_channel_is_cleaned(void **state)
{
	struct vgpu_channel *ch = vgpu_shm_channel(memory, &geometry, 0);
	_Atomic uint32_t *extents = vgpu_shm_extents(memory, &geometry);
	struct vgpu_transport t;

	(void)state;
	ch->ctl.host_state = VGPU_HOST_DEAD;
	ch->ctl.generation = 41;
	ch->ring.tail = 4096;
	ch->fences[9] = 9;
	extents[3] = 1;
	extents[4] = 2;
	assert_int_equal(vgpu_transport_open(&t, &config), 0);
	assert_int_equal(t.channel, 0);
	assert_int_equal(ch->ctl.host_state, VGPU_HOST_NONE);
	assert_int_equal(ch->ctl.generation, 42);
	assert_int_equal(ch->ring.tail, 0);
	assert_int_equal(ch->fences[9], 0);
	assert_int_equal(extents[3], VGPU_EXTENT_FREE);
	assert_int_equal(extents[4], 2);
	assert_int_equal(t.ops->start(&t), 0);
	assert_int_equal(registers[VGPU_REG_CHANNEL_OPEN / 4], 0);
	t.ops->doorbell(&t);
	assert_int_equal(registers[VGPU_REG_DOORBELL / 4], 1);
	t.ops->close(&t);
	extents[4] = VGPU_EXTENT_FREE;
}

static void each_opener_has_its_own(void **state)
{
	struct vgpu_transport t[CHANNELS], more;
	uint32_t i;

	(void)state;
	for (i = 0; i < CHANNELS; i++) {
		assert_int_equal(vgpu_transport_open(&t[i], &config), 0);
		assert_int_equal(t[i].channel, i);
	}
	assert_int_equal(vgpu_transport_open(&more, &config), -EBUSY);
	assert_non_null(strstr(more.text, "no free channel: 4 of 4"));
	t[2].ops->close(&t[2]);
	assert_int_equal(vgpu_transport_open(&t[2], &config), 0);
	assert_int_equal(t[2].channel, 2);
	for (i = 0; i < CHANNELS; i++)
		t[i].ops->close(&t[i]);
}

static void a_killed_process_leaves_no_lock(void **state)
{
	struct vgpu_transport t;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		if (vgpu_transport_open(&t, &config) || t.channel)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(vgpu_transport_open(&t, &config), 0);
	assert_int_equal(t.channel, 0);
	t.ops->close(&t);
}

#define OFFERED_BYTES	(1ull << 30)

static uint64_t offered;

/* A host that offers addresses, sees them taken, and then refuses the process. */
static void *refuse_late(void *unused)
{
	struct vgpu_channel_ctl *ctl = &vgpu_shm_channel(memory, &geometry, 0)->ctl;

	while (!__atomic_load_n(&ctl->guest_version, __ATOMIC_ACQUIRE))
		sched_yield();
	ctl->ranges[0] = (struct vgpu_range){ .start = offered, .size = OFFERED_BYTES };
	ctl->range_count = 1;
	atomic_store(&ctl->offer_epoch, 1);
	atomic_store(&ctl->host_state, VGPU_HOST_OFFER);
	while (atomic_load(&ctl->answer_epoch) != 1)
		sched_yield();
	atomic_store(&ctl->host_error, VGPU_HOST_QUOTA);
	atomic_store(&ctl->host_state, VGPU_HOST_REFUSED);
	return unused;
}

static void a_refused_session_keeps_no_addresses(void **state)
{
	pthread_t host;
	void *at;

	(void)state;
	vgpu_config = config;
	offered = free_addresses();
	at = (void *)(uintptr_t)offered;
	assert_int_equal(pthread_create(&host, NULL, refuse_late, NULL), 0);
	assert_int_equal(vgpu_session_open(), CUDA_ERROR_NO_DEVICE);
	pthread_join(host, NULL);
	assert_ptr_equal(mmap(at, OFFERED_BYTES, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0), at);
	munmap(at, OFFERED_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_why_not),
		cmocka_unit_test(a_stale_channel_is_cleaned),
		cmocka_unit_test(each_opener_has_its_own),
		cmocka_unit_test(a_killed_process_leaves_no_lock),
		cmocka_unit_test(a_refused_session_keeps_no_addresses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
