/* SPDX-License-Identifier: MIT */
/*
 * What all families need while they decode: modifiers, operands into slots, constants, addresses. Runs on the parsing
 * thread, on a struct decode that lives for one instruction.
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "parse.h"

int decode_fail(struct decode *d, int err, const char *what)
{
	return parse_error(d->p, d->line, err, "%s: '%.*s'", what, (int)(d->text_len > 120 ? 120 : d->text_len), d->text);
}

/* Consumes a modifier; false when it is not there. */
bool mod_take(struct decode *d, const char *name)
{
	size_t len = strlen(name);

	for (unsigned i = 0; i < d->nmods; i++)
		if (!d->mods[i].used && d->mods[i].len == len && !memcmp(d->mods[i].text, name, len)) {
			d->mods[i].used = true;
			return true;
		}
	return false;
}

/* Consumes the first type among the modifiers. */
enum type mod_take_type(struct decode *d)
{
	for (unsigned i = 0; i < d->nmods; i++) {
		enum type t = d->mods[i].used ? T_NONE : type_from_name(d->mods[i].text, d->mods[i].len);

		if (t != T_NONE) {
			d->mods[i].used = true;
			return t;
		}
	}
	return T_NONE;
}

int mod_take_any(struct decode *d, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (mod_take(d, names[i]))
			return i;
	return -1;
}

enum rounding mod_take_rounding(struct decode *d)
{
	static const char *const names[] = {"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", NULL};

	return (enum rounding)(mod_take_any(d, names) + 1);
}

int need_operands(struct decode *d, unsigned least, unsigned most)
{
	return d->nops >= least && d->nops <= most ? 0 : decode_fail(d, -EINVAL, "wrong number of operands");
}

int slot_new(struct parser *p, uint32_t count, uint32_t *first)
{
	if (count > PTX_SLOTS_LIMIT - p->f->nslots)
		return parse_error(p, p->tok.line, -ENOTSUP, "more than %u registers and constants", PTX_SLOTS_LIMIT);
	*first = p->f->nslots;
	p->f->nslots += count;
	return 0;
}

static int set_template(struct parser *p, uint32_t slot, uint64_t value)
{
	struct func *f = p->f;

	if (slot >= f->slots_room) {
		uint32_t room = f->slots_room ? f->slots_room : 64;
		uint64_t *init;

		while (room <= slot)
			room *= 2;
		init = realloc(f->init, room * sizeof(*init));
		if (!init)
			return parse_nomem(p);
		memset(init + f->slots_room, 0, (room - f->slots_room) * sizeof(*init));
		f->init = init;
		f->slots_room = room;
	}
	f->init[slot] = value;
	return 0;
}

int template_finish(struct parser *p)
{
	struct func *f = p->f;
	uint32_t last = f->nslots - 1;

	return set_template(p, last, last < f->slots_room ? f->init[last] : 0);
}

static int grow_consts(struct parser *p)
{
	size_t old = p->consts_room, room = old ? old * 2 : 256;
	typeof(p->consts) from = p->consts, to = calloc(room, sizeof(*to));

	if (!to)
		return parse_nomem(p);
	for (size_t i = 0; i < old; i++)
		if (from[i].slot) {
			size_t at = (from[i].value * 0x9e3779b97f4a7c15ull >> 20) & (room - 1);

			while (to[at].slot)
				at = (at + 1) & (room - 1);
			to[at] = from[i];
		}
	free(from);
	p->consts = to;
	p->consts_room = room;
	return 0;
}

/* The slot of a constant of this function. */
int constant(struct parser *p, uint64_t value, uint32_t *slot)
{
	size_t at;
	int err = 0;

	if (p->nconsts * 2 >= p->consts_room)
		err = grow_consts(p);
	if (err)
		return err;
	at = (value * 0x9e3779b97f4a7c15ull >> 20) & (p->consts_room - 1);
	while (p->consts[at].slot && p->consts[at].value != value)
		at = (at + 1) & (p->consts_room - 1);
	if (!p->consts[at].slot) {
		err = slot_new(p, 1, &p->consts[at].slot);
		if (err) {
			p->consts[at].slot = 0;
			return err;
		}
		p->consts[at].value = value;
		p->nconsts++;
	}
	*slot = p->consts[at].slot;
	return set_template(p, *slot, value);
}

