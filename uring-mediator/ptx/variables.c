/* SPDX-License-Identifier: MIT */
/*
 * Declarations of variables (.global, .const, .shared, .local, .param) and of formal parameters. Variables lie in the
 * module's arena; the parsing thread runs this.
 */
#include <string.h>

#include "parse.h"

#define GLOBAL_LIMIT (64ull << 30)
#define DIMS_LIMIT 8

/* What stands before the name, and the array behind it. */
struct declarator {
	enum type type;
	uint32_t align;  /* 0: natural */
	uint32_t lanes;  /* 2 or 4 of .v2 and .v4 */
	bool sized, array, managed;
	uint64_t dims[DIMS_LIMIT];
	unsigned ndims;
	struct token name;
};

static int parse_align(struct parser *p, uint32_t *align)
{
	uint64_t v;
	int err = parse_uint(p, 1u << 20, ".align", &v);

	if (err)
		return err;
	if (!v || (v & (v - 1)))
		return parse_error(p, p->tok.line, -EINVAL, ".align must be a power of two");
	*align = (uint32_t)v;
	return 0;
}

/* Consumes ".u32" and its like. */
int parse_type_word(struct parser *p, enum type *type)
{
	*type = p->tok.kind == TOK_WORD && p->tok.len > 1 && p->tok.text[0] == '.' ?
		type_from_name(p->tok.text + 1, p->tok.len - 1) : T_NONE;
	if (*type == T_NONE)
		return parse_error(p, p->tok.line, p->tok.kind == TOK_WORD && p->tok.text[0] == '.' ? -ENOTSUP : -EINVAL,
				   "a type was expected at '%.*s'", (int)p->tok.len, p->tok.text);
	next_token(p);
	return 0;
}

/* After ".attribute": what lies in memory that the host reaches, too. */
static int parse_managed(struct parser *p, struct declarator *d)
{
	int err = expect(p, '(');

	if (!err && !at_word(p, ".managed"))
		err = parse_error(p, p->tok.line, -ENOTSUP, ".attribute(%.*s)", (int)p->tok.len, p->tok.text);
	if (err)
		return err;
	d->managed = true;
	next_token(p);
	return expect(p, ')');
}

static int parse_attributes(struct parser *p, struct declarator *d)
{
	for (;;) {
		int err = 0;

		if (at_word(p, ".align")) {
			next_token(p);
			err = parse_align(p, &d->align);
		} else if (at_word(p, ".attribute")) {
			next_token(p);
			err = parse_managed(p, d);
		} else if (at_word(p, ".v2") || at_word(p, ".v4")) {
			d->lanes = (uint32_t)(p->tok.text[2] - '0');
			next_token(p);
		} else {
			return parse_type_word(p, &d->type);
		}
		if (err)
			return err;
	}
}

/* The name and its [n][m]. */
static int parse_name(struct parser *p, struct declarator *d)
{
	if (p->tok.kind != TOK_WORD)
		return parse_error(p, p->tok.line, -EINVAL, "a name was expected at '%.*s'", (int)p->tok.len, p->tok.text);
	d->name = p->tok;
	d->ndims = 0;
	d->array = false;
	d->sized = true;
	next_token(p);
	while (accept(p, '[')) {
		int err = 0;

		if (d->ndims == DIMS_LIMIT)
			return parse_error(p, p->tok.line, -EINVAL, "too many array dimensions");
		d->array = true;
		d->dims[d->ndims] = 0;
		if (at_punct(p, ']'))
			d->sized = false;
		else
			err = parse_uint(p, GLOBAL_LIMIT, "array size", &d->dims[d->ndims]);
		if (!err)
			err = expect(p, ']');
		if (err)
			return err;
		d->ndims++;
	}
	return 0;
}

