/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Life of a stub: create() builds memory, channels and the link, then starts
 * the thread; destroy() goes the other way.  Both run on the owner's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define BACKOFF_MIN_MS	50
#define BACKOFF_MAX_MS	2000
#define HANDSHAKE_MS	5000

static void stub_configure(struct vgpu_stub *s, const struct vgpu_stub_config *config)
{
	struct vgpu_stub_config *c = &s->config;

	*c = *config;
	c->socket_path = c->name = NULL;
	if (!c->memory)
		c->memory = VGPU_SHM_DEFAULT_SIZE;
	if (!c->channels)
		c->channels = vgpu_shm_default_channels(c->memory);
	if (!c->backoff_min_ms)
		c->backoff_min_ms = BACKOFF_MIN_MS;
	if (!c->backoff_max_ms)
		c->backoff_max_ms = BACKOFF_MAX_MS;
	if (!c->handshake_ms)
		c->handshake_ms = HANDSHAKE_MS;
	snprintf(s->name, sizeof(s->name), "%s", config->name ? config->name : "");
	s->random = stub_now_ns() * 2654435761u + c->vm_id + 1;
}

static int stub_build(struct vgpu_stub *s, const char *path, char *err, size_t err_size)
{
	int rc = stub_memory_create(s, err, err_size);

	if (!rc)
		rc = stub_window_create(s, err, err_size);
	if (!rc)
		rc = stub_link_create(s, path ? path : VGPU_DEFAULT_SOCKET, err, err_size);
	if (!rc)
		rc = stub_channels_create(s, err, err_size);
	if (rc)
		return rc;
	s->control_fd = eventfd(0, EFD_CLOEXEC);
	if (s->control_fd < 0) {
		rc = -errno;
		snprintf(err, err_size, "eventfd: %s", strerror(-rc));
	}
	return rc;
}

static struct vgpu_stub *stub_alloc(const struct vgpu_stub_config *config,
				    const struct vgpu_stub_ops *ops)
{
	struct vgpu_stub *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (ops)
		s->ops = *ops;
	s->memfd = s->window.memfd = s->control_fd = s->link.fd = -1;
	pthread_mutex_init(&s->window.lock, NULL);
	pthread_mutex_init(&s->start_lock, NULL);
	pthread_cond_init(&s->start_cond, NULL);
	stub_configure(s, config);
	return s;
}

int vgpu_stub_create_idle(struct vgpu_stub **out, const struct vgpu_stub_config *config,
			  const struct vgpu_stub_ops *ops, char *err, size_t err_size)
{
	struct vgpu_stub *s = stub_alloc(config, ops);
	int rc;

	if (!s) {
		snprintf(err, err_size, "no memory");
		return -ENOMEM;
	}
	rc = stub_build(s, config->socket_path, err, err_size);
	if (rc) {
		vgpu_stub_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

int vgpu_stub_create(struct vgpu_stub **out, const struct vgpu_stub_config *config,
		     const struct vgpu_stub_ops *ops, char *err, size_t err_size)
{
	struct vgpu_stub *s = NULL;
	int rc = vgpu_stub_create_idle(&s, config, ops, err, err_size);

	if (rc)
		return rc;
	rc = stub_loop_start(s, err, err_size);
	if (rc) {
		vgpu_stub_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

void vgpu_stub_destroy(struct vgpu_stub *s)
{
	if (!s)
		return;
	stub_loop_stop(s);
	stub_channels_destroy(s);
	stub_window_destroy(s);
	stub_memory_destroy(s);
	if (s->control_fd >= 0)
		close(s->control_fd);
	pthread_cond_destroy(&s->start_cond);
	pthread_mutex_destroy(&s->start_lock);
	pthread_mutex_destroy(&s->window.lock);
	free(s);
}

void vgpu_stub_reset(struct vgpu_stub *s)
{
	uint32_t i;

	for (i = 0; i < s->channel_count; i++)
		atomic_store(&s->channels[i].request, STUB_REQ_CLOSE);
	atomic_store(&s->scratch, 0);
	stub_window_reset(s);
	atomic_store(&s->reset, 1);
	atomic_fetch_or(&s->requests, ~0ull);
	stub_loop_kick(s);
}

int vgpu_stub_doorbell_fd(const struct vgpu_stub *s, uint32_t channel)
{
	return channel < s->channel_count ? s->channels[channel].doorbell_fd : -1;
}

int vgpu_stub_memfd(const struct vgpu_stub *s)
{
	return s->memfd;
}

uint64_t vgpu_stub_memory_size(const struct vgpu_stub *s)
{
	return s->geometry.total_size;
}

uint32_t vgpu_stub_channels(const struct vgpu_stub *s)
{
	return s->channel_count;
}

int vgpu_stub_window_memfd(const struct vgpu_stub *s)
{
	return s->window.memfd;
}
