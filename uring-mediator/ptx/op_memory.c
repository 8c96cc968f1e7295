/* SPDX-License-Identifier: MIT */
/*
 * ld, ldu, st, prefetch, cp.async (as a synchronous copy), fences. Handlers run inside a launch; accesses that the
 * text calls volatile or stronger are single atomic accesses of the host.
 */
#include "exec.h"
#include "space.h"

#define LOAD(name, type) \
	static int ld_##name(struct thread *t, const struct insn *in) \
	{ \
		const void *p = exec_operand(t, in, false); \
		type v; \
\
		if (!p) \
			return OP_FAULT; \
		memcpy(&v, p, sizeof(v)); \
		t->r[in->d] = (uint64_t)v; \
		return OP_NEXT; \
	}
LOAD(u8, uint8_t)
LOAD(u16, uint16_t)
LOAD(u32, uint32_t)
LOAD(u64, uint64_t)
LOAD(s8, int8_t)
LOAD(s16, int16_t)
LOAD(s32, int32_t)

#define STORE(name, type) \
	static int st_##name(struct thread *t, const struct insn *in) \
	{ \
		void *p = exec_operand(t, in, true); \
		type v = (type)t->r[in->b]; \
\
		if (!p) \
			return OP_FAULT; \
		memcpy(p, &v, sizeof(v)); \
		return OP_NEXT; \
	}
STORE(8, uint8_t)
STORE(16, uint16_t)
STORE(32, uint32_t)
STORE(64, uint64_t)

static uint64_t extend(const struct insn *in, uint64_t v, unsigned size)
{
	return type_is_signed(in->type) ? (uint64_t)sign_extend(v, size) : zero_extend(v, size);
}

/* in->sub2 elements of in->sub bytes */
static int ld_vector(struct thread *t, const struct insn *in)
{
	const unsigned char *p = exec_operand(t, in, false);

	if (!p)
		return OP_FAULT;
	for (unsigned i = 0; i < in->sub2; i++) {
		uint64_t v = 0;

		memcpy(&v, p + i * in->sub, in->sub);
		t->r[in->slots[i]] = extend(in, v, in->sub);
	}
	return OP_NEXT;
}

static int st_vector(struct thread *t, const struct insn *in)
{
	unsigned char *p = exec_operand(t, in, true);

	if (!p)
		return OP_FAULT;
	for (unsigned i = 0; i < in->sub2; i++)
		memcpy(p + i * in->sub, &t->r[in->slots[i]], in->sub);
	return OP_NEXT;
}

static int ld_strong(struct thread *t, const struct insn *in)
{
	void *p = exec_operand(t, in, false);
	uint64_t v;

	if (!p)
		return OP_FAULT;
	switch (in->size) {
	case 1:
		v = __atomic_load_n((uint8_t *)p, __ATOMIC_ACQUIRE);
		break;
	case 2:
		v = __atomic_load_n((uint16_t *)p, __ATOMIC_ACQUIRE);
		break;
	case 4:
		v = __atomic_load_n((uint32_t *)p, __ATOMIC_ACQUIRE);
		break;
	default:
		v = __atomic_load_n((uint64_t *)p, __ATOMIC_ACQUIRE);
	}
	t->r[in->d] = extend(in, v, in->size);
	return OP_NEXT;
}

