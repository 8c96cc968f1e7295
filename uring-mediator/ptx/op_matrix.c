/* SPDX-License-Identifier: MIT */
/*
 * Matrices spread over the lanes of a warp: wmma, mma.sync and ldmatrix. Where the elements of mma's operands lie is
 * PTX ISA's ("Matrix Fragments for mma"); of wmma's it is left open, and here they follow each other, from the beginning
 * again where a fragment has room for more. Products are summed up in double precision and rounded once. Handlers run
 * inside a launch.
 */
#include <math.h>

#include "float.h"
#include "matrix.h"
#include "space.h"

enum role { ROLE_A, ROLE_B, ROLE_C };

#define ELEMENTS 512u /* of the largest operand */

static unsigned in_register(enum type t)
{
	return type_size(t) < 4 ? 4 / type_size(t) : 1;
}

static unsigned in_fragment(const struct fragment *f)
{
	return f->count * in_register(f->type);
}

static unsigned rows_of(const struct matrix *x, enum role role)
{
	return role == ROLE_B ? x->k : x->m;
}

static unsigned columns_of(const struct matrix *x, enum role role)
{
	return role == ROLE_A ? x->k : x->n;
}

/* Where element @e of a lane's fragment is in the matrix, counted row by row. */
static unsigned place(const struct matrix *x, enum role role, const struct fragment *f, unsigned lane, unsigned e)
{
	unsigned columns = columns_of(x, role), per = in_register(f->type), reg = e / per;
	unsigned group = lane / 4, first = lane % 4 * per + e % per;

	if (!x->drawn)
		return (lane * in_fragment(f) + e) % (rows_of(x, role) * columns);
	if (role == ROLE_A)
		return (group + reg % 2 * 8) * columns + first + reg / 2 * 4 * per;
	if (role == ROLE_B)
		return (first + reg * 4 * per) * columns + group;
	return (group + e / 2 * 8) * columns + lane % 4 * 2 + e % 2;
}

static double element(const struct thread *t, const struct fragment *f, unsigned e)
{
	unsigned per = in_register(f->type);
	uint64_t v = t->r[f->slots[e / per]] >> e % per * 32 / per;

	switch (f->type) {
	case T_F16:
		return float_to_double(v & 0xffff, format_f16);
	case T_BF16:
		return float_to_double(v & 0xffff, format_bf16);
	case T_TF32:
		return as_f32(v & 0xffffe000);
	case T_F32:
		return as_f32(v);
	case T_F64:
		return as_f64(v);
	case T_U8:
		return (double)(v & 0xff);
	default:
		return (double)sign_extend(v, type_size(f->type));
	}
}

static uint64_t bits_of(double v, enum type t, bool saturate)
{
	switch (t) {
	case T_F16:
		return float_from_double(v, format_f16, RND_RN);
	case T_F32:
		return canonical_f32((float)v);
	case T_F64:
		return f64_bits(v);
	default:
		if (saturate)
			v = fmin(fmax(v, INT32_MIN), INT32_MAX);
		return (uint32_t)(int64_t)v;
	}
}

static void put(struct thread *t, const struct fragment *f, unsigned e, uint64_t bits)
{
	unsigned per = in_register(f->type), at = e % per;
	uint64_t *r = &t->r[f->slots[e / per]];

	*r = at ? *r | bits << at * 32 / per : bits;
}

static void gather(const struct warp *w, uint32_t group, const struct matrix *x, enum role role,
		   const struct fragment *f, double *out)
{
	for (uint32_t lane = 0; lane < w->count; lane++)
		for (unsigned e = 0; group >> lane & 1 && e < in_fragment(f); e++)
			out[place(x, role, f, lane, e)] = element(&w->lanes[lane], f, e);
}

/* One element of a * b + c. */
static double product(const struct matrix *x, const double *a, const double *b, double sum, unsigned at)
{
	unsigned row = at / x->n, column = at % x->n;

	for (unsigned i = 0; i < x->k; i++)
		sum = fma(a[row * x->k + i], b[i * x->n + column], sum);
	return sum;
}

void matrix_multiply(struct warp *w, uint32_t group, const struct matrix *x)
{
	double a[ELEMENTS] = {0}, b[ELEMENTS] = {0}, c[ELEMENTS] = {0};

	gather(w, group, x, ROLE_A, &x->a, a);
	gather(w, group, x, ROLE_B, &x->b, b);
	gather(w, group, x, ROLE_C, &x->c, c);
	for (uint32_t lane = 0; lane < w->count; lane++)
		for (unsigned e = 0; group >> lane & 1 && e < in_fragment(&x->d); e++) {
			unsigned at = place(x, ROLE_C, &x->d, lane, e);

			put(&w->lanes[lane], &x->d, e, bits_of(product(x, a, b, c[at], at), x->d.type, x->saturate));
		}
}