static int fill_var(struct parser *p, const struct declarator *d, struct var *v)
{
	uint64_t size = type_size(d->type) * d->lanes;

	if (d->type == T_PRED || d->type == T_NONE)
		return parse_error(p, d->name.line, -EINVAL, "'%.*s': a variable cannot have this type", (int)d->name.len,
				   d->name.text);
	v->align = d->align > size ? d->align : (uint32_t)size;
	if (d->align && d->align < size && d->lanes == 1 && d->array)
		v->align = d->align;
	for (unsigned i = 0; i < d->ndims; i++)
		if (__builtin_mul_overflow(size, d->dims[i], &size) || size > GLOBAL_LIMIT)
			return parse_error(p, d->name.line, -EINVAL, "'%.*s' is too large", (int)d->name.len,
					   d->name.text);
	v->type = d->type;
	v->size = size;
	v->line = d->name.line;
	v->name = arena_name(&p->m->arena, d->name.text, d->name.len);
	return v->name ? 0 : parse_nomem(p);
}

/* Gives a variable its place in the function's frame. */
static int frame_place(struct parser *p, struct var *v)
{
	uint64_t offset = ((uint64_t)p->frame_top + v->align - 1) & ~((uint64_t)v->align - 1);

	if (v->size > PTX_FRAME_LIMIT || offset + v->size > PTX_FRAME_LIMIT)
		return parse_error(p, v->line, -ENOTSUP, "'%s': more than %u bytes of local memory", v->name,
				   PTX_FRAME_LIMIT);
	v->space = SP_FRAME;
	v->offset = (uint32_t)offset;
	p->frame_top = (uint32_t)(offset + v->size);
	if (p->frame_top > p->f->frame_size)
		p->f->frame_size = p->frame_top;
	return 0;
}

static int place_shared(struct parser *p, struct var *v)
{
	uint32_t *top = p->f ? &p->f->shared_size : &p->m->shared_size;
	uint64_t offset = ((uint64_t)*top + v->align - 1) & ~((uint64_t)v->align - 1);

	v->owner = p->f;
	if (v->is_extern && !v->size) {
		v->dynamic = true;
		return 0;
	}
	if (v->is_extern)
		return parse_error(p, v->line, -ENOTSUP, "'%s': .extern .shared with a size", v->name);
	if (v->size > PTX_SHARED_LIMIT || offset + v->size > PTX_SHARED_LIMIT)
		return parse_error(p, v->line, -ENOTSUP, "'%s': more than %u bytes of shared memory", v->name,
				   PTX_SHARED_LIMIT);
	v->offset = (uint32_t)offset;
	*top = (uint32_t)(offset + v->size);
	return 0;
}

static int add_global(struct parser *p, struct var *v)
{
	struct ptx_module *m = p->m;

	if (m->nglobals == m->globals_room) {
		size_t room = m->globals_room ? m->globals_room * 2 : 16;
		struct global *g = arena_alloc(&m->arena, room * sizeof(*g));

		if (!g)
			return parse_nomem(p);
		if (m->nglobals)
			memcpy(g, m->globals, m->nglobals * sizeof(*g));
		m->globals = g;
		m->globals_room = room;
	}
	v->global = (uint32_t)m->nglobals++;
	return 0;
}

/* Places a .global or .const variable; a definition after an .extern declaration takes over its number. */
static int place_global(struct parser *p, struct var *v, const struct declarator *d)
{
	struct global *g;
	int err;

	if (!v->is_extern && !v->size)
		return parse_error(p, v->line, -EINVAL, "'%s' has no size", v->name);
	g = &p->m->globals[v->global];
	g->info = (struct ptx_global){
		.name = v->name, .size = v->size, .align = v->align,
		.space = v->space == SP_CONST ? PTX_SPACE_CONST : PTX_SPACE_GLOBAL,
		.managed = d->managed,
	};
	g->defined = !v->is_extern;
	if (!accept(p, '='))
		return 0;
	if (v->is_extern)
		return parse_error(p, v->line, -EINVAL, "'%s': .extern with an initial value", v->name);
	if (d->lanes > 1)
		return parse_error(p, v->line, -ENOTSUP, "'%s': initial value of a vector", v->name);
	err = parse_initial(p, g, v->type, d->dims, d->ndims);
	return err;
}