int emit(struct parser *p, const struct insn *in)
{
	struct func *f = p->f;

	if (f->ncode == f->code_room) {
		size_t room = f->code_room ? f->code_room * 2 : 64;
		struct insn *code = room > PTX_ARENA_LIMIT / sizeof(*code) ? NULL : realloc(f->code, room * sizeof(*code));

		if (!code)
			return parse_nomem(p);
		f->code = code;
		f->code_room = room;
	}
	f->code[f->ncode++] = *in;
	return 0;
}

/* A slot that holds the address of a module variable once that is known. */
static int var_constant(struct parser *p, struct var *v, uint32_t *slot)
{
	int err = 0;

	if (v->cache_func == p->f) {
		*slot = v->cache_slot;
		return 0;
	}
	err = slot_new(p, 1, slot);
	if (!err)
		err = set_template(p, *slot, 0);
	if (err)
		return err;
	if (v->space == SP_SHARED) {
		struct shared_ref *r = arena_alloc(&p->m->arena, sizeof(*r));

		if (!r)
			return parse_nomem(p);
		*r = (struct shared_ref){p->f->shared, v, *slot};
		p->f->shared = r;
	} else {
		struct reloc *r = arena_alloc(&p->m->arena, sizeof(*r));
		struct global *g = &p->m->globals[v->global];

		if (!r)
			return parse_nomem(p);
		*r = (struct reloc){g->relocs, p->f, *slot};
		g->relocs = r;
	}
	v->cache_func = p->f;
	v->cache_slot = *slot;
	return 0;
}

/* A slot that holds a variable's address in its own space, without offset; run-time values get an instruction. */
static int var_address(struct decode *d, struct var *v, uint32_t *slot)
{
	int err;

	switch (v->space) {
	case SP_GLOBAL: case SP_CONST:
		return var_constant(d->p, v, slot);
	case SP_PARAM:
		return constant(d->p, v->offset, slot);
	case SP_SHARED:
		if (!v->dynamic)
			return var_constant(d->p, v, slot);
		err = slot_new(d->p, 1, slot);
		return err ? err : special_shared_base(d->p, d->line, *slot);
	case SP_FRAME:
		err = slot_new(d->p, 1, slot);
		return err ? err : special_frame_address(d->p, d->line, v->offset, *slot);
	default:
		return decode_fail(d, -EINVAL, "no address");
	}
}

static int src_variable(struct decode *d, const struct operand *o, enum type t, uint32_t *slot)
{
	unsigned size = type_size(t);
	bool wide = o->var->space == SP_GLOBAL || o->var->space == SP_CONST;
	struct insn add = {.fn = exec_add_imm, .line = d->line, .imm = o->offset};
	int err;

	if (type_is_float(t) || type_is_half(t) || size < 4 || (wide && size < 8))
		return decode_fail(d, -EINVAL, "an address does not fit the type");
	err = var_address(d, o->var, &add.a);
	*slot = add.a;
	if (err || !o->offset)
		return err;
	err = slot_new(d->p, 1, slot);
	add.d = *slot;
	return err ? err : emit(d->p, &add);
}

static int src_float(struct decode *d, const struct operand *o, enum type t, uint32_t *slot)
{
	uint64_t bits = o->value;
	uint32_t word = (uint32_t)bits;
	double v;
	float f;

	memcpy(&v, &bits, sizeof(v));
	memcpy(&f, &word, sizeof(f));
	if (t == T_F32 || t == T_B32) {
		if (!o->single) {
			f = (float)v;
			memcpy(&word, &f, sizeof(word));
		}
		return constant(d->p, word, slot);
	}
	if (t != T_F64 && t != T_B64)
		return decode_fail(d, -EINVAL, "a float constant does not fit the type");
	if (o->single) {
		v = f;
		memcpy(&bits, &v, sizeof(bits));
	}
	return constant(d->p, bits, slot);
}

static int src_function(struct decode *d, struct func *f, enum type t, uint32_t *slot)
{
	struct func_ref *r;

	if (type_size(t) != 8 || type_is_float(t) || f->is_entry)
		return decode_fail(d, -ENOTSUP, "address of a function");
	r = arena_alloc(&d->p->m->arena, sizeof(*r));
	if (!r)
		return parse_nomem(d->p);
	*r = (struct func_ref){d->p->f->calls, f};
	d->p->f->calls = r;
	return constant(d->p, PTX_WINDOW_CODE + (f->number + 1ull) * PTX_CODE_STRIDE, slot);
}

