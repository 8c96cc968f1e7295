/* SPDX-License-Identifier: MIT */
/*
 * Grids and the threads that help with them. A mutex guards the list of running grids; a grid lies on its executor's
 * stack, and leaves the list when its last helper has let go of it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "graph.h"
#include "grid.h"
#include "memory.h"
#include "texture.h"

#define MAX_HELPERS 64
#define SLICES 8 /* for each thread, so that uneven blocks even out */

struct job {
	struct ptx_launch launch; /* without a range of blocks */
	struct soft_context *ctx;
	uint64_t blocks, slice;
	_Atomic uint64_t next;    /* block that nobody has taken */
	atomic_bool cancel;
	unsigned helpers;         /* threads in it besides its executor; under the lock, like the next two */
	bool faulted;
	struct ptx_fault fault;
	int error;                /* of ptx_run, when not a fault */
	struct job *link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER, released = PTHREAD_COND_INITIALIZER;
static struct job *running;
static pthread_t helpers[MAX_HELPERS];
static unsigned num_helpers;
static bool stop;

/* Memory that kernels may touch: all that CUDA knows. */
static bool find(void *ctx, uint64_t addr, struct ptx_range *range)
{
	struct soft_region r;

	(void)ctx;
	if (!soft_memory_find(addr, &r))
		return false;
	*range = (struct ptx_range){ r.start, r.size, (unsigned char *)r.start, true };
	return true;
}

static void print(void *context, const char *text, size_t len)
{
	struct soft_context *ctx = context;

	soft_fifo_put(&ctx->fifo, text, len);
}

/* Comes at once, and to where natively it goes. */
static void print_assert(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	if (soft_config.print)
		soft_config.print(soft_config.ctx, text, len);
	else
		fwrite(text, 1, len, stderr);
}

static uint64_t kernel_alloc(void *ctx, uint64_t size)
{
	return soft_memory_kernel_alloc(ctx, size);
}

static bool kernel_free(void *ctx, uint64_t address)
{
	return soft_memory_kernel_free(ctx, address);
}

static void note_result(struct job *j, int rc, const struct ptx_fault *fault)
{
	atomic_store(&j->cancel, true);
	pthread_mutex_lock(&lock);
	if (rc == -EFAULT && !j->faulted && !j->error) {
		j->faulted = true;
		j->fault = *fault;
	} else if (rc != -EFAULT && rc != -ECANCELED && !j->faulted) {
		j->error = rc;
	}
	pthread_mutex_unlock(&lock);
}

/* Takes slices until none is left. */
static void work(struct job *j, unsigned thread)
{
	struct ptx_launch launch = j->launch;
	struct ptx_fault fault;
	uint64_t first;
	int rc;

	launch.sm_id = thread;
	while (!atomic_load_explicit(&j->cancel, memory_order_relaxed)) {
		first = atomic_fetch_add(&j->next, j->slice);
		if (first >= j->blocks)
			return;
		launch.first_block = first;
		launch.num_blocks = j->blocks - first < j->slice ? j->blocks - first : j->slice;
		memset(&fault, 0, sizeof(fault));
		rc = ptx_run(&launch, &fault);
		if (rc) {
			note_result(j, rc, &fault);
			return;
		}
	}
}

/* Lock held. A running grid that has blocks to give. */
static struct job *open_job(void)
{
	struct job *j;