/* Another .weak definition: it is read, but the name keeps its first meaning. */
static int declare_shadow(struct parser *p, const struct declarator *d, const struct var *fresh)
{
	struct var *v = arena_alloc(&p->m->arena, sizeof(*v));
	int err;

	if (!v)
		return parse_nomem(p);
	*v = *fresh;
	err = add_global(p, v);
	return err ? err : place_global(p, v, d);
}

/* Dynamic shared memory is one stretch, whoever names it. */
static bool is_dynamic(const struct var *v)
{
	return v->space == SP_SHARED && v->is_extern && !v->size;
}

/* A name of the module that is declared once more. 1: that is no redeclaration which is allowed. */
static int redeclare(struct parser *p, const struct declarator *d, struct sym *s, const struct var *fresh)
{
	uint32_t global;

	if (s->kind != SYM_VAR || p->f || s->var->space != fresh->space)
		return 1;
	s->linked |= p->linkage.linked;
	if (is_dynamic(s->var) && is_dynamic(fresh)) {
		if (s->var->align < fresh->align)
			s->var->align = fresh->align;
		return 0;
	}
	if (fresh->space != SP_GLOBAL && fresh->space != SP_CONST)
		return 1;
	if (fresh->is_extern)
		return 0;
	if (!s->var->is_extern)
		return p->linkage.weak ? declare_shadow(p, d, fresh) : 1;
	global = s->var->global;
	*s->var = *fresh;
	s->var->global = global;
	return place_global(p, s->var, d);
}

static int declare(struct parser *p, const struct declarator *d, enum space space, bool is_extern)
{
	struct sym *s = sym_find_here(p, d->name.text, d->name.len);
	struct var fresh = {.space = space, .is_extern = is_extern};
	int err = fill_var(p, d, &fresh);

	if (!err && s)
		err = redeclare(p, d, s, &fresh);
	if (err < 0 || (s && !err))
		return err;
	err = sym_add(p, &d->name, SYM_VAR, &s);
	if (err)
		return err;
	s->var = arena_alloc(&p->m->arena, sizeof(*s->var));
	if (!s->var)
		return parse_nomem(p);
	*s->var = fresh;
	if (!d->sized && !is_extern)
		return parse_error(p, d->name.line, -ENOTSUP, "'%s' has no size", fresh.name);
	switch (space) {
	case SP_SHARED:
		return place_shared(p, s->var);
	case SP_LOCAL:
		if (p->depth > 1)
			p->scopes[p->depth].pinned = true;
		return frame_place(p, s->var);
	case SP_PARAM:
		return frame_place(p, s->var);
	default:
		err = add_global(p, s->var);
		return err ? err : place_global(p, s->var, d);
	}
}

/* After ".shared" and its like: everything up to the semicolon. */
int parse_variable(struct parser *p, enum space space, bool is_extern)
{
	struct declarator d = {.lanes = 1};
	int err;

	if (!p->f && (space == SP_LOCAL || space == SP_PARAM))
		return parse_error(p, p->tok.line, -ENOTSUP, ".local or .param outside a function");
	err = parse_attributes(p, &d);
	if (!err && d.managed && space != SP_GLOBAL)
		err = parse_error(p, p->tok.line, -EINVAL, ".attribute(.managed) of what is not .global");
	if (err)
		return err;
	do {
		err = parse_name(p, &d);
		if (!err)
			err = declare(p, &d, space, is_extern);
		if (err)
			return err;
	} while (accept(p, ','));
	return expect(p, ';');
}