static int st_strong(struct thread *t, const struct insn *in)
{
	void *p = exec_operand(t, in, true);
	uint64_t v = t->r[in->b];

	if (!p)
		return OP_FAULT;
	switch (in->size) {
	case 1:
		__atomic_store_n((uint8_t *)p, (uint8_t)v, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
	}
	return OP_NEXT;
}

static int op_fence(struct thread *t, const struct insn *in)
{
	(void)t;
	(void)in;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return OP_NEXT;
}

static int op_nothing(struct thread *t, const struct insn *in)
{
	(void)t;
	(void)in;
	return OP_NEXT;
}

/* A load by name of type and width; NULL for types that memory does not have. */
static ptx_op load_of(enum type t)
{
	static const ptx_op table[T_COUNT] = {
		[T_B8] = ld_u8, [T_B16] = ld_u16, [T_B32] = ld_u32, [T_B64] = ld_u64,
		[T_U8] = ld_u8, [T_U16] = ld_u16, [T_U32] = ld_u32, [T_U64] = ld_u64,
		[T_S8] = ld_s8, [T_S16] = ld_s16, [T_S32] = ld_s32, [T_S64] = ld_u64,
		[T_F16] = ld_u16, [T_BF16] = ld_u16, [T_F16X2] = ld_u32, [T_F32] = ld_u32, [T_F64] = ld_u64,
	};

	return table[t];
}

static ptx_op store_of(unsigned size)
{
	return size == 1 ? st_8 : size == 2 ? st_16 : size == 4 ? st_32 : st_64;
}

/* Consumes what orders or caches an access; true when it must be one atomic access. */
static bool take_order(struct decode *d)
{
	static const char *const strong[] = {"volatile", "relaxed", "acquire", "release", NULL};
	static const char *const scopes[] = {"cta", "gpu", "sys", NULL};
	static const char *const hints[] = {
		"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "L1::evict_normal", "L1::evict_unchanged",
		"L1::evict_first", "L1::evict_last", "L1::no_allocate", "L2::evict_first", "L2::evict_last",
		"L2::evict_normal", "L2::64B", "L2::128B", "L2::256B", NULL
	};
	bool is_strong;

	mod_take(d, "weak");
	is_strong = mod_take_any(d, strong) >= 0;
	if (is_strong)
		mod_take_any(d, scopes);
	while (mod_take_any(d, hints) >= 0)
		;
	return is_strong;
}

static int take_vector(struct decode *d, const struct operand *o, unsigned *n)
{
	static const char *const vectors[] = {"v2", "v4", "v8", NULL};
	int v = mod_take_any(d, vectors);

	*n = v < 0 ? 1 : 2u << v;
	if ((v >= 0) != (o->kind == OPD_VECTOR) || (v >= 0 && o->n != *n))
		return decode_fail(d, -EINVAL, "a vector does not fit");
	return 0;
}

/* ld and st: @data is the register side. */
static int decode_access(struct decode *d, unsigned data, bool store)
{
	enum space space = take_space(d);
	bool strong = take_order(d);
	enum type t;
	unsigned n, size, width;
	int err = need_operands(d, 2, 2);

	if (!err)
		err = take_vector(d, d->ops[data], &n);
	if (err)
		return err;
	t = mod_take_type(d);
	if (!load_of(t))
		return decode_fail(d, -ENOTSUP, "unknown type");
	size = type_size(t);
	if (n * size > 32)
		return decode_fail(d, -EINVAL, "a vector is too wide");
	err = address(d, d->ops[!data], space, n * size, n * size);
	if (err)
		return err;
	d->in.type = (uint8_t)t;
	d->in.sub = (uint8_t)size;
	d->in.sub2 = (uint8_t)n;
	if (n > 1) {
		d->in.fn = store ? st_vector : ld_vector;
		err = slots_of_list(d, d->ops[data], t, !store, &d->in.slots);
	} else if (store) {
		d->in.fn = strong ? st_strong : store_of(size);
		err = src_wide(d, d->ops[data], t, &d->in.b);
	} else {
		d->in.fn = strong && d->in.space != SP_FRAME ? ld_strong : load_of(t);
		err = dst_wide(d, d->ops[data], t, &d->in.d, &width);
	}
	return err ? err : emit(d->p, &d->in);
}

static int decode_ld(struct decode *d)
{
	return decode_access(d, 0, false);
}

static int decode_st(struct decode *d)
{
	int err = decode_access(d, 1, true);

	if (!err && (d->in.space == SP_CONST || d->in.space == SP_PARAM))
		return decode_fail(d, -EINVAL, "a store to read-only memory");
	return err;
}

static int decode_prefetch(struct decode *d)
{
	static const char *const levels[] = {"L1", "L2", "L2::evict_last", "L2::evict_normal", NULL};
	int err = need_operands(d, 1, 1);
	enum space space = take_space(d);

	if (!err && mod_take_any(d, levels) < 0)
		return decode_fail(d, -ENOTSUP, "unknown level");
	if (!err)
		err = address(d, d->ops[0], space, 1, 1);
	d->in.fn = op_nothing;
	return err ? err : emit(d->p, &d->in);
}

static int decode_fence(struct decode *d)
{
	static const char *const scopes[] = {"cta", "gl", "sys", "gpu", NULL};
	int err = need_operands(d, 0, 0);

	if (!mod_take(d, "sc"))
		mod_take(d, "acq_rel");
	if (mod_take_any(d, scopes) < 0)
		return decode_fail(d, -ENOTSUP, "unknown scope");
	d->in.fn = op_fence;
	return err ? err : emit(d->p, &d->in);
}

/* Copies in->sub bytes (c of them from memory, zeros after those) from global r[b] to shared r[a]. */
static int op_cp_async(struct thread *t, const struct insn *in)
{
	uint64_t to = t->r[in->a], from = t->r[in->b];
	uint32_t have = in->flag ? (uint32_t)t->r[in->c] : in->sub;
	unsigned char *p;
	const void *q = NULL;

	if (have > in->sub)
		return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "cp.async: the source is longer than the copy");
	if ((to | from) & (in->sub - 1u))
		return exec_fault(t, in, PTX_FAULT_MISALIGNED, (to & (in->sub - 1u)) ? to : from, "misaligned address");
	p = exec_generic(t, in, PTX_WINDOW_SHARED + (to & UINT32_MAX), in->sub, true);
	if (p && have)
		q = exec_generic(t, in, from, have, false);
	if (!p || (have && !q))
		return OP_FAULT;
	memset(p, 0, in->sub);
	if (have)
		memcpy(p, q, have);
	return OP_NEXT;
}

