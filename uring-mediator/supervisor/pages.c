/* SPDX-License-Identifier: MIT */
/*
 * Of which pages the memory shared with a guest is made, for logs and status.  Pages set aside by vm.nr_hugepages show in
 * the file itself.  Transparent ones do not: worker, shim and QEMU ask for them with madvise(), and whether that does
 * anything is one setting of this host, read when a session or VM comes.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "supervisor.h"

#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* The setting in force is in brackets: "always within_size [advise] never deny force". */
static bool transparent_on_request(void)
{
	static const char *const giving[] = { "[always]", "[within_size]", "[advise]", "[force]" };
	int fd = open(SHMEM_ENABLED, O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	bool gives = false;

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) > 0)
		for (size_t i = 0; i < sizeof(giving) / sizeof(giving[0]); i++)
			gives |= strstr(text, giving[i]) != NULL;
	close(fd);
	return gives;
}

const char *pages_of(int memfd)
{
	struct statfs fs;

	if (!fstatfs(memfd, &fs) && fs.f_type == HUGETLBFS_MAGIC)
		return "reserved";
	return transparent_on_request() ? "transparent" : "small";
}
