/* SPDX-License-Identifier: MIT */
/*
 * Reads /proc/self/maps: a line for each mapping, by address, "START-END PERMISSIONS OFFSET DEVICE INODE PATH" (proc(5)).
 * A buffer of this thread's stack holds some lines at a time. Owns nothing.
 */
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER	8192u	/* bytes; a line ends within PATH_MAX and some 80 more */

/* A hexadecimal number at *at, which moves behind it. */
static uint64_t number(const char **at)
{
	uint64_t value = 0;

	for (;; ++*at) {
		if (**at >= '0' && **at <= '9')
			value = value * 16 + (uint64_t)(**at - '0');
		else if (**at >= 'a' && **at <= 'f')
			value = value * 16 + (uint64_t)(**at - 'a') + 10;
		else
			return value;
	}
}

/* False: not a line as we know them. */
static bool parse(const char *line, struct vgpu_area *a)
{
	const char *at = line;

	a->start = number(&at);
	if (*at++ != '-')
		return false;
	a->end = number(&at);
	if (*at++ != ' ' || strlen(at) < 5)
		return false;
	a->prot = (at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) | (at[2] == 'x' ? PROT_EXEC : 0);
	a->shared = at[3] == 's';
	at += 5;
	a->offset = number(&at);
	a->stack = strstr(at, "[stack]");
	return true;
}

static void cut(struct vgpu_area *a, uint64_t from, uint64_t to)
{
	if (a->start < from) {
		a->offset += from - a->start;
		a->start = from;
	}
	if (a->end > to)
		a->end = to;
}

/* The whole lines of a buffer that ends with NUL. Bytes used; *done: nothing that comes later matters. */
static size_t take_lines(char *buffer, uint64_t from, uint64_t to, struct vgpu_area *areas, int most, int *count,
			 bool *done)
{
	char *line = buffer, *end;
	struct vgpu_area a;

	while (!*done && (end = strchr(line, '\n'))) {
		*end = '\0';
		if (parse(line, &a) && a.end > from && a.start < to) {
			cut(&a, from, to);
			areas[(*count)++] = a;
		}
		*done = a.start >= to || *count == most;
		line = end + 1;
	}
	return (size_t)(line - buffer);
}

int vgpu_maps_read(uint64_t from, uint64_t to, struct vgpu_area *areas, int most)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), count = 0;
	size_t have = 0, used;
	char buffer[BUFFER];
	bool done = false;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (!done && (n = read(fd, buffer + have, sizeof(buffer) - 1 - have)) > 0) {
		have += (size_t)n;
		buffer[have] = '\0';
		used = take_lines(buffer, from, to, areas, most, &count, &done);
		have -= used;
		memmove(buffer, buffer + used, have);
	}
	close(fd);
	return count;
}
