/* SPDX-License-Identifier: MIT */
/* Output of kernels on its way, see fifo.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "fifo.h"

struct soft_message {
	struct soft_message *next;
	size_t len;
	char text[];
};

void soft_fifo_open(struct soft_fifo *f, size_t limit)
{
	pthread_mutex_init(&f->lock, NULL);
	f->first = NULL;
	f->last = &f->first;
	f->used = 0;
	atomic_store(&f->limit, limit);
	atomic_store(&f->filled, false);
	atomic_store(&f->ever, false);
}

/* Lock held. The oldest message, for the caller to free. */
static struct soft_message *take(struct soft_fifo *f)
{
	struct soft_message *m = f->first;

	f->first = m->next;
	if (!f->first)
		f->last = &f->first;
	f->used -= m->len + SOFT_MESSAGE_BYTES;
	return m;
}

void soft_fifo_put(struct soft_fifo *f, const char *text, size_t len)
{
	size_t limit = atomic_load(&f->limit);
	struct soft_message *m = len + SOFT_MESSAGE_BYTES <= limit ? malloc(sizeof(*m) + len) : NULL;

	atomic_store(&f->ever, true);
	if (!m)
		return;
	m->next = NULL;
	m->len = len;
	memcpy(m->text, text, len);
	pthread_mutex_lock(&f->lock);
	*f->last = m;
	f->last = &m->next;
	f->used += len + SOFT_MESSAGE_BYTES;
	while (f->used > limit)
		free(take(f));
	atomic_store(&f->filled, true);
	pthread_mutex_unlock(&f->lock);
}

static void print(const struct soft_message *m)
{
	if (soft_config.print)
		soft_config.print(soft_config.ctx, m->text, m->len);
	else
		fwrite(m->text, 1, m->len, stdout);
}

void soft_fifo_flush(struct soft_fifo *f)
{
	struct soft_message *m;

	if (!atomic_load(&f->filled))
		return;
	pthread_mutex_lock(&f->lock);
	while (f->first) {
		m = take(f);
		print(m);
		free(m);
	}
	atomic_store(&f->filled, false);
	pthread_mutex_unlock(&f->lock);
}