/* The slot of an operand that is read, for a value of type @t. A register must be as wide as the type. */
int src_of(struct decode *d, const struct operand *o, enum type t, uint32_t *slot)
{
	int err;

	if (o->negated || o->pair)
		return decode_fail(d, -EINVAL, "an operand does not fit");
	switch (o->kind) {
	case OPD_REG:
		if (type_size(o->type) != type_size(t) || (o->type == T_PRED) != (t == T_PRED))
			return decode_fail(d, -EINVAL, "a register's size does not fit the instruction");
		*slot = o->slot;
		return 0;
	case OPD_INT:
		if (type_is_float(t))
			return decode_fail(d, -EINVAL, "an integer constant where a float is wanted");
		return constant(d->p, t == T_PRED ? o->value != 0 : o->value, slot);
	case OPD_FLOAT:
		return src_float(d, o, t, slot);
	case OPD_SPECIAL:
		if (type_is_float(t) || type_is_half(t) || t == T_PRED || type_size(t) < 2)
			return decode_fail(d, -EINVAL, "a special register does not fit the type");
		err = slot_new(d->p, 1, slot);
		return err ? err : emit_special(d->p, d->line, (unsigned)o->value, *slot);
	case OPD_VAR:
		return src_variable(d, o, t, slot);
	case OPD_FUNC:
		return src_function(d, o->func, t, slot);
	case OPD_NAME:
		return parse_error(d->p, d->line, -EINVAL, "'%.*s' is not declared", (int)o->len, o->name);
	default:
		return decode_fail(d, -EINVAL, "an operand does not fit");
	}
}

int src(struct decode *d, unsigned i, enum type t, uint32_t *slot)
{
	return src_of(d, d->ops[i], t, slot);
}

/* As src_of(), for the instructions that take registers wider than their type (ld, st, cvt). */
int src_wide(struct decode *d, const struct operand *o, enum type t, uint32_t *slot)
{
	if (o->kind != OPD_REG || o->negated || o->pair || t == T_PRED)
		return src_of(d, o, t, slot);
	if (o->type == T_PRED || type_size(o->type) < type_size(t))
		return decode_fail(d, -EINVAL, "a register is too small for the instruction");
	*slot = o->slot;
	return 0;
}

/* A predicate that may be negated. */
int src_pred(struct decode *d, unsigned i, uint32_t *slot, bool *negated)
{
	struct operand o = *d->ops[i];

	*negated = o.negated;
	o.negated = false;
	return src_of(d, &o, T_PRED, slot);
}

int dst_of(struct decode *d, const struct operand *o, enum type t, uint32_t *slot)
{
	if (o->kind == OPD_SINK) {
		*slot = 0;
		return 0;
	}
	if (o->kind != OPD_REG || o->negated)
		return decode_fail(d, -EINVAL, "the result must go to a register");
	if (type_size(o->type) != type_size(t) || (o->type == T_PRED) != (t == T_PRED))
		return decode_fail(d, -EINVAL, "the result register's size does not fit the instruction");
	*slot = o->slot;
	return 0;
}

int dst(struct decode *d, unsigned i, enum type t, uint32_t *slot)
{
	if (d->ops[i]->pair)
		return decode_fail(d, -EINVAL, "a second result");
	return dst_of(d, d->ops[i], t, slot);
}

/* As dst_of(), for results narrower than their register; @size is the register's. */
int dst_wide(struct decode *d, const struct operand *o, enum type t, uint32_t *slot, unsigned *size)
{
	*size = 8;
	*slot = 0;
	if (o->kind == OPD_SINK)
		return 0;
	if (o->kind != OPD_REG || o->negated || o->pair || o->type == T_PRED || type_size(o->type) < type_size(t))
		return decode_fail(d, -EINVAL, "the result does not fit its operand");
	*slot = o->slot;
	*size = type_size(o->type);
	return 0;
}

int emit_plain(struct decode *d, unsigned sources, enum type td, enum type ta, enum type tb, enum type tc)
{
	int err = need_operands(d, sources + 1, sources + 1);

	if (!err)
		err = dst(d, 0, td, &d->in.d);
	if (!err)
		err = src(d, 1, ta, &d->in.a);
	if (!err && sources > 1)
		err = src(d, 2, tb, &d->in.b);
	if (!err && sources > 2)
		err = src(d, 3, tc, &d->in.c);
	return err ? err : emit(d->p, &d->in);
}

