/* SPDX-License-Identifier: MIT */
/*
 * State of one ptx_run() and what the instruction families use of it. A run belongs to the thread that called
 * ptx_run(); nothing here is shared with other runs but the module (read only), global memory, and the launch.
 *
 * Every PTX thread has its own pc, registers and call stack, and runs until it exits, waits for others or has used up
 * its turn. Threads of a warp meet only where an instruction says so (shfl, vote, bar.warp.sync).
 */
#ifndef VGPU_PTX_EXEC_H
#define VGPU_PTX_EXEC_H

#include <string.h>

#include "module.h"

#define WARP_SIZE 32u
#define BARRIERS 16u
#define RANGE_CACHE 4u
#define TEXTURE_CACHE 4u

enum thread_state { READY, AT_BARRIER, AT_WARP, EXITED };

struct call_record {
	const struct insn *ret;
	const struct call_site *site;
	const struct func *func; /* of the caller */
	uint32_t reg_base, frame_base;
};

/* What a thread brings to the other lanes that it waits for. */
struct wait {
	const struct insn *in;
	uint32_t mask;
	uint64_t a, b, c;
	bool converged; /* waits for all lanes of the warp that come to the same instruction, not for a mask */
};

struct thread {
	uint64_t *r;      /* the current frame of registers */
	const struct insn *pc;
	struct block *block;
	struct warp *warp;
	uint8_t *frame;   /* the current frame of local memory */
	uint8_t lane, state;
	bool carry;
	const struct func *func;
	uint32_t tid[3], linear;
	uint64_t *regs;
	uint32_t regs_room, reg_base;
	uint8_t *local;
	uint32_t local_room, local_top, frame_base;
	struct call_record *calls;
	uint32_t depth, calls_room;
	struct wait wait;
	uint32_t barrier; /* number, while AT_BARRIER */
	uint32_t steps;   /* of the current turn */
};

struct warp {
	struct thread *lanes; /* lane 0 .. count - 1 */
	uint32_t count;
	uint32_t exited;      /* mask; lanes that do not exist count as exited */
	uint32_t number;
};

struct barrier {
	uint32_t expected;  /* 0: all threads of the block */
	uint32_t arrived, votes;
	uint32_t lanes[WARP_SIZE]; /* of each warp: those that have arrived */
};

struct block {
	struct run *run;
	uint32_t ctaid[3];
	uint8_t *shared;
	struct thread *threads;
	struct warp *warps;
	struct barrier barriers[BARRIERS];
	uint32_t live;
};

struct texture_cache {
	uint64_t handle[TEXTURE_CACHE];
	bool used[TEXTURE_CACHE], surface[TEXTURE_CACHE];
	struct ptx_texture texture[TEXTURE_CACHE];
	unsigned next;
};

/*
 * What the blocks of a cooperative launch meet at, as cooperative_groups in CUDA's headers expects it: its address is in
 * %envreg1 (upper half) and %envreg2.
 */
struct grid_workspace {
	uint32_t size;
	uint32_t barrier;
};

struct run {
	const struct ptx_launch *launch;
	const struct func *entry;
	struct ptx_range cache[RANGE_CACHE + 1]; /* the last: the workspace, for good */
	unsigned next_cache;
	struct texture_cache *textures; /* NULL until one is used */
	struct ptx_fault *fault;
	uint32_t nthreads, nwarps;
	struct grid_workspace workspace;
	uint32_t dynamic_base, shared_size; /* bytes: where dynamic shared memory begins, and where it ends */
	uint64_t executed;
};

int exec_fault(struct thread *t, const struct insn *in, enum ptx_fault_kind kind, uint64_t address, const char *text);
/* Host address of [address, address + size), or NULL after a fault. */
void *exec_generic(struct thread *t, const struct insn *in, uint64_t address, uint64_t size, bool write);
void *exec_operand(struct thread *t, const struct insn *in, bool write);
int exec_add_imm(struct thread *t, const struct insn *in);

/* The texture or surface object of a handle, or NULL after a fault. Valid until the next call. */
const struct ptx_texture *exec_texture(struct thread *t, const struct insn *in, uint64_t handle, bool surface);

/* Puts the thread into the frame of @f, whose registers and local memory follow those of its caller. */
int frame_enter(struct thread *t, const struct insn *in, const struct func *f, uint32_t reg_base, uint32_t frame_base);
int thread_exit(struct thread *t);

/* What lanes of a warp meet for: n of an instruction whose handler ends in warp_meet(). */
enum {
	W_SHFL, W_VOTE, W_MATCH_ANY, W_MATCH_ALL, W_REDUX, W_ELECT, W_ACTIVEMASK, W_SYNC, W_MULTIPLY, W_ROWS
};

/* warp.c, barrier.c */
int warp_meet(struct thread *t, const struct insn *in);
void warp_lane_exited(struct warp *w);
bool warp_release_converged(struct warp *w);
void barrier_thread_exited(struct block *b);

/* builtin.c: functions that the device runtime provides */
int builtin_call(struct thread *t, const struct insn *in, const struct func *f);

static inline uint64_t *reg(struct thread *t, uint32_t slot)
{
	return &t->r[slot];
}

static inline float as_f32(uint64_t bits)
{
	uint32_t w = (uint32_t)bits;
	float f;

	memcpy(&f, &w, sizeof(f));
	return f;
}

static inline uint32_t f32_bits(float f)
{
	uint32_t w;

	memcpy(&w, &f, sizeof(w));
	return w;
}

static inline double as_f64(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

static inline uint64_t f64_bits(double d)
{
	uint64_t w;

	memcpy(&w, &d, sizeof(w));
	return w;
}

/* A register of @size bytes as a signed or unsigned number. */
static inline uint64_t zero_extend(uint64_t v, unsigned size)
{
	return size >= 8 ? v : v & ((1ull << size * 8) - 1);
}

static inline int64_t sign_extend(uint64_t v, unsigned size)
{
	unsigned up = 64 - size * 8;

	return size >= 8 ? (int64_t)v : (int64_t)(v << up) >> up;
}

#endif