	for (j = running; j; j = j->link)
		if (atomic_load(&j->next) < j->blocks && !atomic_load(&j->cancel))
			return j;
	return NULL;
}

static void *helper(void *arg)
{
	unsigned thread = (unsigned)(uintptr_t)arg;
	struct job *j;

	pthread_mutex_lock(&lock);
	while (!stop) {
		j = open_job();
		if (!j) {
			pthread_cond_wait(&wanted, &lock);
			continue;
		}
		j->helpers++;
		pthread_mutex_unlock(&lock);
		work(j, thread);
		pthread_mutex_lock(&lock);
		if (--j->helpers == 0)
			pthread_cond_broadcast(&released);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Lock held. */
static void start_helpers(void)
{
	unsigned n = soft_config.threads - 1 < MAX_HELPERS ? soft_config.threads - 1 : MAX_HELPERS;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (num_helpers < n && !stop &&
	       !pthread_create(&helpers[num_helpers], NULL, helper, (void *)(uintptr_t)(num_helpers + 1)))
		num_helpers++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void enter(struct job *j)
{
	pthread_mutex_lock(&lock);
	j->link = running;
	running = j;
	/* Whoever stops grids sets these first, then looks through the list. */
	if (stop || soft_poisoned() || atomic_load(&j->ctx->cancelled))
		atomic_store(&j->cancel, true);
	if (j->blocks > j->slice) {
		start_helpers();
		pthread_cond_broadcast(&wanted);
	}
	pthread_mutex_unlock(&lock);
}

static void leave(struct job *j)
{
	struct job **p = &running;

	pthread_mutex_lock(&lock);
	while (j->helpers)
		pthread_cond_wait(&released, &lock);
	while (*p != j)
		p = &(*p)->link;
	*p = j->link;
	pthread_mutex_unlock(&lock);
}

static CUresult fault_code(enum ptx_fault_kind kind)
{
	switch (kind) {
	case PTX_FAULT_ILLEGAL_ADDRESS:
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	case PTX_FAULT_MISALIGNED:
		return CUDA_ERROR_MISALIGNED_ADDRESS;
	case PTX_FAULT_ASSERT:
		return CUDA_ERROR_ASSERT;
	case PTX_FAULT_ILLEGAL_INSTRUCTION:
		return CUDA_ERROR_ILLEGAL_INSTRUCTION;
	case PTX_FAULT_STACK_OVERFLOW:
		return CUDA_ERROR_HARDWARE_STACK_ERROR;
	default:
		return CUDA_ERROR_LAUNCH_FAILED;
	}
}

/* Says what happened and poisons the process; other kernels stop, since nothing they do counts any more. */
static void report(const struct soft_function *f, const struct job *j)
{
	const struct ptx_fault *t = &j->fault;

	if (j->error) {
		soft_log(VGPU_SOFT_ERROR, "kernel %s: cannot run: error %d", f->entry->name, -j->error);
		soft_poison(j->error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_LAUNCH_FAILED);
	} else {
		soft_log(VGPU_SOFT_ERROR,
			 "kernel %s: fault %d at address 0x%llx, block (%u,%u,%u), thread (%u,%u,%u), PTX line %d: %s",
			 f->entry->name, (int)t->kind, (unsigned long long)t->address, t->block[0], t->block[1],
			 t->block[2], t->thread[0], t->thread[1], t->thread[2], t->line, t->text);
		soft_poison(fault_code(t->kind));
	}
	soft_fifo_flush(&j->ctx->fifo);
	soft_grids_cancel(NULL);
	soft_sched_kick();
}

void soft_grid_run(struct soft_function *f, const struct soft_grid *g)
{
	static _Atomic uint64_t next_id = 1;
	struct job j = { .ctx = f->obj.ctx };

	j.blocks = (uint64_t)g->grid[0] * g->grid[1] * g->grid[2];
	j.slice = g->cooperative ? j.blocks : j.blocks / ((uint64_t)soft_config.threads * SLICES);
	j.slice += !j.slice;
	j.launch = (struct ptx_launch){
		.module = f->module->ptx, .entry = f->entry, .dynamic_shared = g->dynamic_shared,
		.params = g->params, .params_size = f->entry->params_size, .mem = { find, NULL },
		.textures = { soft_texture_find, NULL }, .heap = { kernel_alloc, kernel_free, f->obj.ctx },
		.cooperative = g->cooperative,
		.cancel = &j.cancel, .print = print, .print_assert = print_assert, .print_ctx = j.ctx,
		.set_condition = soft_condition_set,
		.grid_id = atomic_fetch_add(&next_id, 1),
	};
	memcpy(j.launch.grid, g->grid, sizeof(g->grid));
	memcpy(j.launch.block, g->block, sizeof(g->block));
	soft_long_begin();
	enter(&j);
	work(&j, 0);
	leave(&j);
	soft_long_end();
	if (j.faulted || j.error)
		report(f, &j);
}

void soft_grids_cancel(struct soft_context *ctx)
{
	struct job *j;

	pthread_mutex_lock(&lock);
	for (j = running; j; j = j->link)
		if (!ctx || j->ctx == ctx)
			atomic_store(&j->cancel, true);
	pthread_mutex_unlock(&lock);
}

void soft_grids_stop(void)
{
	unsigned i;

	pthread_mutex_lock(&lock);
	stop = true;
	pthread_cond_broadcast(&wanted);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < num_helpers; i++)
		pthread_join(helpers[i], NULL);
}
