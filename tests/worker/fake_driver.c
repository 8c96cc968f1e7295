/* SPDX-License-Identifier: MIT */
/* Objects of the driver that checks its caller, its contexts, and the session on it; see fake_driver.h. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_parts.h"

#define SHM_SIZE (64ull << 20)
#define OBJECT_MAGIC 0x6f626a6563743031ull

struct fake_driver fake;
struct fake_object *fake_objects;
struct vgpu_session *fake_present;
static struct vgpu_driver table;

void fake_insist(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the driver was given %s\n", what);
	abort();
}

void *fake_make(enum vgpu_handle_kind kind, struct fake_object *owner)
{
	struct fake_object *o = calloc(1, sizeof(*o));

	fake_insist(o, "no memory");
	*o = (struct fake_object){ .magic = OBJECT_MAGIC, .kind = kind, .owner = owner, .next = fake_objects,
				   .link = &fake_objects };
	if (fake_objects)
		fake_objects->link = &o->next;
	fake_objects = o;
	fake.live++;
	return o;
}

struct fake_object *fake_check(const void *handle, enum vgpu_handle_kind kind)
{
	for (struct fake_object *o = fake_objects; o; o = o->next) {
		if (o == handle) {
			fake_insist(o->kind == kind, "an object of another kind");
			return o;
		}
	}
	fake_insist(false, "an object that does not live");
	return NULL;
}

void fake_destroy(struct fake_object *o)
{
	struct fake_object *c, *next;

	*o->link = o->next;
	if (o->next)
		o->next->link = o->link;
	for (c = fake_objects; c; c = next) {
		next = c->next;
		if (c->owner == o) {
			fake_destroy(c);
			next = fake_objects;	/* the list has changed: start again */
		}
	}
	free(o);
	fake.live--;
}

void fake_check_stream(CUstream s)
{
	if (s)
		fake_check(s, VGPU_HANDLE_STREAM);
}

bool fake_inside(const void *p, uint64_t size, const void *start, uint64_t length)
{
	uint64_t at = (uint64_t)(uintptr_t)p - (uint64_t)(uintptr_t)start;

	return at <= length && size <= length - at;
}

bool fake_in_arena(const void *p, uint64_t size)
{
	return fake_inside(p, size, fake_present->base + fake_present->geo.arena_at,
			   fake_present->geo.total_size - fake_present->geo.arena_at) ||
	       vgpu_host_range_at(fake_present, (uint64_t)(uintptr_t)p, size);
}

void fake_check_source(const void *p, uint64_t size)
{
	fake_insist(fake_in_arena(p, size) || fake_inside(p, size, fake_present->command, sizeof(fake_present->command)),
	       "a host source outside the arena and the command");
}

static CUresult f_init(unsigned int flags)
{
	(void)flags;
	return CUDA_SUCCESS;
}

static CUresult f_set_current(CUcontext c)
{
	fake.calls++;
	fake.current = c;
	return CUDA_SUCCESS;
}

static CUresult f_retain(CUcontext *c, CUdevice d)
{
	static struct fake_object primary = { .magic = OBJECT_MAGIC, .kind = VGPU_HANDLE_CONTEXT };

	fake.calls++;
	*c = (CUcontext)&primary;
	return d ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

static CUresult f_ctx_create(CUcontext *c, unsigned int flags, CUdevice d)
{
	(void)flags;
	(void)d;
	fake.calls++;
	*c = fake_make(VGPU_HANDLE_CONTEXT, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_ctx_destroy(CUcontext c)
{
	fake_destroy(fake_check(c, VGPU_HANDLE_CONTEXT));
	return CUDA_SUCCESS;
}

/* For all slots that are not written out: takes anything, does nothing. */
static CUresult f_anything(void)
{
	return fake.result;
}

const struct vgpu_driver *fake_driver(void)
{
	CUresult (*any)(void) = f_anything;

	for (size_t i = 0; i < VGPU_DRIVER_SLOTS; i++)
		memcpy((char *)&table + vgpu_driver_slots[i].offset, &any, sizeof(any));
	table.cuInit = f_init;
	table.cuCtxSetCurrent = f_set_current;
	table.cuDevicePrimaryCtxRetain = f_retain;
	table.cuCtxCreate_v2 = f_ctx_create;
	table.cuCtxDestroy_v2 = f_ctx_destroy;
	fake_fill_memory(&table);
	fake_fill_arrays(&table);
	fake_fill_streams(&table);
	fake_fill_code(&table);
	fake_fill_graphs(&table);
	fake_fill_green(&table);
	return &table;
}

void fake_reset(void)
{
	while (fake_objects)
		fake_destroy(fake_objects);
	fake_memory_reset();
	fake = (struct fake_driver){ .param_count = 2 };
}

struct vgpu_session *fake_session(void)
{
	static struct vgpu_device device;
	struct vgpu_worker_stats *stats = calloc(1, sizeof(*stats));

	fake_reset();
	device = (struct vgpu_device){ .drv = fake_driver(), .count = 1 };
	device.drv->cuDevicePrimaryCtxRetain(&device.primary, 0);
	fake_present = vgpu_session_new(&device, stats);
	fake_insist(stats && fake_present && !vgpu_shm_geometry(&fake_present->geo, SHM_SIZE, 2), "no memory");
	fake_present->base = mmap(NULL, SHM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fake_insist(fake_present->base != MAP_FAILED, "no memory");
	fake_present->memory_fd = memfd_create("windows", MFD_CLOEXEC);
	fake_insist(fake_present->memory_fd >= 0 && !ftruncate(fake_present->memory_fd, SHM_SIZE), "no memory");
	fake_present->channel = vgpu_shm_channel(fake_present->base, &fake_present->geo, 1);
	vgpu_consumer_init(&fake_present->consumer, &fake_present->channel->ring, fake_present->channel->ring_data,
			   VGPU_RING_BYTES);
	return fake_present;
}

void fake_session_free(struct vgpu_session *s)
{
	struct vgpu_worker_stats *stats = s->stats;

	fake.result = CUDA_SUCCESS;
	vgpu_session_free(s);
	fake_user_objects_run();
	free(stats);
}

int fake_execute(struct vgpu_session *s, const struct vgpu_cmd *header, const void *args, const void *payload)
{
	uint8_t *p = s->command + sizeof(*header);

	memcpy(s->command, header, sizeof(*header));
	if (header->args_size)
		memcpy(p, args, header->args_size);
	if (header->payload_size)
		memcpy(p + header->args_size, payload, header->payload_size);
	return vgpu_request_execute(s);
}
