/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the driver that checks its caller have of each other.  fake_driver.c owns the objects, fake_memory.c
 * the device memory; every fake_check_*() ends the program if what it is given is not what a driver may be given.
 */
#ifndef VGPU_TEST_FAKE_PARTS_H
#define VGPU_TEST_FAKE_PARTS_H

#include <stdbool.h>

#include "fake_driver.h"

struct fake_object {
	uint64_t magic;
	enum vgpu_handle_kind kind;
	struct fake_object *owner;	/* dies with it */
	struct fake_object *next, **link;
	unsigned int type;		/* of a graph node */
	uint64_t at, bytes;		/* memory of a mem alloc node */
	struct fake_object *made_of;	/* graph of an executable; may be gone */
	uint64_t references;		/* to a user object */
	CUhostFn gone;
	void *data;
};

extern struct fake_object *fake_objects;
extern struct vgpu_session *fake_present;

void fake_insist(bool ok, const char *what);
void *fake_make(enum vgpu_handle_kind kind, struct fake_object *owner);
/* Freed memory is ASan's to find; a foreign address is found by looking at the list first. */
struct fake_object *fake_check(const void *handle, enum vgpu_handle_kind kind);
void fake_destroy(struct fake_object *o);
void fake_check_stream(CUstream s);
bool fake_inside(const void *p, uint64_t size, const void *start, uint64_t length);
bool fake_in_arena(const void *p, uint64_t size);
/* Host memory that is read: in the arena or in the command. */
void fake_check_source(const void *p, uint64_t size);

/* ---- fake_memory.c ---- */

void fake_memory_reset(void);
/* Memory that was freed is there again, at the same address. */
void fake_memory_restore(uint64_t at, uint64_t bytes);
CUresult fake_alloc(CUdeviceptr *p, size_t bytes);
void fake_check_device(CUdeviceptr at, uint64_t size);
/* Device memory or arena. */
void fake_check_any(CUdeviceptr at, uint64_t size);

/* ---- fake_code.c ---- */

/* A function or a kernel. */
void fake_check_function(CUfunction f);

/* ---- fake_graph.c ---- */

/* Call the destructors of user objects without references, as a thread of the driver does at some time. */
void fake_user_objects_run(void);

/* Each part's slots of the table. */
void fake_fill_memory(struct vgpu_driver *t);
void fake_fill_arrays(struct vgpu_driver *t);
void fake_fill_streams(struct vgpu_driver *t);
void fake_fill_code(struct vgpu_driver *t);
void fake_fill_graphs(struct vgpu_driver *t);
void fake_fill_green(struct vgpu_driver *t);

#endif
