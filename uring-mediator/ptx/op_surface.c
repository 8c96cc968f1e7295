/* SPDX-License-Identifier: MIT */
/*
 * suld.b, sust.b and sust.p. The first coordinate counts bytes (in sust.p elements); what happens outside the surface
 * is the instruction's choice. in->slots: the values, then the coordinates.
 */
#include "exec.h"
#include "parse.h"
#include "texture.h"

enum outside { OUT_TRAP, OUT_CLAMP, OUT_ZERO };

/* @at within @extent - @size, by clamping if so wanted. */
static bool settle(int64_t *at, int64_t size, int64_t extent, enum outside rule)
{
	if (*at >= 0 && size <= extent && *at <= extent - size)
		return true;
	if (rule != OUT_CLAMP || size > extent)
		return false;
	*at = *at < 0 ? 0 : extent - size;
	return true;
}

/* The place of @size bytes. NULL: outside (*fault says whether that is a fault). */
static unsigned char *place(struct thread *t, const struct insn *in, const struct ptx_texture *x, unsigned size,
			    bool *fault)
{
	const struct texture_geometry *g = &texture_geometries[in->sub];
	const struct ptx_level *l = &x->level[0];
	const uint32_t *slot = in->slots + in->n;
	int64_t unit = in->flag ? texture_element(x) : 1, at[3] = {0};
	bool in_range;

	*fault = true;
	if (x->layered != g->layered) {
		exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "a surface with layers, or without");
		return NULL;
	}
	if (g->layered)
		at[2] = (int32_t)t->r[*slot++];
	for (unsigned i = 0; i < g->dims; i++)
		at[i] = (int32_t)t->r[slot[i]];
	at[0] *= unit;
	if (at[0] & (size - 1)) {
		exec_fault(t, in, PTX_FAULT_MISALIGNED, (uint64_t)at[0], "misaligned surface coordinate");
		return NULL;
	}
	in_range = settle(&at[0], size, (int64_t)l->width * texture_element(x), in->rnd) &&
		   settle(&at[1], 1, l->height, in->rnd) && settle(&at[2], 1, l->depth, in->rnd);
	if (in_range)
		return l->host + (uint64_t)at[2] * l->slice + (uint64_t)at[1] * l->pitch + (uint64_t)at[0];
	*fault = in->rnd == OUT_TRAP;
	if (*fault)
		exec_fault(t, in, PTX_FAULT_TRAP, 0, "outside of a surface");
	return NULL;
}

static int op_suld(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = exec_texture(t, in, t->r[in->a], true);
	unsigned char *p;
	bool fault;

	if (!x)
		return OP_FAULT;
	p = place(t, in, x, in->size * in->n, &fault);
	if (!p && fault)
		return OP_FAULT;
	for (unsigned i = 0; i < in->n; i++) {
		uint64_t v = 0;

		if (p)
			memcpy(&v, p + i * in->size, in->size);
		t->r[in->slots[i]] = v;
	}
	return OP_NEXT;
}

static int op_sust(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = exec_texture(t, in, t->r[in->a], true);
	unsigned char *p;
	bool fault;

	if (!x)
		return OP_FAULT;
	p = place(t, in, x, in->size * in->n, &fault);
	if (!p)
		return fault ? OP_FAULT : OP_NEXT;
	for (unsigned i = 0; i < in->n; i++)
		memcpy(p + i * in->size, &t->r[in->slots[i]], in->size);
	return OP_NEXT;
}

static int op_sust_formatted(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = exec_texture(t, in, t->r[in->a], true);
	uint32_t v[4] = {0};
	unsigned char *p;
	bool fault;

	if (!x)
		return OP_FAULT;
	p = place(t, in, x, texture_element(x), &fault);
	if (!p)
		return fault ? OP_FAULT : OP_NEXT;
	for (unsigned i = 0; i < in->n; i++)
		v[i] = (uint32_t)t->r[in->slots[i]];
	texture_pack(x, p, v);
	return OP_NEXT;
}

/* Values (a vector, or one) and coordinates into one list of slots. */
static int take_slots(struct decode *d, const struct operand *values, const struct operand *at, enum type t, bool load)
{
	const struct operand *list = values->kind == OPD_VECTOR ? values->list : values;
	unsigned n = values->kind == OPD_VECTOR ? values->n : 1, size;
	uint32_t *s = arena_alloc(&d->p->m->arena, (n + at->n) * sizeof(*s));
	int err = 0;

	if (!s)
		return parse_nomem(d->p);
	if (n != d->in.n)
		return decode_fail(d, -EINVAL, "wrong number of values");
	for (unsigned i = 0; i < n && !err; i++)
		err = load ? dst_wide(d, &list[i], t, &s[i], &size) : src_wide(d, &list[i], t, &s[i]);
	for (unsigned i = 0; i < at->n && !err; i++)
		err = src_of(d, &at->list[i], T_B32, &s[n + i]);
	d->in.slots = s;
	return err;
}

static int decode_surface(struct decode *d)
{
	static const char *const vectors[] = {"v2", "v4", NULL}, *const rules[] = {"trap", "clamp", "zero", NULL};
	bool load = d->in.sub, formatted = !load && mod_take(d, "p");
	int geometry, vector, rule, err;
	enum type t;

	if (!formatted && !mod_take(d, "b"))
		return decode_fail(d, -ENOTSUP, "unknown form of a surface access");
	geometry = take_geometry(d);
	vector = mod_take_any(d, vectors);
	t = mod_take_type(d);
	rule = mod_take_any(d, rules);
	if (geometry < 0 || texture_geometries[geometry].cube || rule < 0 || t < T_B8 || t > T_B64 || (formatted && t != T_B32))
		return decode_fail(d, -ENOTSUP, "unknown form of a surface access");
	d->in.sub = (uint8_t)geometry;
	d->in.n = (uint8_t)(vector < 0 ? 1 : 2 << vector);
	d->in.size = (uint8_t)type_size(t);
	d->in.rnd = (uint8_t)rule;
	d->in.flag = formatted;
	d->in.fn = load ? op_suld : formatted ? op_sust_formatted : op_sust;
	if (d->in.size * d->in.n > 16)
		return decode_fail(d, -EINVAL, "more than 16 bytes");
	err = need_operands(d, 2, 2);
	if (!err)
		err = handle_of(d, d->ops[load], texture_geometries[geometry].coordinates);
	if (!err)
		err = take_slots(d, d->ops[!load], d->ops[load], t, load);
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_surface[] = {
	{"suld", CLASS_ANY, decode_surface, 1},
	{"sust", CLASS_ANY, decode_surface, 0},
	{NULL, 0, NULL, 0},
};
