/* SPDX-License-Identifier: MIT */
/*
 * atom and red: real atomics of the host, since other blocks, other kernels and the application may work on the same
 * memory. An operation that the host does not have is a loop around compare-and-swap.
 */
#include "float.h"
#include "half.h"
#include "space.h"

enum {
	A_ADD, A_EXCH, A_AND, A_OR, A_XOR, A_MIN, A_MAX, A_INC, A_DEC, A_CAS
};

static const char *const names[] = {"add", "exch", "and", "or", "xor", "min", "max", "inc", "dec", "cas", NULL};

static uint64_t pick(const struct insn *in, uint64_t old, uint64_t v)
{
	bool less = type_is_signed(in->type) ? sign_extend(v, in->size) < sign_extend(old, in->size) : v < old;

	return less == (in->sub == A_MIN) ? v : old;
}

static bool in_global(const struct thread *t, const struct insn *in)
{
	uint64_t address = t->r[in->a] + (uint64_t)in->imm;

	return in->space == SP_GLOBAL || (in->space == SP_GENERIC &&
					  (address < PTX_WINDOW_SHARED || address >= PTX_WINDOW_CODE));
}

/* In global memory single precision knows no subnormals: PTX ISA, "atom". */
static uint64_t add_f32(const struct thread *t, const struct insn *in, float old, float v)
{
	return in_global(t, in) ? canonical_f32(flush_f32(flush_f32(old) + flush_f32(v))) : canonical_f32(old + v);
}

/* Of two NaN the memory's own adder keeps the new one, the loop that serves shared memory the old one. */
static uint64_t add_f64(bool global, double old, double v)
{
	return global ? canonical_f64(old + v, old, v, 0) : canonical_f64(old + v, v, old, 0);
}

static uint64_t add(const struct thread *t, const struct insn *in, uint64_t old, uint64_t v)
{
	switch (in->type) {
	case T_F32:
		return add_f32(t, in, as_f32(old), as_f32(v));
	case T_F64:
		return add_f64(in_global(t, in), as_f64(old), as_f64(v));
	case T_F16: case T_BF16: case T_F16X2: case T_BF16X2:
		return half_add(in->type, (uint32_t)old, (uint32_t)v);
	default:
		return old + v;
	}
}

static uint64_t update(struct thread *t, const struct insn *in, uint64_t old, uint64_t v)
{
	switch (in->sub) {
	case A_ADD:
		return add(t, in, old, v);
	case A_EXCH:
		return v;
	case A_AND:
		return old & v;
	case A_OR:
		return old | v;
	case A_XOR:
		return old ^ v;
	case A_MIN: case A_MAX:
		return pick(in, old, v);
	case A_INC:
		return old >= v ? 0 : old + 1;
	case A_DEC:
		return !old || old > v ? v : old - 1;
	default:
		return old == v ? zero_extend(t->r[in->c], in->size) : old;
	}
}

#define LOOP(bits) \
	static uint64_t loop_##bits(struct thread *t, const struct insn *in, void *p, uint64_t v) \
	{ \
		uint##bits##_t old = __atomic_load_n((uint##bits##_t *)p, __ATOMIC_RELAXED), next; \
\
		do { \
			next = (uint##bits##_t)update(t, in, old, v); \
		} while (!__atomic_compare_exchange_n((uint##bits##_t *)p, &old, next, false, __ATOMIC_SEQ_CST, \
						      __ATOMIC_SEQ_CST)); \
		return old; \
	}
LOOP(16)
LOOP(32)
LOOP(64)

static int op_atomic(struct thread *t, const struct insn *in)
{
	uint64_t v = zero_extend(t->r[in->b], in->size), old;
	void *p = exec_operand(t, in, true);

	if (!p)
		return OP_FAULT;
	if (in->size == 2)
		old = loop_16(t, in, p, v);
	else
		old = in->size == 4 ? loop_32(t, in, p, v) : loop_64(t, in, p, v);
	if (in->flag)
		t->r[in->d] = old;
	return OP_NEXT;
}

/* The commonest: integer addition. */
static int op_add_32(struct thread *t, const struct insn *in)
{
	void *p = exec_operand(t, in, true);

	if (!p)
		return OP_FAULT;
	t->r[in->d] = __atomic_fetch_add((uint32_t *)p, (uint32_t)t->r[in->b], __ATOMIC_SEQ_CST);
	return OP_NEXT;
}

static bool type_fits(unsigned op, enum type t)
{
	switch (op) {
	case A_ADD:
		return t == T_U32 || t == T_S32 || t == T_U64 || t == T_F32 || t == T_F64 || type_is_half(t);
	case A_EXCH:
		return t == T_B32 || t == T_B64;
	case A_AND: case A_OR: case A_XOR:
		return t == T_B32 || t == T_B64;
	case A_MIN: case A_MAX:
		return t == T_U32 || t == T_S32 || t == T_U64 || t == T_S64;
	case A_INC: case A_DEC:
		return t == T_U32;
	default:
		return t == T_B16 || t == T_B32 || t == T_B64;
	}
}

/* in.sub of the table: 1 for atom, which has a result. */
static int decode_atomic(struct decode *d)
{
	static const char *const orders[] = {"relaxed", "acquire", "release", "acq_rel", NULL};
	static const char *const scopes[] = {"cta", "gpu", "sys", NULL};
	bool result = d->in.sub;
	enum space space = take_space(d);
	enum type t;
	int op, err;

	mod_take_any(d, orders);
	mod_take_any(d, scopes);
	op = mod_take_any(d, names);
	if (op < 0 || (space != SP_GENERIC && space != SP_GLOBAL && space != SP_SHARED))
		return decode_fail(d, -ENOTSUP, "unknown operation or state space");
	t = mod_take_type(d);
	if (!type_fits((unsigned)op, t))
		return decode_fail(d, -ENOTSUP, "unknown type");
	if (type_is_half(t) && !mod_take(d, "noftz"))
		return decode_fail(d, -EINVAL, ".noftz is missing");
	d->in.type = (uint8_t)t;
	d->in.sub = (uint8_t)op;
	d->in.flag = result;
	err = need_operands(d, 2u + result + (op == A_CAS), 2u + result + (op == A_CAS));
	if (!err)
		err = address(d, d->ops[result], space, type_size(t), type_size(t));
	if (!err && (d->in.space == SP_CONST || d->in.space == SP_PARAM))
		err = decode_fail(d, -EINVAL, "an atomic operation on read-only memory");
	if (!err && result)
		err = dst(d, 0, t, &d->in.d);
	if (!err)
		err = src(d, 1u + result, t, &d->in.b);
	if (!err && op == A_CAS)
		err = src(d, 2u + result, t, &d->in.c);
	d->in.fn = op == A_ADD && (t == T_U32 || t == T_S32) ? op_add_32 : op_atomic;
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_atomic[] = {
	{"atom", CLASS_INT | CLASS_FLOAT | CLASS_HALF, decode_atomic, 1},
	{"red", CLASS_INT | CLASS_FLOAT | CLASS_HALF, decode_atomic, 0},
	{NULL, 0, NULL, 0},
};