int emit_alike(struct decode *d, unsigned sources, enum type t)
{
	return emit_plain(d, sources, t, t, t, t);
}

int immediate(struct decode *d, unsigned i, uint64_t limit, uint64_t *value)
{
	if (d->ops[i]->kind != OPD_INT || d->ops[i]->value > limit)
		return decode_fail(d, -EINVAL, "a constant is missing or out of range");
	*value = d->ops[i]->value;
	return 0;
}

/* The slots of a {vector} of @t, each register at least as wide. */
int slots_of_list(struct decode *d, const struct operand *o, enum type t, bool result, const uint32_t **slots)
{
	uint32_t *s = arena_alloc(&d->p->m->arena, (o->n ? o->n : 1) * sizeof(*s));
	unsigned size;

	if (!s)
		return parse_nomem(d->p);
	for (unsigned i = 0; i < o->n; i++) {
		int err = result ? dst_wide(d, &o->list[i], t, &s[i], &size) : src_wide(d, &o->list[i], t, &s[i]);

		if (err)
			return err;
	}
	*slots = s;
	return 0;
}

static int frame_bounds(struct decode *d, const struct var *v, int64_t offset, unsigned size)
{
	if (offset < 0 || (uint64_t)offset + size > v->size)
		return decode_fail(d, -EINVAL, "an access beyond its parameter");
	return 0;
}

/* Spaces of the variable and of the instruction agree, or the instruction names none (generic). */
static bool space_fits(const struct var *v, enum space space)
{
	if (v->space == SP_FRAME)
		return space == SP_PARAM || space == SP_LOCAL || space == SP_GENERIC;
	return v->space == space || space == SP_GENERIC;
}

static int address_of_var(struct decode *d, const struct operand *o, enum space space, unsigned size, unsigned align)
{
	struct var *v = o->var;
	int err;

	if (!space_fits(v, space))
		return decode_fail(d, -EINVAL, "a variable of another state space");
	d->in.space = (uint8_t)v->space;
	if (v->space == SP_PARAM || v->space == SP_FRAME) {
		d->in.imm = (int64_t)v->offset + o->offset;
		if ((uint64_t)d->in.imm % align)
			return decode_fail(d, -EINVAL, "a misaligned access");
		return frame_bounds(d, v, o->offset, size);
	}
	err = var_address(d, v, &d->in.a);
	d->in.imm = o->offset;
	d->in.mask = UINT64_MAX;
	return err;
}

/*
 * Decodes [address] of an access of @size bytes into in.a (base slot), in.mask, in.imm and in.space. A .param address
 * in a register: in a kernel the kernel's parameters, in a function (whose parameters lie in local memory) local.
 */
int address(struct decode *d, const struct operand *o, enum space space, unsigned size, unsigned align)
{
	if (o->kind != OPD_ADDRESS || o->n)
		return decode_fail(d, -EINVAL, "an address is missing");
	d->in.size = (uint8_t)size;
	d->in.n = (uint8_t)align;
	if (o->var)
		return address_of_var(d, o, space, size, align);
	d->in.space = (uint8_t)(space == SP_PARAM && !d->p->f->is_entry ? SP_LOCAL : space);
	d->in.imm = o->offset;
	if (!o->has_base)
		return 0;
	if (type_is_float(o->type) || o->type == T_PRED || type_size(o->type) < 4)
		return decode_fail(d, -EINVAL, "the address register has a wrong type");
	d->in.a = o->slot;
	d->in.mask = type_size(o->type) == 8 ? UINT64_MAX : UINT32_MAX;
	return 0;
}

int handle_of(struct decode *d, const struct operand *o, unsigned coordinates)
{
	if (o->kind != OPD_ADDRESS || !o->has_base || o->offset || type_size(o->type) != 8 || type_is_float(o->type))
		return decode_fail(d, -ENOTSUP, "the handle of a texture or surface is wanted in a 64-bit register");
	if (o->n != coordinates)
		return decode_fail(d, -EINVAL, "wrong number of coordinates");
	d->in.a = o->slot;
	return 0;
}
