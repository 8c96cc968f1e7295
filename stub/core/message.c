/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages from the mediator: checked here, then handed to link and channels.
 * A type has one length, one number of descriptors and a state in which it
 * may come; whatever differs ends the connection with one line that says so.
 * Descriptors that nothing took over are closed before returning.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

struct message {
	const struct vgpu_msg *h;
	int *fds;		/* a taken one is set to -1 */
	size_t fd_count;
};

/* The peer's text for people: terminated, and printable so that it cannot forge log lines. */
static void message_text(char *to, size_t size, const char *from, size_t from_size)
{
	size_t i;

	for (i = 0; i + 1 < size && i < from_size && from[i]; i++)
		to[i] = isprint((unsigned char)from[i]) ? from[i] : '?';
	to[i] = '\0';
}

static struct stub_channel *message_channel(struct vgpu_stub *s, uint32_t index)
{
	if (index < s->channel_count)
		return &s->channels[index];
	stub_link_drop(s, true, VGPU_HOST_PROTOCOL, "it named channel %u of %u", index,
		       s->channel_count);
	return NULL;
}

static void on_welcome(struct vgpu_stub *s, struct message *m)
{
	(void)m;
	stub_link_welcome(s);
}

static void on_refused(struct vgpu_stub *s, struct message *m)
{
	const struct vgpu_msg_refused *r = (const void *)m->h;
	char text[sizeof(r->text)];

	message_text(text, sizeof(text), r->text, sizeof(r->text));
	stub_link_drop(s, true, r->error ? r->error : VGPU_HOST_PROTOCOL, "it refused this VM: %s",
		       text);
}

static void on_opened(struct vgpu_stub *s, struct message *m)
{
	const struct vgpu_msg_channel *c = (const void *)m->h;
	struct stub_channel *chan = message_channel(s, c->channel);

	if (!chan)
		return;
	/* Closed meanwhile: the CLOSE is on its way, the socket is not needed. */
	if (chan->state == STUB_CHAN_CLOSING)
		return;
	if (chan->state != STUB_CHAN_OPENING || chan->send_open ||
	    c->generation != chan->generation) {
		stub_link_drop(s, true, VGPU_HOST_PROTOCOL,
			       "it opened channel %u generation %u, which was not asked for",
			       c->channel, c->generation);
		return;
	}
	stub_channel_opened(s, chan, c->session, m->fds[0]);
	m->fds[0] = -1;
}

static void on_failed(struct vgpu_stub *s, struct message *m)
{
	const struct vgpu_msg_refused *r = (const void *)m->h;
	struct stub_channel *chan = message_channel(s, r->channel);
	char text[sizeof(r->text)];

	/* In CLOSING too: a session that ends before it was opened has failed. */
	if (!chan || chan->send_open ||
	    (chan->state != STUB_CHAN_OPENING && chan->state != STUB_CHAN_CLOSING))
		return;
	message_text(text, sizeof(text), r->text, sizeof(r->text));
	stub_channel_failed(s, chan, r->error, text);
}

static void on_closed(struct vgpu_stub *s, struct message *m)
{
	const struct vgpu_msg_channel *c = (const void *)m->h;
	struct stub_channel *chan = message_channel(s, c->channel);

	/* One of an earlier generation crossed our CLOSE: already handled. */
	if (!chan || chan->state == STUB_CHAN_CLOSED || c->generation != chan->generation ||
	    chan->send_open)
		return;
	stub_channel_closed(s, chan);
}

static void on_stats_request(struct vgpu_stub *s, struct message *m)
{
	const struct vgpu_msg_stats_request *r = (const void *)m->h;

	s->link.stats_cookie = r->cookie;
	s->link.stats_wanted = true;
	stub_link_pump(s);
}

static const struct message_rule {
	uint16_t type;
	uint16_t length;
	uint16_t fds;
	enum stub_link_state state;
	void (*handle)(struct vgpu_stub *s, struct message *m);
} rules[] = {
	{ VGPU_MSG_WELCOME, sizeof(struct vgpu_msg_welcome), 0, STUB_LINK_HELLO, on_welcome },
	{ VGPU_MSG_REFUSED, sizeof(struct vgpu_msg_refused), 0, STUB_LINK_HELLO, on_refused },
	{ VGPU_MSG_CHANNEL_OPENED, sizeof(struct vgpu_msg_channel), 1, STUB_LINK_UP, on_opened },
	{ VGPU_MSG_CHANNEL_FAILED, sizeof(struct vgpu_msg_refused), 0, STUB_LINK_UP, on_failed },
	{ VGPU_MSG_CHANNEL_CLOSED, sizeof(struct vgpu_msg_channel), 0, STUB_LINK_UP, on_closed },
	{ VGPU_MSG_STATS_REQUEST, sizeof(struct vgpu_msg_stats_request), 0, STUB_LINK_UP,
	  on_stats_request },
};

static const struct message_rule *message_rule(uint16_t type)
{
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

static void message_dispatch(struct vgpu_stub *s, struct message *m, size_t size)
{
	const struct message_rule *rule;
	const struct vgpu_msg *h = m->h;

	if (size < sizeof(*h) || h->magic != VGPU_MSG_MAGIC) {
		stub_link_drop(s, true, VGPU_HOST_VERSION,
			       "what listens there is not a mediator (no such magic number)");
		return;
	}
	if (h->version >> 16 != VGPU_PROTOCOL_MAJOR) {
		stub_link_drop(s, true, VGPU_HOST_VERSION,
			       "the mediator speaks protocol %u.%u, this device %u.%u: update the older one",
			       h->version >> 16, h->version & 0xffff, VGPU_PROTOCOL_MAJOR,
			       VGPU_PROTOCOL_MINOR);
		return;
	}
	rule = message_rule(h->type);
	if (!rule || s->link.state != rule->state) {
		stub_link_drop(s, true, VGPU_HOST_PROTOCOL, "unexpected message of type %u",
			       h->type);
		return;
	}
	if (h->length != size || size != rule->length || m->fd_count < rule->fds) {
		stub_link_drop(s, true, VGPU_HOST_PROTOCOL,
			       "message of type %u with %zu bytes and %zu descriptors, not %u and %u",
			       h->type, size, m->fd_count, rule->length, rule->fds);
		return;
	}
	rule->handle(s, m);
}

/* `bytes`: aligned for struct vgpu_msg. Takes the descriptors over. */
void stub_message(struct vgpu_stub *s, const void *bytes, size_t size, int *fds, size_t fd_count)
{
	struct message m = { .h = bytes, .fds = fds, .fd_count = fd_count };
	size_t i;

	message_dispatch(s, &m, size);
	for (i = 0; i < fd_count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
