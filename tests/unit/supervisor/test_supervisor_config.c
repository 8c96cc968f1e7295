/* SPDX-License-Identifier: MIT */
/* Settings: where they come from, which one wins, and what a mistake is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "log.h"

static struct config c;
static char error[512], path[] = "/tmp/vgpu-config-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	return unsetenv("VGPU_SOCKET_PATH");
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static enum config_result load(const char *text, const char *option, const char *value)
{
	char *argv[6] = { (char *)"vgpu-mediator" };
	int n = 1;
	FILE *f;

	if (text) {
		f = fopen(path, "we");
		assert_non_null(f);
		fputs(text, f);
		fclose(f);
		argv[n++] = (char *)"--config";
		argv[n++] = path;
	}
	if (option)
		argv[n++] = (char *)(uintptr_t)option;
	if (value)
		argv[n++] = (char *)(uintptr_t)value;
	return config_load(&c, n, argv, error, sizeof(error));
}

static void expect_bad(const char *text, const char *option, const char *value, const char *says)
{
	assert_int_equal(load(text, option, value), CONFIG_BAD);
	if (!strstr(error, says))
		fail_msg("'%s' does not say '%s'", error, says);
}

static void defaults_hold(void **state)
{
	(void)state;
	assert_int_equal(load(NULL, NULL, NULL), CONFIG_RUN);
	assert_string_equal(c.socket, "/run/vgpu/mediator.sock");
	assert_string_equal(c.control, "/run/vgpu/control.sock");
	assert_string_equal(c.device, "auto");
	assert_int_equal(c.pool, 2);
	assert_int_equal(c.shm_size, 1u << 30);
	assert_int_equal(c.log_level, VGPU_LOG_INFO);
	assert_int_equal(setenv("VGPU_SOCKET_PATH", "/tmp/a/b.sock", 1), 0);
	assert_int_equal(load(NULL, NULL, NULL), CONFIG_RUN);
	assert_string_equal(c.socket, "/tmp/a/b.sock");
	assert_string_equal(c.control, "/tmp/a/control.sock");
	assert_int_equal(load(NULL, "--socket", "c.sock"), CONFIG_RUN);
	assert_string_equal(c.socket, "c.sock");
	assert_string_equal(c.control, "control.sock");
	unsetenv("VGPU_SOCKET_PATH");
}

static void the_command_line_wins(void **state)
{
	const char *text = "[mediator]\npool = 7 ; as many as that\nmemory-limit = 4G\n"
			   "allow-uids = 0,1000\nsocket-mode = 0600\nsqpoll = yes\n"
			   "[vm 3]\nmax-sessions = 5\nmemory-limit = 1G\n";

	(void)state;
	assert_int_equal(load(text, "--pool", "0"), CONFIG_RUN);
	assert_int_equal(c.pool, 0);
	assert_int_equal(c.memory_limit, 4ull << 30);
	assert_int_equal(c.socket_mode, 0600);
	assert_true(c.sqpoll);
	assert_true(config_uid_allowed(&c, 1000));
	assert_false(config_uid_allowed(&c, 1001));
	assert_int_equal(config_vm_sessions(&c, 3), 5);
	assert_int_equal(config_vm_memory(&c, 3), 1ull << 30);
	assert_int_equal(config_vm_memory(&c, 4), 4ull << 30);
	assert_int_equal(load("", NULL, NULL), CONFIG_RUN);
	assert_true(config_uid_allowed(&c, 1001));
	assert_int_equal(c.kernel_timeout_ms, 0);
	assert_int_equal(c.soft_devices, 1);
	assert_int_equal(load("[mediator]\nkernel-timeout = 2\n", "--soft-devices", "3"), CONFIG_RUN);
	assert_int_equal(c.kernel_timeout_ms, 2000);
	assert_int_equal(c.soft_devices, 3);
	assert_int_equal(load(NULL, "--kernel-timeout", "1.2509"), CONFIG_RUN);
	assert_int_equal(c.kernel_timeout_ms, 1250);
}

static void mistakes_have_a_line(void **state)
{
	(void)state;
	expect_bad("[mediator]\n\npoool = 2\n", NULL, NULL, ":3: unknown key 'poool', did you mean 'pool'?");
	expect_bad("[mediator]\nxyzzyxyzzy = 2\n", NULL, NULL, ":2: unknown key 'xyzzyxyzzy'");
	expect_bad("[mediator]\npool = many\n", NULL, NULL, ":2: pool = many: must be a number");
	expect_bad("[mediator]\npool = -1\n", NULL, NULL, ":2: pool");
	expect_bad("[mediator]\ndevice = gpu\n", NULL, NULL, "must be auto, cuda or soft");
	expect_bad("[mediator]\nshm-size = 1X\n", NULL, NULL, "must be a size");
	expect_bad("[mediator]\nsocket-mode = 999\n", NULL, NULL, "octal");
	expect_bad("[mediator]\nallow-uids = root\n", NULL, NULL, "numeric user ids");
	expect_bad("[mediator]\nsocket =\n", NULL, NULL, ":2: socket");
	expect_bad("pool = 1\n", NULL, NULL, ":1: 'pool' stands before any section");
	expect_bad("[mediator]\nallow-uids = \n", NULL, NULL, "numeric user ids");
	expect_bad("[mediator]\ndevices = none\n", NULL, NULL, ":2: devices = none: must be all, or ordinals");
	expect_bad("[meditator]\npool = 1\n", NULL, NULL, "[meditator]");
	expect_bad("[vm x]\nmax-sessions = 1\n", NULL, NULL, "not a VM number");
	expect_bad("[vm 1]\nmax-session = 1\n", NULL, NULL, ":2: unknown key");
	expect_bad("[vm 1]\npool = 1\n", NULL, NULL, "those of a VM are max-sessions and memory-limit");
	expect_bad("[vm 1]\nmax-sessions = x\n", NULL, NULL, ":2: max-sessions = x: must be a number");
	expect_bad("[vm 1]\nmemory-limit = 1X\n", NULL, NULL, ":2: memory-limit = 1X: must be a size");
	expect_bad("[mediator]\nnonsense\n", NULL, NULL, ":2:");
	/* Only the first mistake is shown. */
	expect_bad("[mediator]\na = 1\npool = x\n", NULL, NULL, ":2: unknown key 'a'");
}

