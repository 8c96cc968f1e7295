/* SPDX-License-Identifier: MIT */
/*
 * Functions: heads (.entry, .func, performance directives) and bodies (braces, registers, labels, statements). Runs
 * on the parsing thread; functions belong to the module.
 */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "parse.h"

static struct func *new_func(struct parser *p, const struct token *name, bool entry)
{
	struct func *f = arena_alloc(&p->m->arena, sizeof(*f));

	if (!f)
		return NULL;
	f->name = arena_name(&p->m->arena, name->text, name->len);
	if (!f->name)
		return NULL;
	f->is_entry = entry;
	f->line = name->line;
	f->number = p->m->nfuncs++;
	*p->m->last = f;
	p->m->last = &f->next;
	return f;
}

/*
 * Names the function; a definition may follow declarations. Another .weak definition is read, but the name keeps its
 * first meaning. Kernels are looked up by name in the whole module, whatever their linkage.
 */
static int claim_func(struct parser *p, const struct token *name, bool entry, struct func **out)
{
	struct sym *s = sym_find_here(p, name->text, name->len);
	int err;

	if (name->kind != TOK_WORD)
		return parse_error(p, name->line, -EINVAL, "a function name was expected at '%.*s'", (int)name->len,
				   name->text);
	if (s && s->kind == SYM_FUNC && s->func->is_entry == entry) {
		s->linked |= p->linkage.linked;
		*out = s->func;
		if (!s->func->defined || !p->linkage.weak || !at_punct(p, '{'))
			return 0;
		*out = new_func(p, name, entry);
		if (*out)
			(*out)->shadow = true;
		return *out ? 0 : parse_nomem(p);
	}
	err = sym_add(p, name, SYM_FUNC, &s);
	if (err)
		return err;
	s->linked |= entry;
	s->func = *out = new_func(p, name, entry);
	return s->func ? 0 : parse_nomem(p);
}

static bool same_formals(const struct var *a, uint32_t na, const struct var *b, uint32_t nb)
{
	if (na != nb)
		return false;
	for (uint32_t i = 0; i < na; i++)
		if (a[i].size != b[i].size || a[i].space != b[i].space || a[i].align != b[i].align)
			return false;
	return true;
}

static int parse_dims(struct parser *p, uint32_t dims[3])
{
	for (unsigned i = 0; i < 3; i++) {
		uint64_t v;
		int err;

		dims[i] = 1;
		if (i && !accept(p, ','))
			continue;
		err = parse_uint(p, UINT32_MAX, "dimension", &v);
		if (err)
			return err;
		dims[i] = (uint32_t)v;
	}
	return 0;
}

static int parse_max_threads(struct parser *p, struct func *f, bool required)
{
	uint32_t dims[3];
	int err = parse_dims(p, dims);
	uint64_t n;

	if (err)
		return err;
	if (!dims[0] || !dims[1] || !dims[2] || dims[0] > 1024 || dims[1] > 1024 || dims[2] > 1024)
		return parse_error(p, p->tok.line, -EINVAL, "more than 1024 threads");
	n = (uint64_t)dims[0] * dims[1] * dims[2];
	if (n > 1024)
		return parse_error(p, p->tok.line, -EINVAL, "more than 1024 threads");
	f->entry.max_threads = (uint32_t)n;
	if (required)
		memcpy(f->entry.reqntid, dims, sizeof(dims));
	return 0;
}

/* What may stand between a head and its body. */
static int parse_performance(struct parser *p, struct func *f)
{
	uint64_t ignored;
	int err = 0;

	while (!err && p->tok.kind == TOK_WORD && p->tok.text[0] == '.') {
		struct token word = p->tok;

		next_token(p);
		if (token_is(&word, ".maxntid") || token_is(&word, ".reqntid"))
			err = parse_max_threads(p, f, token_is(&word, ".reqntid"));
		else if (token_is(&word, ".minnctapersm") || token_is(&word, ".maxnreg") ||
			 token_is(&word, ".maxnctapersm"))
			err = parse_uint(p, UINT32_MAX, "number", &ignored);
		else if (token_is(&word, ".pragma")) {
			while (p->tok.kind == TOK_STRING || at_punct(p, ','))
				next_token(p);
			err = expect(p, ';');
		} else if (!token_is(&word, ".noreturn"))
			err = parse_error(p, word.line, -ENOTSUP, "unknown directive '%.*s'", (int)word.len, word.text);
	}
	return err;
}

/* ".reg .b32 %r<5>, %x;" after ".reg" */
static int parse_registers(struct parser *p)
{
	enum type type;
	int err = parse_type_word(p, &type);

	while (!err) {
		struct token name = p->tok;
		uint64_t count = 1;
		bool range;
		struct sym *s;

		if (name.kind != TOK_WORD || memchr(name.text, '.', name.len))
			return parse_error(p, name.line, -EINVAL, "a register name was expected at '%.*s'",
					   (int)name.len, name.text);
		next_token(p);
		range = accept(p, '<');
		if (range) {
			err = parse_uint(p, PTX_SLOTS_LIMIT, "registers", &count);
			if (!err)
				err = expect(p, '>');
			name.len++; /* symbols.c: the name of a range ends in '<' */
			if (!err && name.text[name.len - 1] != '<')
				err = parse_error(p, name.line, -ENOTSUP, "space before '<'");
		}
		if (!err)
			err = sym_add(p, &name, range ? SYM_REGS : SYM_REG, &s);
		if (!err)
			err = slot_new(p, (uint32_t)count, &s->slot);
		if (err)
			return err;
		s->type = type;
		s->count = (uint32_t)count;
		p->f->nregs32 += (uint32_t)count * (type_size(type) == 8 ? 2 : type != T_PRED);
		if (!accept(p, ','))
			break;
	}
	return err ? err : expect(p, ';');
}

