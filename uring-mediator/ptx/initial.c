/* SPDX-License-Identifier: MIT */
/*
 * Initial values of .global and .const variables: bytes, and places that take addresses of other symbols once those
 * are bound. Parsing runs on the parsing thread; ptx_write_initial() on the module's owner's.
 */
#include <string.h>

#include "parse.h"

#define INIT_LIMIT (256ull << 20)

/* Makes bytes [0, end) exist. */
static int init_reserve(struct parser *p, struct global *g, uint64_t end, uint64_t *room)
{
	uint64_t want = *room ? *room : 64;
	unsigned char *bytes;

	if (end > INIT_LIMIT)
		return parse_error(p, p->tok.line, -ENOTSUP, "an initial value of more than %llu bytes", INIT_LIMIT);
	if (end > *room) {
		while (want < end)
			want *= 2;
		bytes = arena_alloc(&p->m->arena, want);
		if (!bytes)
			return parse_nomem(p);
		if (g->init_len)
			memcpy(bytes, g->init, g->init_len);
		g->init = bytes;
		*room = want;
	}
	if (end > g->init_len)
		g->init_len = end;
	return 0;
}

struct initial {
	struct global *g;
	enum type type;
	const uint64_t *dims;
	unsigned ndims;
	uint64_t room;
};

/* "sym", "sym+4", "generic(sym)+4", or a mask before one of them in parentheses: 0xFF00(sym) is its second byte. */
static int init_address(struct parser *p, struct initial *in, uint64_t offset, uint64_t mask)
{
	struct init_reloc *r = arena_alloc(&p->m->arena, sizeof(*r));
	bool generic = at_word(p, "generic");
	struct sym *s;
	int err = 0;

	if (!r)
		return parse_nomem(p);
	if (generic) {
		next_token(p);
		err = expect(p, '(');
		if (err)
			return err;
	}
	s = p->tok.kind == TOK_WORD ? sym_find(p, p->tok.text, p->tok.len) : NULL;
	if (!s || (s->kind != SYM_FUNC && s->kind != SYM_VAR) ||
	    (s->kind == SYM_VAR && s->var->space != SP_GLOBAL && s->var->space != SP_CONST))
		return parse_error(p, p->tok.line, -EINVAL, "no address for an initial value: '%.*s'", (int)p->tok.len,
				   p->tok.text);
	r->var = s->kind == SYM_VAR ? s->var : NULL;
	r->func = s->kind == SYM_FUNC ? s->func : NULL;
	next_token(p);
	if (generic)
		err = expect(p, ')');
	if (!err && (at_punct(p, '+') || at_punct(p, '-'))) {
		bool minus = at_punct(p, '-');

		next_token(p);
		err = parse_uint(p, UINT64_MAX, "offset", &r->addend);
		if (minus)
			r->addend = -r->addend;
	}
	if (err)
		return err;
	r->offset = offset;
	r->width = type_size(in->type);
	r->shift = mask ? (uint32_t)__builtin_ctzll(mask) : 0;
	if (mask ? r->width != 1 || mask >> r->shift != 0xff : r->width < 4)
		return parse_error(p, p->tok.line, -ENOTSUP, "part of an address as initial value");
	r->next = in->g->init_relocs;
	in->g->init_relocs = r;
	return init_reserve(p, in->g, offset + r->width, &in->room);
}

static int init_bits(struct parser *p, struct initial *in, uint64_t offset, uint64_t bits)
{
	int err = init_reserve(p, in->g, offset + type_size(in->type), &in->room);

	if (!err)
		memcpy(in->g->init + offset, &bits, type_size(in->type));
	return err;
}

static int init_float(struct parser *p, struct initial *in, uint64_t offset, bool minus)
{
	uint64_t bits = p->tok.value;
	bool single = p->tok.single;
	uint32_t word = (uint32_t)bits;
	double d;
	float f;

	next_token(p);
	memcpy(&d, &bits, sizeof(d));
	memcpy(&f, &word, sizeof(f));
	if (in->type == T_F32 || in->type == T_B32 || in->type == T_U32) {
		if (!single) {
			f = (float)d;
			memcpy(&word, &f, sizeof(word));
		}
		return init_bits(p, in, offset, word ^ (minus ? 0x80000000u : 0));
	}
	if (type_size(in->type) != 8)
		return parse_error(p, p->tok.line, -EINVAL, "a float as initial value of an integer");
	if (single) {
		d = f;
		memcpy(&bits, &d, sizeof(bits));
	}
	return init_bits(p, in, offset, bits ^ (minus ? 1ull << 63 : 0));
}

static int init_scalar(struct parser *p, struct initial *in, uint64_t offset)
{
	bool minus = accept(p, '-');
	uint64_t v;

	if (p->tok.kind == TOK_FLOAT)
		return init_float(p, in, offset, minus);
	if (p->tok.kind == TOK_INT) {
		int err;

		v = p->tok.value;
		next_token(p);
		if (!accept(p, '(')) {
			if (type_is_float(in->type))
				return parse_error(p, p->tok.line, -EINVAL, "an integer as initial value of a float");
			return init_bits(p, in, offset, minus ? -v : v);
		}
		if (!v)
			return parse_error(p, p->tok.line, -EINVAL, "an empty mask");
		err = init_address(p, in, offset, v);
		return err ? err : expect(p, ')');
	}
	if (minus || p->tok.kind != TOK_WORD)
		return parse_error(p, p->tok.line, -EINVAL, "no initial value: '%.*s'", (int)p->tok.len, p->tok.text);
	return init_address(p, in, offset, 0);
}

static int init_level(struct parser *p, struct initial *in, unsigned level, uint64_t offset)
{
	uint64_t stride = type_size(in->type), i = 0;
	int err = expect(p, '{');

	for (unsigned k = level + 1; k < in->ndims; k++)
		stride *= in->dims[k];
	while (!err && !at_punct(p, '}')) {
		if (i && (err = expect(p, ',')))
			return err;
		if (i >= in->dims[level])
			return parse_error(p, p->tok.line, -EINVAL, "more initial values than elements");
		if (level + 1 < in->ndims)
			err = init_level(p, in, level + 1, offset + i * stride);
		else
			err = init_scalar(p, in, offset + i * stride);
		i++;
	}
	return err ? err : expect(p, '}');
}

/* After '='. */
int parse_initial(struct parser *p, struct global *g, enum type type, const uint64_t *dims, unsigned ndims)
{
	struct initial in = {.g = g, .type = type, .dims = dims, .ndims = ndims};

	g->info.has_initial = true;
	return ndims ? init_level(p, &in, 0, 0) : init_scalar(p, &in, 0);
}

int ptx_write_initial(const struct ptx_module *m, size_t i, void *dst)
{
	const struct global *g;
	unsigned char *out = dst;

	if (i >= m->nglobals)
		return -EINVAL;
	g = &m->globals[i];
	for (const struct init_reloc *r = g->init_relocs; r; r = r->next)
		if (r->var && !m->globals[r->var->global].bound)
			return -EINVAL;
	memset(out, 0, g->info.size);
	if (g->init_len)
		memcpy(out, g->init, g->init_len);
	for (const struct init_reloc *r = g->init_relocs; r; r = r->next) {
		uint64_t at = r->var ? m->globals[r->var->global].address :
				       PTX_WINDOW_CODE + (r->func->number + 1ull) * PTX_CODE_STRIDE;

		at = (at + r->addend) >> r->shift;
		memcpy(out + r->offset, &at, r->width);
	}
	return 0;
}
