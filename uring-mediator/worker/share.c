/* SPDX-License-Identifier: MIT */
/*
 * What sessions of one VM share with each other.  What the guest gets is never a handle of the driver but a token, a
 * random number that the supervisor keeps for the session that exported it and exchanges for the real thing, and only for
 * sessions of the same VM.  Asking it is the one thing in a command that another process of ours has to answer; the
 * supervisor never blocks, and an answer that does not come is an error.  The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "io.h"
#include "log.h"
#include "share.h"

/* ---- exchange with the supervisor ---- */

/* Send what *m says, with a descriptor or -1. The answer comes in *m; *got is what came with it, the caller's, or -1. */
static CUresult ask(struct vgpu_session *s, enum vgpu_control_type type, struct vgpu_ctl_share *m, int fd, int *got)
{
	uint8_t token[VGPU_TOKEN_BYTES];

	memcpy(token, m->token, sizeof(token));
	vgpu_msg_init(&m->h, type, sizeof(*m));
	if (!vgpu_io_ask(s->io, &m->h, fd, VGPU_CTL_SHARED, got) && !memcmp(token, m->token, sizeof(token)))
		return CUDA_SUCCESS;
	if (*got >= 0)
		close(*got);
	*got = -1;
	return CUDA_ERROR_OPERATING_SYSTEM;
}

/*
 * Until the supervisor has it the guest does not hear of the token: the process that it gives it to might be quicker
 * than this message.
 */
static CUresult export(struct vgpu_session *s, struct vgpu_ctl_share *m, int fd)
{
	CUresult r;
	int none;

	if (!s->io)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (getrandom(m->token, sizeof(m->token), 0) != sizeof(m->token))
		return CUDA_ERROR_OPERATING_SYSTEM;
	r = ask(s, VGPU_CTL_EXPORT, m, fd, &none);
	if (none >= 0)
		close(none);
	return r || m->found ? r : CUDA_ERROR_OUT_OF_MEMORY;
}

/* If this does not reach the supervisor the entry stays there until the session ends. */
static void withdraw(struct vgpu_session *s, const struct vgpu_shared *p)
{
	struct vgpu_ctl_share m = { .kind = p->kind };

	memcpy(m.token, p->token, sizeof(m.token));
	vgpu_msg_init(&m.h, VGPU_CTL_WITHDRAW, sizeof(m));
	if (vgpu_msg_send(s->io->control, &m.h, NULL, 0))
		vgpu_log(VGPU_LOG_NOTICE, NULL, "a token could not be withdrawn");
}

CUresult vgpu_share_export(struct vgpu_session *s, struct vgpu_ctl_share *m, uint64_t key, int fd, uint8_t *token)
{
	CUresult r = export(s, m, fd);

	if (fd >= 0)
		close(fd);
	if (!r && !vgpu_share_note(s, m->token, (enum vgpu_share_kind)m->kind, key))
		r = CUDA_ERROR_OUT_OF_MEMORY;	/* the guest does not know the token: nobody can name it */
	if (!r)
		memcpy(token, m->token, VGPU_TOKEN_BYTES);
	return r;
}

CUresult vgpu_share_import(struct vgpu_session *s, const uint8_t *token, enum vgpu_share_kind kind,
			   struct vgpu_ctl_share *m, int *fd)
{
	CUresult r;

	*fd = -1;
	if (!s->io)
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(m, 0, sizeof(*m));
	memcpy(m->token, token, sizeof(m->token));
	m->kind = kind;
	r = ask(s, VGPU_CTL_IMPORT, m, -1, fd);
	if (r)
		return r;
	if (m->found)
		return CUDA_SUCCESS;
	vgpu_log(VGPU_LOG_NOTICE, NULL, "a token of another process names nothing that this session may have");
	return CUDA_ERROR_INVALID_HANDLE;
}

/* ---- what is shared ---- */

struct vgpu_shared *vgpu_share_find(const struct vgpu_session *s, enum vgpu_share_kind kind, uint64_t key)
{
	struct vgpu_shared *p;

	for (p = s->shared; p && (p->key != key || p->kind != kind); p = p->next)
		;
	return p;
}

bool vgpu_share_known(const struct vgpu_session *s, enum vgpu_share_kind kind, uint64_t key, uint8_t *token)
{
	const struct vgpu_shared *p = vgpu_share_find(s, kind, key);

	if (p)
		memcpy(token, p->token, VGPU_TOKEN_BYTES);
	return p;
}

struct vgpu_shared *vgpu_share_find_token(const struct vgpu_session *s, const uint8_t *token)
{
	struct vgpu_shared *p;

	for (p = s->shared; p && memcmp(p->token, token, VGPU_TOKEN_BYTES); p = p->next)
		;
	return p;
}

struct vgpu_shared *vgpu_share_note(struct vgpu_session *s, const uint8_t *token, enum vgpu_share_kind kind, uint64_t key)
{
	struct vgpu_shared *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	memcpy(p->token, token, sizeof(p->token));
	p->kind = kind;
	p->key = key;
	p->next = s->shared;
	s->shared = p;
	return p;
}

void vgpu_share_forget(struct vgpu_session *s, struct vgpu_shared *p)
{
	struct vgpu_shared **at = &s->shared;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

void vgpu_share_withdraw(struct vgpu_session *s, enum vgpu_share_kind kind, uint64_t key)
{
	struct vgpu_shared *p = vgpu_share_find(s, kind, key);

	if (!p)
		return;
	withdraw(s, p);
	vgpu_share_forget(s, p);
}

void vgpu_share_release(struct vgpu_session *s)
{
	while (s->shared)
		vgpu_share_forget(s, s->shared);
}
