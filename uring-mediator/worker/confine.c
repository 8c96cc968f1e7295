/* SPDX-License-Identifier: MIT */
/* Confinement of the worker, see confine.h. Runs once, before a session. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "confine.h"

void vgpu_confine_descriptors(int from)
{
	close_range((unsigned int)from, ~0u, 0);
}

int vgpu_confine(char *why, size_t size)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setrlimit(RLIMIT_CORE, &none)) {
		snprintf(why, size, "cannot confine the process: %s", strerror(errno));
		return -EPERM;
	}
	return 0;
}
