/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device logic of `vgpu-stub`, free of QEMU.
 *
 * A stub owns two memfds (the memory behind BAR2 and BAR1), one eventfd for each
 * channel (the doorbells), one connection to the mediator and one thread
 * with one io_uring that serves them all.  The caller, a QEMU device or a
 * test, only reads and writes registers; these calls touch atomics and
 * eventfds, never wait, and may come from any thread.
 *
 * Lifetimes: what create() made lives until destroy() returns, which stops
 * and joins the thread.  The caller must have stopped using descriptors and
 * registers by then.
 */
#ifndef VGPU_STUB_H
#define VGPU_STUB_H

#include <stddef.h>
#include <stdint.h>

struct vgpu_stub;

enum vgpu_stub_level {
	VGPU_STUB_ERROR,
	VGPU_STUB_WARNING,
	VGPU_STUB_INFO,
};

/* All callbacks are optional. Lines are one line each, without a newline. */
struct vgpu_stub_ops {
	void *opaque;
	/* What an operator must know; rate limited. From create() or the stub's thread. */
	void (*log)(void *opaque, enum vgpu_stub_level level, const char *line);
	/* A guest's access that no register answers, once for each. From any thread. */
	void (*trace)(void *opaque, const char *line);
};

/* Whether the memory behind BAR2 is made of the huge pages that the host's vm.nr_hugepages sets aside. */
enum vgpu_stub_pages {
	VGPU_STUB_PAGES_AUTO,		/* while there are enough, at creation */
	VGPU_STUB_PAGES_OFF,
	VGPU_STUB_PAGES_ON,		/* or create() fails */
};

struct vgpu_stub_config {
	const char *socket_path;	/* of the mediator; NULL: VGPU_DEFAULT_SOCKET */
	const char *name;		/* of the VM, for people; NULL: "" */
	uint64_t memory;		/* bytes of BAR2; 0: VGPU_SHM_DEFAULT_SIZE */
	uint32_t vm_id;
	uint32_t channels;		/* 0: vgpu_shm_default_channels() */
	enum vgpu_stub_pages pages;
	uint32_t caps;			/* VGPU_CAP_* besides VGPU_CAP_RING and VGPU_CAP_WINDOW */
	uint32_t backoff_min_ms;	/* between attempts to connect; 0: 50 */
	uint32_t backoff_max_ms;	/* 0: 2000 */
	uint32_t handshake_ms;		/* for the mediator's WELCOME; 0: 5000 */
};

/*
 * Make a stub and start its thread; it connects, and reconnects, on its own.
 * Strings are copied.  Returns 0, or a negative errno with one line in `err`
 * that says what is wrong and what is accepted.
 */
int vgpu_stub_create(struct vgpu_stub **out, const struct vgpu_stub_config *config,
		     const struct vgpu_stub_ops *ops, char *err, size_t err_size);

/* Stop the thread, close everything, free. NULL is allowed. */
void vgpu_stub_destroy(struct vgpu_stub *s);

/*
 * Access to BAR0 at byte `offset`, `size` bytes (1..8).  Registers are 4
 * bytes, aligned; an aligned 8-byte read gives two of them.  Whatever no
 * register answers reads 0, is ignored when written, and is counted.
 */
uint64_t vgpu_stub_mmio_read(struct vgpu_stub *s, uint64_t offset, unsigned int size);
void vgpu_stub_mmio_write(struct vgpu_stub *s, uint64_t offset, uint64_t value, unsigned int size);

/* The guest was reset: end all sessions and write the header of BAR2 anew. */
void vgpu_stub_reset(struct vgpu_stub *s);

/* Descriptors stay the stub's. doorbell_fd() is -1 for a channel that does not exist. */
int vgpu_stub_doorbell_fd(const struct vgpu_stub *s, uint32_t channel);
int vgpu_stub_memfd(const struct vgpu_stub *s);
uint64_t vgpu_stub_memory_size(const struct vgpu_stub *s);
uint32_t vgpu_stub_channels(const struct vgpu_stub *s);
/* The memory behind BAR1, VGPU_V1_BAR1_SIZE bytes. */
int vgpu_stub_window_memfd(const struct vgpu_stub *s);

#endif
