/* SPDX-License-Identifier: MIT */
/* BAR0 and the memory behind BAR2, with no mediator anywhere. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_identity(void **state)
{
	struct fixture *f = *state;

	f->config.caps = VGPU_CAP_MSIX;
	fix_create(f);
	assert_int_equal(fix_read(f, VGPU_REG_ID), VGPU_DEVICE_ID_VALUE);
	assert_int_equal(fix_read(f, VGPU_REG_VERSION), VGPU_PROTOCOL_VERSION);
	assert_int_equal(fix_read(f, VGPU_REG_CAPS), VGPU_CAP_RING | VGPU_CAP_WINDOW | VGPU_CAP_MSIX);
	assert_int_equal(fix_read(f, VGPU_REG_VM_ID), 7);
	assert_int_equal(fix_read(f, VGPU_REG_SHM_SIZE_LO), FIX_MEMORY);
	assert_int_equal(fix_read(f, VGPU_REG_SHM_SIZE_HI), 0);
	assert_int_equal(fix_read(f, VGPU_REG_CHANNELS), FIX_CHANNELS);
	assert_int_equal(fix_read(f, VGPU_REG_LINK), 0);
	assert_int_equal(fix_read(f, VGPU_REG_LINK_EPOCH), 0);
}

static void test_scratch(void **state)
{
	struct fixture *f = *state;

	fix_create(f);
	fix_write(f, VGPU_REG_SCRATCH, 0xdeadbeef);
	assert_int_equal(fix_read(f, VGPU_REG_SCRATCH), 0xdeadbeef);
	fix_write(f, VGPU_REG_ID, 1);
	assert_int_equal(fix_read(f, VGPU_REG_ID), VGPU_DEVICE_ID_VALUE);
	vgpu_stub_reset(f->stub);
	assert_int_equal(fix_read(f, VGPU_REG_SCRATCH), 0);
}

static void test_access_counters(void **state)
{
	struct fixture *f = *state;
	uint64_t reads, writes;

	fix_create(f);
	reads = fix_read64(f, VGPU_REG_CNT_MMIO_R);
	writes = fix_read64(f, VGPU_REG_CNT_MMIO_W);
	/* The second read of the first pair, and the pair after it, were three reads. */
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_MMIO_R), reads + 4);
	fix_write(f, VGPU_REG_SCRATCH, 1);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_MMIO_W), writes + 1);
	assert_int_equal(vgpu_stub_mmio_read(f->stub, VGPU_REG_CNT_MMIO_W, 8), writes + 1);
}

struct access {
	uint64_t offset;
	unsigned int size;
};

/* Whatever width and place: reads 0, does nothing, is counted, is told once. */
static void test_stray_accesses(void **state)
{
	static const struct access bad[] = {
		{ VGPU_REG_ID, 1 }, { VGPU_REG_ID, 2 }, { VGPU_REG_ID + 1, 4 },
		{ VGPU_REG_VERSION, 8 }, { VGPU_REG_ID, 3 }, { 0x0f0, 4 }, { 0x13c, 4 },
		{ VGPU_REG_DOORBELL + 4 * FIX_CHANNELS, 4 }, { VGPU_BAR0_SIZE - 4, 4 },
		{ VGPU_BAR0_SIZE, 4 }, { UINT64_MAX, 4 }, { UINT64_MAX - 7, 8 }, { 0x800, 0 },
	};
	struct fixture *f = *state;
	unsigned int n = sizeof(bad) / sizeof(bad[0]);
	uint64_t before;
	unsigned int i, told;

	fix_create(f);
	before = fix_read64(f, VGPU_REG_CNT_STRAY);
	for (i = 0; i < n; i++)
		assert_int_equal(vgpu_stub_mmio_read(f->stub, bad[i].offset, bad[i].size), 0);
	for (i = 0; i < n; i++)
		vgpu_stub_mmio_write(f->stub, bad[i].offset, ~0ull, bad[i].size);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_STRAY) - before, 2 * n);
	told = f->traces;
	assert_true(told > 0 && told <= 2 * n);
	for (i = 0; i < n; i++)
		vgpu_stub_mmio_read(f->stub, bad[i].offset, bad[i].size);
	assert_int_equal(f->traces, told);
}

