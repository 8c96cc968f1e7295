/* SPDX-License-Identifier: MIT */
/*
 * Asks /proc/self/maps: Linux from 6.11 on by PROCMAP_QUERY (Documentation/filesystems/proc.rst), which finds a mapping among
 * thousands as fast as the only one; others as text, a line for each mapping, by address, "START-END PERMISSIONS OFFSET
 * DEVICE INODE PATH" (proc(5)), of which a buffer of this thread's stack holds some lines at a time. Owns nothing.
 */
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER	8192u	/* bytes; a line ends within PATH_MAX and some 80 more */
#define STACK	"[stack]"

/* What PROCMAP_QUERY takes and fills in; linux/fs.h has it since 6.11 only. */
struct query {
	uint64_t size;		/* in: of this */
	uint64_t wanted;	/* in: OR_NEXT */
	uint64_t address;	/* in */
	uint64_t start, end;
	uint64_t flags;
	uint64_t page_size;
	uint64_t offset;
	uint64_t inode;
	uint32_t device_major, device_minor;
	uint32_t name_bytes;	/* in: room; out: with the 0 at its end, 0: it has none */
	uint32_t build_id_bytes;
	uint64_t name;		/* in: where it is to be written */
	uint64_t build_id;
};

#define QUERY		_IOWR('f', 17, struct query)
#define READABLE	1u
#define WRITABLE	2u
#define EXECUTABLE	4u
#define SHARED		8u
#define OR_NEXT		16u	/* where there is no mapping, the next one */

_Static_assert(sizeof(struct query) == 104, "the kernel's");

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
	a->stack = strstr(at, STACK);
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

/* -errno: it has to be read. */
static int ask(int fd, uint64_t from, uint64_t to, struct vgpu_area *areas, int most)
{
	char name[PATH_MAX];
	struct query q;
	int count = 0;

	for (; count < most; from = q.end) {
		q = (struct query){ .size = sizeof(q), .wanted = OR_NEXT, .address = from, .name_bytes = sizeof(name),
				    .name = (uint64_t)(uintptr_t)name };
		if (ioctl(fd, QUERY, &q)) {
			if (errno == ENOENT)
				break;
			return -errno;
		}
		if (q.start >= to)
			break;
		areas[count] = (struct vgpu_area){
			.start = q.start, .end = q.end, .offset = q.offset,
			.prot = (q.flags & READABLE ? PROT_READ : 0) | (q.flags & WRITABLE ? PROT_WRITE : 0) |
				(q.flags & EXECUTABLE ? PROT_EXEC : 0),
			.shared = q.flags & SHARED, .stack = q.name_bytes && !strcmp(name, STACK),
		};
		cut(&areas[count++], from, to);
	}
	return count;
}

static int read_lines(int fd, uint64_t from, uint64_t to, struct vgpu_area *areas, int most)
{
	size_t have = 0, used;
	char buffer[BUFFER];
	bool done = false;
	int count = 0;
	ssize_t n;

	while (!done && (n = read(fd, buffer + have, sizeof(buffer) - 1 - have)) > 0) {
		have += (size_t)n;
		buffer[have] = '\0';
		used = take_lines(buffer, from, to, areas, most, &count, &done);
		have -= used;
		memmove(buffer, buffer + used, have);
	}
	return count;
}

int vgpu_maps_read(uint64_t from, uint64_t to, struct vgpu_area *areas, int most)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), count;

	if (fd < 0)
		return -errno;
	count = ask(fd, from, to, areas, most);
	if (count < 0)
		count = read_lines(fd, from, to, areas, most);
	close(fd);
	return count;
}