static int op_effective(struct thread *t, const struct insn *in)
{
	t->r[in->d] = (t->r[in->a] & in->mask) + (uint64_t)in->imm;
	return OP_NEXT;
}

/* Puts the value of an address operand into a new slot. */
static int effective(struct decode *d, const struct operand *o, enum space space, unsigned size, uint32_t *slot)
{
	struct insn hold = d->in;
	int err = address(d, o, space, size, size);

	d->in.fn = op_effective;
	d->in.guard = 0;
	if (!err && d->in.space != space)
		err = decode_fail(d, -EINVAL, "an address of another state space");
	if (!err)
		err = slot_new(d->p, 1, slot);
	d->in.d = *slot;
	if (!err)
		err = emit(d->p, &d->in);
	d->in = hold;
	return err;
}

static int decode_cp_async_copy(struct decode *d)
{
	static const char *const hints[] = {"ca", "cg", "L2::64B", "L2::128B", "L2::256B", NULL};
	uint64_t size;
	uint32_t to, from;
	int err = need_operands(d, 3, 4);

	while (mod_take_any(d, hints) >= 0)
		;
	if (!mod_take(d, "shared") && !mod_take(d, "shared::cta"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	if (!mod_take(d, "global"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	if (!err)
		err = immediate(d, 2, 16, &size);
	if (!err && size != 4 && size != 8 && size != 16)
		err = decode_fail(d, -EINVAL, "a copy size that does not exist");
	if (!err)
		err = effective(d, d->ops[0], SP_SHARED, (unsigned)size, &to);
	if (!err)
		err = effective(d, d->ops[1], SP_GLOBAL, (unsigned)size, &from);
	if (!err && d->nops == 4)
		err = src(d, 3, T_U32, &d->in.c);
	if (err)
		return err;
	d->in.flag = d->nops == 4;
	d->in.a = to;
	d->in.b = from;
	d->in.sub = (uint8_t)size;
	d->in.fn = op_cp_async;
	return emit(d->p, &d->in);
}

/* Copies are complete when cp.async returns, so that waiting for them is nothing. */
static int decode_cp(struct decode *d)
{
	uint64_t ignored;
	int err = 0;

	if (!mod_take(d, "async") || mod_take(d, "bulk"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	d->in.fn = op_nothing;
	if (mod_take(d, "commit_group") || mod_take(d, "wait_all")) {
		err = need_operands(d, 0, 0);
	} else if (mod_take(d, "wait_group")) {
		err = need_operands(d, 1, 1);
		if (!err)
			err = immediate(d, 0, UINT32_MAX, &ignored);
	} else {
		return decode_cp_async_copy(d);
	}
	return err ? err : emit(d->p, &d->in);
}

static int decode_nanosleep(struct decode *d)
{
	int err = need_operands(d, 1, 1);

	if (mod_take_type(d) != T_U32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	if (!err)
		err = src(d, 0, T_U32, &d->in.a);
	d->in.fn = op_nothing;
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_memory[] = {
	{"ld", CLASS_ANY, decode_ld, 0},
	{"st", CLASS_ANY, decode_st, 0},
	{"ldu", CLASS_ANY, decode_ld, 0},
	{"prefetch", CLASS_NONE, decode_prefetch, 0},
	{"prefetchu", CLASS_NONE, decode_prefetch, 0},
	{"membar", CLASS_NONE, decode_fence, 0},
	{"fence", CLASS_NONE, decode_fence, 0},
	{"cp", CLASS_NONE, decode_cp, 0},
	{"nanosleep", CLASS_INT, decode_nanosleep, 0},
	{NULL, 0, NULL, 0},
};