/* Two neighbours of a row for each lane, or of a column: rows come from eight lanes for each matrix. */
void matrix_take_rows(const struct warp *w, struct thread *t, uint32_t group)
{
	const struct insn *in = t->wait.in;
	const struct fragment *f = &in->matrix->d;

	for (unsigned i = 0; i < f->count; i++) {
		unsigned first = i * 8 + (in->neg ? t->lane % 4 * 2 : t->lane / 4), second = first + in->neg;
		unsigned at = in->neg ? t->lane / 4 : t->lane % 4 * 2;
		uint16_t half[2] = {0};

		if (second < w->count && group >> first & 1 && group >> second & 1) {
			const uint16_t *low = (const uint16_t *)(uintptr_t)w->lanes[first].wait.c;
			const uint16_t *high = (const uint16_t *)(uintptr_t)w->lanes[second].wait.c;

			half[0] = low[at];
			half[1] = high[at + !in->neg];
		}
		t->r[f->slots[i]] = half[0] | (uint32_t)half[1] << 16;
	}
}

/* The lane's row, before it meets the others; the hidden slot c carries it. */
static int op_ldmatrix(struct thread *t, const struct insn *in)
{
	struct insn row = *in;
	void *p;

	row.n = row.size = 16;
	if (t->lane < in->matrix->d.count * 8u) {
		p = exec_operand(t, &row, false);
		if (!p)
			return OP_FAULT;
		t->r[in->c] = (uintptr_t)p;
	}
	return warp_meet(t, in);
}

/* wmma.load (into d) and wmma.store (from d): each lane its own elements; b holds the stride. */
static int op_move_fragment(struct thread *t, const struct insn *in)
{
	const struct matrix *x = in->matrix;
	enum role role = (enum role)in->sub2;
	uint64_t columns = columns_of(x, role), stride = (uint32_t)t->r[in->b];
	unsigned size = type_size(x->d.type);
	struct insn one = *in;

	for (unsigned e = 0; e < in_fragment(&x->d); e++) {
		unsigned at = place(x, role, &x->d, t->lane, e), row = (unsigned)(at / columns), column = at % columns;
		uint64_t v = 0;
		void *p;

		one.imm = in->imm + (int64_t)((x->by_column ? column * stride + row : row * stride + column) * size);
		one.n = one.size = (uint8_t)size;
		p = exec_operand(t, &one, in->sub);
		if (!p)
			return OP_FAULT;
		if (in->sub) {
			v = t->r[x->d.slots[e / in_register(x->d.type)]] >> e % in_register(x->d.type) * 8 * size;
			memcpy(p, &v, size);
		} else {
			memcpy(&v, p, size);
			put(t, &x->d, e, v);
		}
	}
	return OP_NEXT;
}

static const char *const layouts[] = {"row", "col", NULL};

static int take_shape(struct decode *d, struct matrix *x)
{
	static const char *const names[] = {
		"m16n16k16", "m32n8k16", "m8n32k16", "m16n16k8", "m8n8k4", "m8n8k16", "m16n8k4", "m16n8k8", "m16n8k16",
		"m16n8k32", NULL
	};
	static const uint8_t sizes[][3] = {
		{16, 16, 16}, {32, 8, 16}, {8, 32, 16}, {16, 16, 8}, {8, 8, 4}, {8, 8, 16}, {16, 8, 4}, {16, 8, 8},
		{16, 8, 16}, {16, 8, 32},
	};
	int which = mod_take_any(d, names);

	if (which < 0)
		return decode_fail(d, -ENOTSUP, "unknown shape");
	x->m = sizes[which][0];
	x->n = sizes[which][1];
	x->k = sizes[which][2];
	return 0;
}

static bool operand_type(enum type t, enum role role)
{
	if (role == ROLE_C)
		return t == T_F16 || t == T_F32 || t == T_F64 || t == T_S32;
	return t == T_F16 || t == T_BF16 || t == T_TF32 || t == T_F64 || t == T_S8 || t == T_U8;
}

/* {registers} of one operand, as many as its elements take. */
static int take_fragment(struct decode *d, const struct matrix *x, unsigned operand, enum role role, enum type t,
			 bool result, struct fragment *f)
{
	const struct operand *o = d->ops[operand];
	unsigned all = rows_of(x, role) * columns_of(x, role);

	*f = (struct fragment){.type = (uint8_t)t, .count = (uint8_t)o->n};
	if (!operand_type(t, role))
		return decode_fail(d, -ENOTSUP, "unknown type");
	if (o->kind != OPD_VECTOR || !o->n || o->n > 16 || in_fragment(f) * WARP_SIZE % all ||
	    (x->drawn && in_fragment(f) * WARP_SIZE != all))
		return decode_fail(d, -EINVAL, "a fragment does not fit its matrix");
	return slots_of_list(d, o, type_size(t) == 8 ? T_B64 : T_B32, result, &f->slots);
}

static struct matrix *matrix_new(struct decode *d)
{
	d->in.matrix = arena_alloc(&d->p->m->arena, sizeof(struct matrix));
	if (!d->in.matrix)
		parse_nomem(d->p);
	return (struct matrix *)d->in.matrix;
}