/* ".ptr .global .align 4" on a kernel parameter: a promise that we do not need. */
static int skip_pointer(struct parser *p)
{
	uint32_t align;

	if (!at_word(p, ".ptr"))
		return 0;
	next_token(p);
	while (at_word(p, ".global") || at_word(p, ".shared") || at_word(p, ".const") || at_word(p, ".local"))
		next_token(p);
	if (!at_word(p, ".align"))
		return 0;
	next_token(p);
	return parse_align(p, &align);
}

static int place_formal(struct parser *p, struct var *v, bool entry)
{
	uint64_t offset;

	if (v->space == SP_REG) {
		if (v->size > 8)
			return parse_error(p, v->line, -ENOTSUP, "'%s': an array in registers", v->name);
		return slot_new(p, 1, &v->slot);
	}
	if (!entry)
		return frame_place(p, v);
	offset = ((uint64_t)p->f->entry.params_size + v->align - 1) & ~((uint64_t)v->align - 1);
	if (offset + v->size > PTX_PARAMS_LIMIT)
		return parse_error(p, v->line, -EINVAL, "more than %u bytes of parameters", PTX_PARAMS_LIMIT);
	v->offset = (uint32_t)offset;
	p->f->entry.params_size = (uint32_t)(offset + v->size);
	return 0;
}

static int parse_formal(struct parser *p, bool entry, struct var *v, bool name_it)
{
	struct declarator d = {.lanes = 1};
	struct sym *s;
	int err;

	v->space = at_word(p, ".reg") ? SP_REG : SP_PARAM;
	if (!at_word(p, ".param") && (entry || !at_word(p, ".reg")))
		return parse_error(p, p->tok.line, -EINVAL, ".param was expected at '%.*s'", (int)p->tok.len, p->tok.text);
	next_token(p);
	err = parse_attributes(p, &d);
	if (!err)
		err = skip_pointer(p);
	if (!err)
		err = parse_name(p, &d);
	if (!err && v->space == SP_REG && d.type == T_PRED)
		return parse_error(p, d.name.line, -ENOTSUP, "a predicate as parameter");
	if (!err)
		err = fill_var(p, &d, v);
	if (!err && !d.sized)
		return parse_error(p, d.name.line, -ENOTSUP, "'%s': a parameter without size", v->name);
	if (!err && p->f)
		err = place_formal(p, v, entry);
	if (err || !name_it)
		return err;
	err = sym_add(p, &d.name, v->space == SP_REG ? SYM_REG : SYM_VAR, &s);
	if (err)
		return err;
	if (v->space == SP_REG) {
		s->slot = v->slot;
		s->type = v->type;
	} else {
		s->var = v;
	}
	return 0;
}

/* "( formal, ... )". With @declare the names become symbols of the innermost scope. */
int parse_formals(struct parser *p, bool entry, struct var **list, uint32_t *count, bool declare_them)
{
	struct var **slots = NULL;
	uint32_t n = 0, room = 0;
	int err = expect(p, '(');

	if (err)
		return err;
	while (!at_punct(p, ')')) {
		if (n && (err = expect(p, ',')))
			return err;
		if (n == room) {
			struct var **more = arena_alloc(&p->m->arena, (room = room ? room * 2 : 8) * sizeof(*slots));

			if (!more)
				return parse_nomem(p);
			if (n)
				memcpy(more, slots, n * sizeof(*slots));
			slots = more;
		}
		slots[n] = arena_alloc(&p->m->arena, sizeof(struct var));
		if (!slots[n])
			return parse_nomem(p);
		err = parse_formal(p, entry, slots[n], declare_them);
		if (err)
			return err;
		n++;
	}
	next_token(p);
	*count = n;
	*list = NULL;
	if (!n)
		return 0;
	*list = arena_alloc(&p->m->arena, n * sizeof(struct var));
	if (!*list)
		return parse_nomem(p);
	for (uint32_t i = 0; i < n; i++)
		(*list)[i] = *slots[i];
	return 0;
}
