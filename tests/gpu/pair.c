/* SPDX-License-Identifier: MIT */
/* Requests and descriptors to another process, and answers, see pair.h. */
#include "pair.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int take_fd(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int serve(int sock, const struct pair_kind *kind)
{
	char space[CMSG_SPACE(sizeof(int))];
	void *request = malloc(kind->request), *answer = malloc(kind->answer);
	struct iovec v = { request, kind->request };
	CUcontext ctx = NULL;

	while (request && answer) {
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space,
				    .msg_controllen = sizeof(space) };
		int fd;

		if (recvmsg(sock, &m, 0) != (ssize_t)kind->request)
			break;
		fd = take_fd(&m);
		memset(answer, 0, kind->answer);
		if (!ctx && (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx)))
			*(CUresult *)answer = CUDA_ERROR_NOT_INITIALIZED;
		else
			kind->act(request, fd, answer);
		if (fd >= 0)
			close(fd);
		if (send(sock, answer, kind->answer, 0) != (ssize_t)kind->answer)
			break;
	}
	free(request);
	free(answer);
	return 0;
}

int pair_start(struct pair *p, const struct pair_kind *kind)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -1;
	p->kind = kind;
	p->process = fork();
	if (!p->process) {
		close(sockets[0]);
		/* With its exit handlers: of a process that is gone without them a host hears late, in a VM. */
		exit(serve(sockets[1], kind));
	}
	close(sockets[1]);
	p->socket = sockets[0];
	return p->process < 0 ? -1 : 0;
}

void pair_ask(const struct pair *p, const void *request, int fd, void *answer)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { (void *)request, p->kind->request };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd >= 0) {
		m.msg_control = space;
		m.msg_controllen = sizeof(space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(p->socket, &m, 0), p->kind->request);
	assert_int_equal(recv(p->socket, answer, p->kind->answer, 0), p->kind->answer);
}

int pair_end(struct pair *p)
{
	int status = 1;

	close(p->socket);
	waitpid(p->process, &status, 0);
	return status;
}