/* All lanes of the warp meet. */
static int meet(struct decode *d, unsigned what)
{
	d->in.n = (uint8_t)what;
	return constant(d->p, UINT32_MAX, &d->in.e);
}

/* d, a, b, c; two types are those of d and c, with f16 between. */
static int decode_multiply(struct decode *d, bool drawn)
{
	struct matrix *x = matrix_new(d);
	enum type types[4];
	unsigned n = 0;
	int err = x ? need_operands(d, 4, 4) : -ENOMEM;

	if (err || (err = take_shape(d, x)))
		return err;
	x->drawn = drawn;
	if (mod_take_any(d, layouts) != 0 && drawn)
		return decode_fail(d, -ENOTSUP, "unknown layout");
	if (mod_take_any(d, layouts) != 1 && drawn)
		return decode_fail(d, -ENOTSUP, "unknown layout");
	mod_take(d, "rn");
	x->saturate = mod_take(d, "satfinite");
	while (n < 4 && (types[n] = mod_take_type(d)) != T_NONE)
		n++;
	if (n == 2 && !drawn) {
		types[3] = types[1];
		types[1] = types[2] = T_F16;
	} else if (n != 4) {
		return decode_fail(d, -ENOTSUP, "unknown types");
	}
	err = take_fragment(d, x, 0, ROLE_C, types[0], true, &x->d);
	if (!err)
		err = take_fragment(d, x, 1, ROLE_A, types[1], false, &x->a);
	if (!err)
		err = take_fragment(d, x, 2, ROLE_B, types[2], false, &x->b);
	if (!err)
		err = take_fragment(d, x, 3, ROLE_C, types[3], false, &x->c);
	if (!err)
		err = meet(d, W_MULTIPLY);
	d->in.flag = true;
	d->in.fn = warp_meet;
	return err ? err : emit(d->p, &d->in);
}

static int decode_move_fragment(struct decode *d, bool store)
{
	static const char *const roles[] = {"a", "b", "c", NULL};
	struct matrix *x = matrix_new(d);
	int role = store ? (mod_take(d, "d") ? ROLE_C : -1) : mod_take_any(d, roles);
	int layout = mod_take_any(d, layouts), err = x ? need_operands(d, 2, 3) : -ENOMEM;
	enum space space = take_space(d);
	enum type t = mod_take_type(d);

	if (err || (err = take_shape(d, x)))
		return err;
	if (role < 0 || layout < 0)
		return decode_fail(d, -ENOTSUP, "unknown fragment or layout");
	x->by_column = layout == 1;
	err = take_fragment(d, x, store, (enum role)role, t, !store, &x->d);
	if (!err)
		err = address(d, d->ops[!store], space, type_size(t), type_size(t));
	if (!err && d->nops == 3)
		err = src(d, 2, T_U32, &d->in.b);
	else if (!err)
		err = constant(d->p, x->by_column ? rows_of(x, (enum role)role) : columns_of(x, (enum role)role),
			       &d->in.b);
	d->in.sub = store;
	d->in.sub2 = (uint8_t)role;
	d->in.fn = op_move_fragment;
	return err ? err : emit(d->p, &d->in);
}

static int decode_wmma(struct decode *d)
{
	bool load = mod_take(d, "load"), store = mod_take(d, "store"), mma = mod_take(d, "mma");

	if (load + store + mma != 1 || !mod_take(d, "sync") || !mod_take(d, "aligned"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	return mma ? decode_multiply(d, false) : decode_move_fragment(d, store);
}

static int decode_mma(struct decode *d)
{
	if (!mod_take(d, "sync") || !mod_take(d, "aligned"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	return decode_multiply(d, true);
}

static int decode_ldmatrix(struct decode *d)
{
	static const char *const counts[] = {"x1", "x2", "x4", NULL};
	struct matrix *x = matrix_new(d);
	int count, err = x ? need_operands(d, 2, 2) : -ENOMEM;

	if (err)
		return err;
	if (!mod_take(d, "sync") || !mod_take(d, "aligned") || !mod_take(d, "m8n8") ||
	    (count = mod_take_any(d, counts)) < 0)
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	d->in.flag = true;
	d->in.neg = mod_take(d, "trans");
	x->d.count = (uint8_t)(1u << count);
	err = address(d, d->ops[1], take_space(d), 16, 16);
	if (mod_take_type(d) != T_B16 || d->ops[0]->kind != OPD_VECTOR || d->ops[0]->n != x->d.count)
		return decode_fail(d, -EINVAL, "a fragment does not fit its matrix");
	if (!err)
		err = slots_of_list(d, d->ops[0], T_B32, true, &x->d.slots);
	if (!err)
		err = slot_new(d->p, 1, &d->in.c);
	if (!err)
		err = meet(d, W_ROWS);
	d->in.fn = op_ldmatrix;
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_matrix[] = {
	{"wmma", CLASS_ANY, decode_wmma, 0},
	{"mma", CLASS_ANY, decode_mma, 0},
	{"ldmatrix", CLASS_ANY, decode_ldmatrix, 0},
	{NULL, 0, NULL, 0},
};
