/* SPDX-License-Identifier: MIT */
/* Confinement of the worker, see confine.h. Runs once, before a session. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
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

static int become(const char *user, char *why, size_t size)
{
	struct passwd *pw = getpwnam(user);

	if (!pw) {
		snprintf(why, size, "user %s does not exist", user);
		return -ENOENT;
	}
	if (setgroups(0, NULL) || setgid(pw->pw_gid) || setuid(pw->pw_uid)) {
		snprintf(why, size, "cannot become user %s: %s", user, strerror(errno));
		return -EPERM;
	}
	return 0;
}

int vgpu_confine(const char *user, char *why, size_t size)
{
	const struct rlimit none = { 0, 0 };
	int ret = user && geteuid() == 0 ? become(user, why, size) : 0;

	if (ret)
		return ret;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setrlimit(RLIMIT_CORE, &none)) {
		snprintf(why, size, "cannot confine the process: %s", strerror(errno));
		return -EPERM;
	}
	return 0;
}