static int parse_label(struct parser *p)
{
	struct token name = p->tok;
	struct sym *s;
	int err;

	next_token(p);
	next_token(p);
	if (at_word(p, ".branchtargets") || at_word(p, ".callprototype") || at_word(p, ".calltargets"))
		return parse_label_data(p, &name);
	err = sym_add(p, &name, SYM_LABEL, &s);
	if (!err)
		s->index = (int64_t)p->f->ncode;
	return err;
}

static int skip_to_line_end(struct parser *p)
{
	int line = p->tok.line;

	while (p->tok.kind != TOK_END && p->tok.line == line)
		next_token(p);
	return 0;
}

static int parse_body_directive(struct parser *p)
{
	static const struct {
		const char *word;
		enum space space;
	} spaces[] = {{".local", SP_LOCAL}, {".shared", SP_SHARED}, {".param", SP_PARAM},
		      {".global", SP_GLOBAL}, {".const", SP_CONST}};

	if (at_word(p, ".loc") || at_word(p, ".file"))
		return skip_to_line_end(p);
	if (at_word(p, ".pragma")) {
		while (p->tok.kind != TOK_END && !at_punct(p, ';'))
			next_token(p);
		return expect(p, ';');
	}
	if (at_word(p, ".reg")) {
		next_token(p);
		return parse_registers(p);
	}
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (at_word(p, spaces[i].word)) {
			next_token(p);
			return parse_variable(p, spaces[i].space, false);
		}
	return parse_error(p, p->tok.line, -ENOTSUP, "unknown directive '%.*s'", (int)p->tok.len, p->tok.text);
}

/* Statements up to the brace that closes the body; nested braces only open and close scopes. */
static int parse_statements(struct parser *p)
{
	unsigned outer = p->depth;

	for (;;) {
		int err;

		if (p->tok.kind == TOK_END)
			return parse_error(p, p->tok.line, -EINVAL, "'}' was expected at the end of the text");
		if (accept(p, '}')) {
			if (p->depth == outer)
				return 0;
			err = scope_pop(p);
		} else if (accept(p, '{'))
			err = scope_push(p);
		else if (accept(p, ';'))
			err = 0;
		else if (p->tok.kind == TOK_WORD && p->ahead.kind == TOK_PUNCT && p->ahead.value == ':')
			err = parse_label(p);
		else if (p->tok.kind == TOK_WORD && p->tok.text[0] == '.')
			err = parse_body_directive(p);
		else
			err = parse_instruction(p);
		if (err)
			return err;
	}
}

static void settle_targets(struct func *f)
{
	for (size_t i = 0; i < f->ncode; i++)
		if (control_is_branch(&f->code[i]))
			f->code[i].target = &f->code[f->code[i].imm];
}

static int parse_body(struct parser *p, struct func *f)
{
	int err;

	if (f->defined)
		return parse_error(p, p->tok.line, -EINVAL, "'%s' is defined twice", f->name);
	f->defined = true;
	next_token(p);
	err = parse_statements(p);
	if (!err)
		err = control_emit_end(p);
	if (!err)
		err = template_finish(p);
	if (!err)
		err = scope_pop(p);
	if (err)
		return err;
	settle_targets(f);
	return 0;
}

static void start_function(struct parser *p, struct func *f)
{
	p->f = f;
	p->frame_top = 0;
	p->nfixups = 0;
	p->nconsts = 0;
	if (p->consts)
		memset(p->consts, 0, p->consts_room * sizeof(*p->consts));
	f->entry.params_size = 0;
	f->entry.max_threads = 1024;
	f->frame_size = 0;
	if (!f->nslots)
		f->nslots = 1;
}

/* After ".entry" or ".func". */
int parse_function(struct parser *p, bool entry, bool is_extern)
{
	struct var *rets = NULL, *params = NULL;
	uint32_t nrets = 0, nparams = 0;
	struct func scratch = {.nslots = 1}, *f;
	struct token name;
	int err;

	start_function(p, &scratch);
	err = scope_push(p);
	if (!err && !entry && at_punct(p, '('))
		err = parse_formals(p, false, &rets, &nrets, true);
	name = p->tok;
	next_token(p);
	if (!err && at_punct(p, '('))
		err = parse_formals(p, entry, &params, &nparams, true);
	if (!err)
		err = parse_performance(p, &scratch);
	p->depth--;
	if (!err)
		err = claim_func(p, &name, entry, &f);
	p->depth++;
	if (err)
		goto out;
	if (f->params || f->rets || f->nparams || f->nrets || f->defined)
		if (!same_formals(f->params, f->nparams, params, nparams) || !same_formals(f->rets, f->nrets, rets, nrets)) {
			err = parse_error(p, name.line, -EINVAL, "'%s' is declared with other parameters", f->name);
			goto out;
		}
	f->params = params;
	f->nparams = nparams;
	f->rets = rets;
	f->nrets = nrets;
	if (at_punct(p, '{') && !is_extern) {
		f->nslots = scratch.nslots;
		f->frame_size = scratch.frame_size;
		f->entry = scratch.entry;
		p->f = f;
		err = parse_body(p, f);
		p->f = NULL;
		return err;
	}
	err = expect(p, ';');
out:
	p->f = NULL;
	if (!err)
		err = scope_pop(p);
	return err;
}
