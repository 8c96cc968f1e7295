/* SPDX-License-Identifier: MIT */
/*
 * What sessions of one VM share with each other: a table from tokens, which guests pass on, to what workers need in
 * order to open it, which no guest ever sees.  A token is 128 random bits; it is honoured only for sessions of the VM
 * whose session exported it, and, where there is no VM, of the same user.  An entry goes when its worker withdraws it, or
 * with the session that made it: who has opened it by then keeps it.
 */
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

#define SHARES_MOST	4096u	/* of a session: each may hold a descriptor */

struct share {
	struct list link;		/* of the session that exported it */
	struct vgpu_ctl_share what;
	int fd;				/* -1: none */
};

static void share_free(struct session *s, struct share *sh)
{
	list_del(&sh->link);
	s->share_count--;
	if (sh->fd >= 0)
		close(sh->fd);
	vgpu_free(sh);
}

void shares_end(struct session *s)
{
	list_each_safe(at, &s->shares)
		share_free(s, container_of(at, struct share, link));
}

/* The worker waits for this. `fd`: -1: none. */
static void share_answer(struct session *s, struct vgpu_ctl_share *m, bool found, int fd)
{
	m->found = found;
	vgpu_msg_init(&m->h, VGPU_CTL_SHARED, sizeof(*m));
	if (vgpu_msg_send(s->worker->control, &m->h, &fd, fd >= 0))
		session_end(s, VGPU_HOST_WORKER_DIED, "the worker does not read its messages");
}

static void share_export(struct session *s, struct vgpu_ctl_share *m, struct vgpu_packet *packet)
{
	struct share *sh = s->share_count < SHARES_MOST ? vgpu_zalloc(sizeof(*sh)) : NULL;
	struct vgpu_log_ids ids = session_ids(s);

	if (sh) {
		sh->what = *m;
		sh->fd = -1;
		if (packet->fd_count) {
			sh->fd = packet->fds[0];
			packet->fds[0] = packet->fds[--packet->fd_count];
		}
		list_add_before(&sh->link, &s->shares);
		s->share_count++;
	} else {
		vgpu_log(VGPU_LOG_WARNING, &ids, "[CONNECTION] the session shares too much: %u pieces", s->share_count);
	}
	share_answer(s, m, sh != NULL, -1);
}

/* A session can only take back what is its own. */
static void share_withdraw(struct session *s, const struct vgpu_ctl_share *m)
{
	list_each_safe(at, &s->shares) {
		struct share *sh = container_of(at, struct share, link);

		if (!memcmp(sh->what.token, m->token, VGPU_TOKEN_BYTES)) {
			share_free(s, sh);
			return;
		}
	}
}

/* May a session have what another one exported? */
static bool may_share(const struct session *to, const struct session *from)
{
	return to->vm == from->vm && (!to->vm->unix_transport || to->uid == from->uid);
}

static const struct share *share_find(const struct session *to, const struct vgpu_ctl_share *asked)
{
	list_each(at, &to->sup->sessions) {
		const struct session *from = container_of(at, struct session, link);

		if (!may_share(to, from))
			continue;
		list_each(one, &from->shares) {
			const struct share *sh = container_of(one, struct share, link);

			if (sh->what.kind == asked->kind && !memcmp(sh->what.token, asked->token, VGPU_TOKEN_BYTES))
				return sh;
		}
	}
	return NULL;
}

static void share_import(struct session *s, struct vgpu_ctl_share *m)
{
	const struct share *sh = share_find(s, m);

	if (sh)
		*m = sh->what;
	share_answer(s, m, sh != NULL, sh ? sh->fd : -1);
}

void share_message(struct session *s, struct vgpu_packet *packet)
{
	struct vgpu_ctl_share m;

	memcpy(&m, packet->bytes, sizeof(m));
	if (m.h.type == VGPU_CTL_EXPORT)
		share_export(s, &m, packet);
	else if (m.h.type == VGPU_CTL_IMPORT)
		share_import(s, &m);
	else if (m.h.type == VGPU_CTL_WITHDRAW)
		share_withdraw(s, &m);
}
