/* SPDX-License-Identifier: MIT */
/*
 * Addresses into host pointers, with every check. Global memory goes through the launch's find(), whose answers a run
 * caches, and the launch's workspace is the run's; shared, local and parameter memory are the run's own.
 */
#include "exec.h"

static void *cached(struct run *run, uint64_t address, uint64_t size, bool write)
{
	for (unsigned i = 0; i <= RANGE_CACHE; i++) {
		const struct ptx_range *c = &run->cache[i];
		uint64_t at = address - c->start;

		if (at < c->size && size <= c->size - at)
			return write && !c->writable ? NULL : c->host + at;
	}
	return NULL;
}

static void *exec_global(struct thread *t, const struct insn *in, uint64_t address, uint64_t size, bool write)
{
	struct run *run = t->block->run;
	const struct ptx_memory *mem = &run->launch->mem;
	void *p = cached(run, address, size, write);
	struct ptx_range range = {0};

	if (p)
		return p;
	if (mem->find && mem->find(mem->ctx, address, &range) && address - range.start < range.size) {
		run->cache[run->next_cache] = range;
		run->next_cache = (run->next_cache + 1) % RANGE_CACHE;
		p = cached(run, address, size, write);
	}
	if (!p)
		exec_fault(t, in, PTX_FAULT_ILLEGAL_ADDRESS, address,
			   write ? "write to an invalid global address" : "read of an invalid global address");
	return p;
}

static void *shared_at(struct thread *t, const struct insn *in, uint64_t offset, uint64_t size)
{
	uint32_t end = t->block->run->shared_size;

	if (offset <= end && size <= end - offset)
		return t->block->shared + offset;
	exec_fault(t, in, PTX_FAULT_ILLEGAL_ADDRESS, offset, "access beyond shared memory");
	return NULL;
}

static void *local_at(struct thread *t, const struct insn *in, uint64_t offset, uint64_t size)
{
	if (offset <= t->local_top && size <= t->local_top - offset)
		return t->local + offset;
	exec_fault(t, in, PTX_FAULT_ILLEGAL_ADDRESS, offset, "access beyond local memory");
	return NULL;
}

static void *param_at(struct thread *t, const struct insn *in, uint64_t offset, uint64_t size, bool write)
{
	const struct ptx_launch *l = t->block->run->launch;

	if (!write && offset <= l->params_size && size <= l->params_size - offset)
		return (char *)l->params + offset;
	exec_fault(t, in, PTX_FAULT_ILLEGAL_ADDRESS, offset,
		   write ? "write to kernel parameters" : "access beyond the kernel's parameters");
	return NULL;
}

void *exec_generic(struct thread *t, const struct insn *in, uint64_t address, uint64_t size, bool write)
{
	if (address < PTX_WINDOW_SHARED || address >= PTX_WINDOW_CODE)
		return exec_global(t, in, address, size, write);
	if (address < PTX_WINDOW_LOCAL)
		return shared_at(t, in, address - PTX_WINDOW_SHARED, size);
	if (address < PTX_WINDOW_PARAM)
		return local_at(t, in, address - PTX_WINDOW_LOCAL, size);
	return param_at(t, in, address - PTX_WINDOW_PARAM, size, write);
}

/* The memory operand of an instruction: in->size bytes, aligned to in->n. */
void *exec_operand(struct thread *t, const struct insn *in, bool write)
{
	uint64_t address = (t->r[in->a] & in->mask) + (uint64_t)in->imm;

	if (in->space == SP_FRAME)
		return t->frame + in->imm;
	if (address & (in->n - 1u)) {
		exec_fault(t, in, PTX_FAULT_MISALIGNED, address, "misaligned address");
		return NULL;
	}
	switch (in->space) {
	case SP_SHARED:
		return shared_at(t, in, address, in->size);
	case SP_LOCAL:
		return local_at(t, in, address, in->size);
	case SP_PARAM:
		return param_at(t, in, address, in->size, write);
	case SP_GENERIC:
		return exec_generic(t, in, address, in->size, write);
	default:
		return exec_global(t, in, address, in->size, write);
	}
}
