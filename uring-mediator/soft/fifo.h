/* SPDX-License-Identifier: MIT */
/*
 * What the kernels of a context have printed and nobody has waited for yet: whole messages, as many of the newest as the
 * context's limit holds; older ones are lost, as natively. Any thread; a mutex in it guards it.
 */
#ifndef VGPU_SOFT_FIFO_H
#define VGPU_SOFT_FIFO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct soft_message;

struct soft_fifo {
	pthread_mutex_t lock;
	struct soft_message *first, **last;
	atomic_size_t limit; /* of used */
	size_t used;        /* bytes of text and SOFT_MESSAGE_BYTES for each message */
	atomic_bool filled; /* there are messages */
	atomic_bool ever;   /* there have been */
};

#define SOFT_MESSAGE_BYTES 8

void soft_fifo_open(struct soft_fifo *f, size_t limit);
/* Adds a message. Without memory for it, it is lost. */
void soft_fifo_put(struct soft_fifo *f, const char *text, size_t len);
/* Hands all messages to the configuration's print. */
void soft_fifo_flush(struct soft_fifo *f);

#endif
