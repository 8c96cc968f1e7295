/* SPDX-License-Identifier: MIT */
/* The control socket: connect, one JSON line there, one JSON line back. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"

#define ANSWER_SECONDS	10
#define CHUNK		65536

/* What to do about it; "" if that is not known. */
static const char *advice(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "vgpuctl: start vgpu-mediator, or name its control socket with --control\n";
	case EACCES:
		return "vgpuctl: the control socket is for the mediator's user and for root\n";
	case EPROTOTYPE:
		return "vgpuctl: that is a socket for guests; the one for vgpuctl is control.sock beside it\n";
	}
	return "";
}

int ctl_connect(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = ANSWER_SECONDS };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path)) {
		fprintf(stderr, "vgpuctl: %s: the path is too long for a socket\n", path);
		return -ENAMETOOLONG;
	}
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		int ret = -errno;

		fprintf(stderr, "vgpuctl: no mediator at %s: %s\n%s", path, strerror(-ret), advice(-ret));
		if (fd >= 0)
			close(fd);
		return ret;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static int send_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, const char *cmd, uint32_t session, uint64_t cursor)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "{\"cmd\":\"%s\",\"session\":%u,\"cursor\":%llu}\n", cmd,
			 session, (unsigned long long)cursor);

	return send_all(fd, line, (size_t)n);
}

/* Feed the parser until the answer is whole. */
static struct json_object *read_answer(int fd, struct json_tokener *t)
{
	static char chunk[CHUNK];

	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
		struct json_object *o;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fprintf(stderr, "vgpuctl: the mediator gave no answer: %s\n",
				n ? strerror(errno) : "it closed the connection");
			return NULL;
		}
		o = json_tokener_parse_ex(t, chunk, (int)n);
		if (o)
			return o;
		if (json_tokener_get_error(t) != json_tokener_continue) {
			fprintf(stderr, "vgpuctl: the answer is no JSON: %s\n",
				json_tokener_error_desc(json_tokener_get_error(t)));
			return NULL;
		}
	}
}

struct json_object *ctl_request(int fd, const char *cmd, uint32_t session, uint64_t cursor)
{
	struct json_tokener *t;
	struct json_object *o;

	if (send_request(fd, cmd, session, cursor)) {
		fprintf(stderr, "vgpuctl: the mediator closed the connection\n");
		return NULL;
	}
	t = json_tokener_new();
	if (!t)
		return NULL;
	o = read_answer(fd, t);
	json_tokener_free(t);
	return o;
}

const char *ctl_error(struct json_object *answer)
{
	struct json_object *v;

	return json_object_object_get_ex(answer, "error", &v) ? json_object_get_string(v) : NULL;
}