static void the_command_line_is_checked(void **state)
{
	char long_path[200];

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	expect_bad(NULL, "--poool", "3", "--poool: no such option");
	expect_bad(NULL, "--pool", NULL, "a value is missing");
	expect_bad(NULL, "--pool", "x", "--pool x: must be");
	expect_bad(NULL, "--kernel-timeout", "1s", "must be seconds");
	expect_bad(NULL, "--kernel-timeout", "-1", "must be seconds");
	expect_bad(NULL, "--soft-devices", "9", "soft-devices must be from 1 to 8");
	expect_bad(NULL, "stray", NULL, "stray: there are only options");
	expect_bad(NULL, "--shm-size", "100M", "power of two");
	expect_bad(NULL, "--shm-limit", "64M", "less than shm-size");
	expect_bad(NULL, "--max-sessions", "0", "must not be 0");
	expect_bad(NULL, "--socket", long_path, "--socket");
	expect_bad("[mediator]\ndevice = soft\n", "--devices", "0,1", "soft-devices");
	assert_int_equal(load("[mediator]\ndevice = cuda\n", "--devices", "GPU-12ab,1"), CONFIG_RUN);
	assert_int_equal(setenv("VGPU_SOCKET_PATH", long_path, 1), 0);
	expect_bad(NULL, NULL, NULL, "VGPU_SOCKET_PATH: the path is longer than 107 bytes");
	assert_int_equal(load(NULL, "--socket", "/tmp/a"), CONFIG_RUN);
	unsetenv("VGPU_SOCKET_PATH");
	expect_bad(NULL, "--config", "/nonexistent", "/nonexistent: No such file");
	expect_bad(NULL, "--config", "/", "/: Is a directory");
}

static void sizes_are_read(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(config_parse_size("0", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(config_parse_size("3K", &n), 0);
	assert_int_equal(n, 3072);
	assert_int_equal(config_parse_size("16777215T", &n), 0);
	assert_int_equal(config_parse_size("16777216T", &n), -EINVAL);
	assert_int_equal(config_parse_size("99999999999999999999", &n), -EINVAL);
	assert_int_equal(config_parse_size("-1", &n), -EINVAL);
	assert_int_equal(config_parse_size("", &n), -EINVAL);
	assert_int_equal(config_parse_size("1MB", &n), -EINVAL);
	assert_int_equal(config_parse_size(" 1", &n), -EINVAL);
}

static void reload_takes_what_may_change(void **state)
{
	static struct config next;
	char names[128];

	(void)state;
	assert_int_equal(load("[mediator]\npool = 1\n", NULL, NULL), CONFIG_RUN);
	next = c;
	next.pool = 5;
	next.vm_count = 1;
	next.vms[0] = (struct config_vm){ .vm_id = 9, .max_sessions = 2 };
	config_reload(&c, &next, names, sizeof(names));
	assert_string_equal(names, "");
	assert_int_equal(c.pool, 5);
	assert_int_equal(config_vm_sessions(&c, 9), 2);
	snprintf(next.socket, sizeof(next.socket), "/other");
	snprintf(next.device, sizeof(next.device), "soft");
	config_reload(&c, &next, names, sizeof(names));
	assert_string_equal(names, "socket device");
	assert_string_equal(c.device, "auto");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold),
		cmocka_unit_test(the_command_line_wins),
		cmocka_unit_test(mistakes_have_a_line),
		cmocka_unit_test(the_command_line_is_checked),
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(reload_takes_what_may_change),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
