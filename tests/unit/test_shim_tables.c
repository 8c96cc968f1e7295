/* SPDX-License-Identifier: MIT */
/* What NVIDIA's libraries find: export tables, whose unused slots say who they are, and every known look-up of a name. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <gen/cuda_api.h>
#include <gen/proc_table.h>

typedef CUresult (*slot_fn)(void);

static const struct {
	const char *id;		/* its bytes */
	const char *name;	/* in the log */
	size_t size;
	size_t used[3];		/* slots, 0 behind the last */
} tables[] = {
	{ "\x6b\xd5\xfb\x6c\x5b\xf4\xe7\x4a\x89\x87\xd9\x39\x12\xfd\x9d\xf9", "interface", 80, { 2 } },
	{ "\xa0\x94\x79\x8c\x2e\x74\x2e\x74\x93\xf2\x08\x00\x20\x0c\x0a\x66", "hooks", 56, { 2, 6 } },
	{ "\x42\xd8\x5a\x81\x23\xf6\xcb\x47\x82\x98\xf6\xe7\x8a\x3a\xec\xdc", "tools", 32, { 2 } },
	{ "\x26\x3e\x88\x60\x7c\xd2\x61\x43\x92\xf6\xbb\xd5\x00\x6d\xfa\x7e", "checks", 32, { 2, 3 } },
	{ "\x21\x31\x8c\x60\x97\x14\x32\x48\x8c\xa6\x41\xff\x73\x24\xc8\xf2", "identity", 744, { 4, 39, 51 } },
	{ "\x17\x34\xdc\x26\x80\x0d\x47\x45\x87\x26\xc0\xf1\xe7\xdd\x8b\xca", "heuristics", 136, { 4 } },
	{ "\x6e\x16\x3f\xbe\xb9\x58\x44\x4d\x83\x5c\xe1\x82\xaf\xf1\x99\x1e", "plans", 792, { 7 } },
};

static int log_fd, stderr_fd;

static int catch_log(void **state)
{
	(void)state;
	log_fd = memfd_create("log", 0);
	stderr_fd = dup(STDERR_FILENO);
	return log_fd < 0 || stderr_fd < 0 || dup2(log_fd, STDERR_FILENO) < 0;
}

static int release_log(void **state)
{
	(void)state;
	return dup2(stderr_fd, STDERR_FILENO) < 0 || close(stderr_fd) || close(log_fd);
}

/* Was there a line with this in it since last time? */
static int logged(const char *text)
{
	char line[512];
	ssize_t n = pread(log_fd, line, sizeof(line) - 1, 0);

	assert_true(n >= 0);
	line[n] = '\0';
	assert_int_equal(ftruncate(log_fd, 0), 0);
	assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
	return strstr(line, text) != NULL;
}

static int is_used(const size_t *used, size_t slot)
{
	return used[0] == slot || used[1] == slot || used[2] == slot;
}

static void unused_slots_say_which(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const slot_fn *table;
		const void *found;
		CUuuid id;

		memcpy(id.bytes, tables[i].id, 16);
		assert_int_equal(cuGetExportTable(&found, &id), 0);
		table = found;
		assert_int_equal(*(const size_t *)found, tables[i].size);
		for (size_t n = 1; n < tables[i].size / sizeof(table[0]); n++) {
			char wanted[80];

			snprintf(wanted, sizeof(wanted), "slot %zu of the export table \"%s\"", n, tables[i].name);
			if (is_used(tables[i].used, n))
				continue;
			assert_int_equal(table[n](), CUDA_ERROR_NOT_SUPPORTED);
			if (!logged(wanted))
				fail_msg("no line with: %s", wanted);
			assert_int_equal(table[n](), CUDA_ERROR_NOT_SUPPORTED);
			assert_false(logged(wanted));
		}
	}
}

/* The row that a look-up means: of its name, the newest form that the version allows, of the flag's kind if there is one. */
static void *meant(const char *name, int version, int per_thread)
{
	void *best = NULL;
	int since = -1;

	for (size_t i = 0; i < VGPU_PROCS; i++) {
		const struct vgpu_proc *row = &vgpu_procs[i];

		if (strcmp(row->name, name) || row->since > version || row->per_thread != per_thread || row->since <= since)
			continue;
		since = row->since;
		best = (void *)(uintptr_t)row->fn;
	}
	return best || !per_thread ? best : meant(name, version, 0);
}

/* Each look-up that runtimes of CUDA 12 and 13 were seen to make. */
static void known_look_ups(void **state)
{
	FILE *f = fopen(PROC_ADDRESSES, "r");
	char line[256], name[128], found[8];
	int version, flags, rows = 0;

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		CUdriverProcAddressQueryResult status;
		void *fn = line;

		rows++;
		name[0] = '\0';
		if (line[0] == '\t')
			assert_int_equal(sscanf(line, " %d %d %7s", &version, &flags, found), 3);
		else
			assert_int_equal(sscanf(line, "%127s %d %d %7s", name, &version, &flags, found), 4);
		assert_int_equal(cuGetProcAddress_v2(name, &fn, version, (cuuint64_t)flags, &status), 0);
		if (!strcmp(found, "yes") != (status == CU_GET_PROC_ADDRESS_SUCCESS) || fn != meant(name, version, flags == 2))
			fail_msg("%s at %d, flags %d: status %d", name, version, flags, status);
	}
	fclose(f);
	assert_true(rows > 400);
}

/* Names whose meaning changed with CUDA 12 or 13. */
static void changed_abis(void **state)
{
	static const struct {
		const char *name;
		int version;
		void *fn;
	} cases[] = {
#define CASE(name, version, form)	{ #name, version, (void *)(uintptr_t)form }
		CASE(cuCtxGetDevice, 12090, cuCtxGetDevice), CASE(cuCtxGetDevice, 13000, cuCtxGetDevice_v2),
		CASE(cuCtxSynchronize, 12090, cuCtxSynchronize), CASE(cuCtxSynchronize, 13000, cuCtxSynchronize_v2),
		CASE(cuGetProcAddress, 11030, cuGetProcAddress), CASE(cuGetProcAddress, 13000, cuGetProcAddress_v2),
		CASE(cuMemAdvise, 12010, cuMemAdvise), CASE(cuMemAdvise, 13000, cuMemAdvise_v2),
		CASE(cuMemPrefetchAsync, 12010, cuMemPrefetchAsync), CASE(cuMemPrefetchAsync, 13000, cuMemPrefetchAsync_v2),
		CASE(cuGraphKernelNodeGetParams, 11000, cuGraphKernelNodeGetParams),
		CASE(cuGraphKernelNodeGetParams, 12000, cuGraphKernelNodeGetParams_v2),
		CASE(cuStreamGetCaptureInfo, 12000, cuStreamGetCaptureInfo_v2),
		CASE(cuStreamGetCaptureInfo, 13000, cuStreamGetCaptureInfo_v3),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *fn;

		assert_int_equal(cuGetProcAddress_v2(cases[i].name, &fn, cases[i].version, 0, NULL), 0);
		if (fn != cases[i].fn)
			fail_msg("%s at %d is another function", cases[i].name, cases[i].version);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unused_slots_say_which, catch_log, release_log),
		cmocka_unit_test(known_look_ups),
		cmocka_unit_test(changed_abis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