/* An aligned 8-byte read is two registers, each of which may be none. */
static void test_wide_read(void **state)
{
	struct fixture *f = *state;

	fix_create(f);
	assert_int_equal(vgpu_stub_mmio_read(f->stub, VGPU_REG_ID, 8),
			 VGPU_DEVICE_ID_VALUE | (uint64_t)VGPU_PROTOCOL_VERSION << 32);
	vgpu_stub_mmio_write(f->stub, VGPU_REG_CHANNEL_CLOSE, ~0ull, 8);
	assert_int_equal(fix_read(f, VGPU_REG_SCRATCH), 0);
}

static void test_doorbell_without_session(void **state)
{
	struct fixture *f = *state;

	fix_create(f);
	fix_write(f, VGPU_REG_DOORBELL + 4, 1);
	fix_wait_counter(f, VGPU_REG_CNT_WAKE_FAIL, 1);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_DOORBELLS), 1);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_WAKES), 0);
	assert_int_equal(fix_read(f, VGPU_REG_FOLD), 0);
}

static void test_open_without_mediator(void **state)
{
	struct fixture *f = *state;

	fix_create(f);
	fix_guest_open(f, 2);
	fix_wait_state(f, 2, VGPU_HOST_REFUSED, VGPU_HOST_NO_MEDIATOR);
	assert_non_null(strstr(fix_ctl(f, 2)->host_text, "mediator"));
	/* A channel that does not exist harms nothing. */
	fix_write(f, VGPU_REG_CHANNEL_OPEN, FIX_CHANNELS);
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, ~0u);
	assert_true(fix_read64(f, VGPU_REG_CNT_STRAY) >= 2);
}

/* CLOSE of a channel that only claims to be alive. */
static void test_close_left_over(void **state)
{
	struct fixture *f = *state;

	fix_create(f);
	atomic_store(&fix_ctl(f, 1)->host_state, VGPU_HOST_READY);
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, 1);
	fix_wait_state(f, 1, VGPU_HOST_DEAD, VGPU_HOST_CLOSED);
	assert_int_equal(atomic_load(&fix_ctl(f, 0)->host_state), VGPU_HOST_NONE);
}

static void test_memory(void **state)
{
	struct fixture *f = *state;
	const struct vgpu_shm_header *h;
	struct stat st;
	int fd;

	f->config.pages = VGPU_STUB_PAGES_OFF;	/* sparse */
	fix_create(f);
	h = (const void *)f->base;
	assert_true(h->magic == VGPU_SHM_MAGIC);
	assert_int_equal(h->total_size, FIX_MEMORY);
	assert_int_equal(h->channel_count, FIX_CHANNELS);
	assert_int_equal(h->vm_id, 7);
	fd = vgpu_stub_memfd(f->stub);
	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, (off_t)FIX_MEMORY * 2), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, FIX_MEMORY);
	assert_true(st.st_blocks * 512 < 1 << 20);
}

static void test_reset_restores_header(void **state)
{
	struct fixture *f = *state;
	struct vgpu_shm_header *h;
	uint64_t end = fix_now_ms() + FIX_WAIT_MS;

	fix_create(f);
	h = (void *)f->base;
	memset(h, 0xff, 128);
	vgpu_stub_reset(f->stub);
	while (__atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != VGPU_SHM_MAGIC) {
		assert_true(fix_now_ms() < end);
		fix_nap();
	}
	assert_int_equal(h->total_size, FIX_MEMORY);
}

