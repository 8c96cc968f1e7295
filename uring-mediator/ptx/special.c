/* SPDX-License-Identifier: MIT */
/*
 * Special registers, and addresses that depend on the launch or on the thread's stack. The parser puts an instruction
 * that reads one before the instruction that uses it.
 */
#include <time.h>

#include "exec.h"
#include "parse.h"

enum special {
	SR_TID_X, SR_TID_Y, SR_TID_Z, SR_NTID_X, SR_NTID_Y, SR_NTID_Z, SR_CTAID_X, SR_CTAID_Y, SR_CTAID_Z,
	SR_NCTAID_X, SR_NCTAID_Y, SR_NCTAID_Z, SR_LANEID, SR_WARPID, SR_NWARPID, SR_SMID, SR_NSMID, SR_GRIDID,
	SR_LANEMASK_EQ, SR_LANEMASK_LT, SR_LANEMASK_LE, SR_LANEMASK_GT, SR_LANEMASK_GE,
	SR_CLOCK, SR_CLOCK_HI, SR_CLOCK64, SR_GLOBALTIMER, SR_GLOBALTIMER_LO, SR_GLOBALTIMER_HI,
	SR_DYNAMIC_SMEM, SR_TOTAL_SMEM, SR_ENVREG1, SR_ENVREG2, SR_ENVREG, SR_COUNT
};

static const char *const names[SR_COUNT] = {
	"%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z",
	"%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid", "%nwarpid", "%smid", "%nsmid", "%gridid",
	"%lanemask_eq", "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge",
	"%clock", "%clock_hi", "%clock64", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi",
	"%dynamic_smem_size", "%total_smem_size", "%envreg1", "%envreg2", "%envreg",
};

int special_find(const char *name, size_t len)
{
	if (!len || name[0] != '%')
		return -1;
	for (int i = 0; i < SR_ENVREG; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return i;
	if (len >= 8 && len <= 9 && !memcmp(name, "%envreg", 7) && name[7] >= '0' && name[7] <= '9' &&
	    (len == 8 || (name[8] >= '0' && name[8] <= '9')))
		return SR_ENVREG;
	return -1;
}

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t lane_mask(enum special which, uint32_t lane)
{
	uint32_t eq = 1u << lane;

	switch (which) {
	case SR_LANEMASK_EQ:
		return eq;
	case SR_LANEMASK_LT:
		return eq - 1;
	case SR_LANEMASK_LE:
		return (eq - 1) | eq;
	case SR_LANEMASK_GT:
		return ~((eq - 1) | eq);
	default:
		return ~(eq - 1);
	}
}

static uint64_t time_value(enum special which)
{
	switch (which) {
	case SR_CLOCK:
		return (uint32_t)now(CLOCK_MONOTONIC);
	case SR_CLOCK_HI:
		return now(CLOCK_MONOTONIC) >> 32;
	case SR_CLOCK64:
		return now(CLOCK_MONOTONIC);
	case SR_GLOBALTIMER:
		return now(CLOCK_REALTIME);
	case SR_GLOBALTIMER_LO:
		return (uint32_t)now(CLOCK_REALTIME);
	default:
		return now(CLOCK_REALTIME) >> 32;
	}
}

static uint64_t special_value(const struct thread *t, enum special which)
{
	const struct run *run = t->block->run;
	const struct ptx_launch *l = run->launch;

	if (which <= SR_TID_Z)
		return t->tid[which - SR_TID_X];
	if (which <= SR_NTID_Z)
		return l->block[which - SR_NTID_X];
	if (which <= SR_CTAID_Z)
		return t->block->ctaid[which - SR_CTAID_X];
	if (which <= SR_NCTAID_Z)
		return l->grid[which - SR_NCTAID_X];
	if (which >= SR_LANEMASK_EQ && which <= SR_LANEMASK_GE)
		return (uint32_t)lane_mask(which, t->lane);
	if (which >= SR_CLOCK && which <= SR_GLOBALTIMER_HI)
		return time_value(which);
	switch (which) {
	case SR_LANEID:
		return t->lane;
	case SR_WARPID:
		return t->warp->number;
	case SR_NWARPID:
		return 32;
	case SR_SMID:
		return l->sm_id;
	case SR_NSMID:
		return l->sm_id + 1;
	case SR_GRIDID:
		return l->grid_id;
	case SR_DYNAMIC_SMEM:
		return l->dynamic_shared;
	case SR_TOTAL_SMEM:
		return l->entry->static_shared + l->dynamic_shared;
	case SR_ENVREG1:
		return run->cache[RANGE_CACHE].start >> 32;
	case SR_ENVREG2:
		return (uint32_t)run->cache[RANGE_CACHE].start;
	default:
		return 0;
	}
}

static int op_special(struct thread *t, const struct insn *in)
{
	t->r[in->d] = special_value(t, in->sub);
	return OP_NEXT;
}

static int op_shared_base(struct thread *t, const struct insn *in)
{
	t->r[in->d] = t->block->run->dynamic_base;
	return OP_NEXT;
}

static int op_frame_address(struct thread *t, const struct insn *in)
{
	t->r[in->d] = t->frame_base + (uint64_t)in->imm;
	return OP_NEXT;
}

int emit_special(struct parser *p, int line, unsigned number, uint32_t slot)
{
	struct insn in = {.fn = op_special, .line = line, .sub = (uint8_t)number, .d = slot};

	return emit(p, &in);
}

/* Where dynamic shared memory begins. */
int special_shared_base(struct parser *p, int line, uint32_t slot)
{
	struct insn in = {.fn = op_shared_base, .line = line, .d = slot};

	return emit(p, &in);
}

/* The local address of a variable in the current frame. */
int special_frame_address(struct parser *p, int line, uint64_t offset, uint32_t slot)
{
	struct insn in = {.fn = op_frame_address, .line = line, .imm = (int64_t)offset, .d = slot};

	return emit(p, &in);
}
