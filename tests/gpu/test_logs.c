/* SPDX-License-Identifier: MIT */
/* The driver's log of errors: iterators, dumps, callbacks. What it says of which error is not specified. */
#include <unistd.h>

#include "gpu_test.h"

#define ROOM	25601u	/* all that there can be, and a NUL */

static void listen(void *data, CUlogLevel level, char *message, size_t length)
{
	(void)level;
	(void)message;
	(void)length;
	++*(int *)data;
}

static void arguments(void **state)
{
	CUlogsCallbackHandle h;
	CUlogIterator it;
	char buffer[64];
	size_t size = sizeof(buffer);
	int heard = 0;

	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuLogsCurrent(NULL, 0));
	ok(cuLogsCurrent(&it, 1));	/* nobody looks at the flags */
	expect(CUDA_ERROR_INVALID_VALUE, cuLogsDumpToMemory(NULL, NULL, &size, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuLogsDumpToMemory(NULL, buffer, &size, 1));
	expect(CUDA_ERROR_INVALID_VALUE, cuLogsDumpToFile(NULL, NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuLogsRegisterCallback(NULL, NULL, &h));
	ok(cuLogsRegisterCallback(listen, &heard, &h));
	ok(cuLogsUnregisterCallback(h));
}

/* From the end of the log there is nothing to dump. */
static void nothing_new(void **state)
{
	char buffer[64] = "not empty", path[] = "/tmp/vgpu-logs-XXXXXX";
	size_t size = sizeof(buffer);
	CUlogIterator it, at;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	ok(cuLogsCurrent(&it, 0));
	at = it;
	ok(cuLogsDumpToMemory(&it, buffer, &size, 0));
	assert_int_equal(size, 0);
	assert_int_equal(it, at);
	ok(cuLogsDumpToFile(&it, path, 0));
	close(fd);
	unlink(path);
}

/* Something that fails everywhere: whatever is said of it is in the dump, whole lines, and the iterator moves on. */
static void after_an_error(void **state)
{
	static char buffer[ROOM];
	size_t size = sizeof(buffer);
	CUlogsCallbackHandle h;
	CUlogIterator it;
	int heard = 0;
	CUgraphicsResource none = NULL;

	(void)state;
	ok(cuLogsCurrent(&it, 0));
	ok(cuLogsRegisterCallback(listen, &heard, &h));
	assert_true(cuGraphicsUnregisterResource(none) != CUDA_SUCCESS);
	ok(cuLogsUnregisterCallback(h));
	ok(cuLogsDumpToMemory(&it, buffer, &size, 0));
	assert_int_equal(strlen(buffer), size);
	assert_int_equal(size > 0, heard > 0);
	if (size)
		assert_int_equal(buffer[size - 1], '\n');
	size = sizeof(buffer);
	ok(cuLogsDumpToMemory(&it, buffer, &size, 0));
	assert_int_equal(size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments),
		cmocka_unit_test(nothing_new),
		cmocka_unit_test(after_an_error),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("logs", tests, gpu_setup, gpu_teardown);
}