static void test_largest_memory(void **state)
{
	struct fixture *f = *state;
	char err[256] = "";
	struct stat st;

	f->config.memory = VGPU_SHM_MAX_SIZE;
	f->config.channels = 0;
	f->config.pages = VGPU_STUB_PAGES_OFF;
	assert_int_equal(vgpu_stub_create(&f->stub, &f->config, NULL, err, sizeof(err)), 0);
	assert_int_equal(fix_read(f, VGPU_REG_SHM_SIZE_LO), 0);
	assert_int_equal(fix_read(f, VGPU_REG_SHM_SIZE_HI), 16);
	assert_int_equal(fix_read(f, VGPU_REG_CHANNELS), VGPU_MAX_CHANNELS);
	assert_int_equal(fstat(vgpu_stub_memfd(f->stub), &st), 0);
	assert_true(st.st_blocks * 512 < 1 << 20);
}

static void refused_as(struct fixture *f, int code, const char *expected)
{
	struct vgpu_stub *s = NULL;
	char err[256] = "";

	assert_int_equal(vgpu_stub_create(&s, &f->config, NULL, err, sizeof(err)), code);
	assert_null(s);
	if (!strstr(err, expected))
		fail_msg("'%s' does not say '%s'", err, expected);
}

static void refused(struct fixture *f, const char *expected)
{
	refused_as(f, -EINVAL, expected);
}

/* Every refusal says what is accepted. */
static void test_bad_configuration(void **state)
{
	static const uint64_t sizes[] = { 1, 3ull << 30, VGPU_SHM_MIN_SIZE / 2,
					  VGPU_SHM_MAX_SIZE * 2, UINT64_MAX };
	struct fixture *f = *state;
	char path[200];
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		f->config.memory = sizes[i];
		refused(f, "power of two from 64M to 64G");
	}
	f->config.memory = FIX_MEMORY;
	f->config.channels = 17;
	refused(f, "accepted is 1 to 16 with memory of 64M");
	f->config.channels = 1;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	f->config.socket_path = path;
	refused(f, "accepted is 1 to 107 bytes");
	f->config.socket_path = "";
	refused(f, "accepted is 1 to 107 bytes");
}

/* Pages of 2 MiB that somebody may still take. */
static long huge_pages_left(void)
{
	long all = 0, reserved = 0, kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		(void)!sscanf(line, "HugePages_Free: %ld", &all);
		(void)!sscanf(line, "HugePages_Rsvd: %ld", &reserved);
		(void)!sscanf(line, "Hugepagesize: %ld", &kib);
	}
	fclose(f);
	return kib == 2048 ? all - reserved : 0;
}

static long page_bytes(struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstat(vgpu_stub_memfd(f->stub), &st), 0);
	return st.st_blksize;
}

/* On a machine without reserved pages `auto` does without and `on` refuses; with them both take them. */
static void test_huge_pages(void **state)
{
	const long needed = FIX_MEMORY >> 21;
	struct fixture *f = *state;
	long left = huge_pages_left();

	f->config.pages = VGPU_STUB_PAGES_OFF;
	fix_create(f);
	assert_int_equal(huge_pages_left(), left);
	assert_int_equal(fix_count_log(f, "huge pages"), 0);
	fix_destroy(f);
	f->config.pages = VGPU_STUB_PAGES_AUTO;
	fix_create(f);
	assert_int_equal(left - huge_pages_left(), left < needed ? 0 : needed);
	assert_int_equal(fix_count_log(f, "memory of 64M in huge pages"), left >= needed);
	fix_destroy(f);
	f->config.pages = VGPU_STUB_PAGES_ON;
	if (left < needed) {
		refused_as(f, -ENOMEM, "raise vm.nr_hugepages, or say hugepages=auto");
		return;
	}
	fix_create(f);
	assert_int_equal(page_bytes(f), 2 << 20);
	fix_destroy(f);
	assert_int_equal(huge_pages_left(), left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_scratch, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_access_counters, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_stray_accesses, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_wide_read, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_doorbell_without_session, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_open_without_mediator, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_close_left_over, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_memory, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_reset_restores_header, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_largest_memory, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_huge_pages, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_bad_configuration, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests_name("stub registers", tests, NULL, NULL);
}
