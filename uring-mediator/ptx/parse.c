/* SPDX-License-Identifier: MIT */
/*
 * The outermost level of PTX text: directives, module variables, functions; and ptx_parse() itself. The parser lives
 * on the caller's stack for the length of one ptx_parse(); what it makes belongs to the module.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "parse.h"

int parse_error(struct parser *p, int line, int err, const char *fmt, ...)
{
	va_list ap;

	if (p->diag.line || p->diag.text[0])
		return err;
	p->diag.line = line;
	p->diag.part = p->part;
	va_start(ap, fmt);
	vsnprintf(p->diag.text, sizeof(p->diag.text), fmt, ap);
	va_end(ap);
	for (char *c = p->diag.text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = ' ';
	return err;
}

int parse_nomem(struct parser *p)
{
	return parse_error(p, p->tok.line, -ENOMEM, "out of memory");
}

void next_token(struct parser *p)
{
	p->tok = p->ahead;
	lex_next(&p->lx, &p->ahead);
}

bool token_is(const struct token *t, const char *word)
{
	return t->kind == TOK_WORD && t->len == strlen(word) && !memcmp(t->text, word, t->len);
}

bool at_word(const struct parser *p, const char *word)
{
	return token_is(&p->tok, word);
}

bool at_punct(const struct parser *p, char c)
{
	return p->tok.kind == TOK_PUNCT && p->tok.value == (unsigned char)c;
}

bool accept(struct parser *p, char c)
{
	if (!at_punct(p, c))
		return false;
	next_token(p);
	return true;
}

int expect(struct parser *p, char c)
{
	if (accept(p, c))
		return 0;
	if (p->tok.kind == TOK_END)
		return parse_error(p, p->tok.line, -EINVAL, "'%c' was expected at the end of the text", c);
	return parse_error(p, p->tok.line, -EINVAL, "'%c' was expected at '%.*s'", c, (int)p->tok.len, p->tok.text);
}

int parse_uint(struct parser *p, uint64_t limit, const char *what, uint64_t *value)
{
	if (p->tok.kind != TOK_INT || p->tok.value > limit)
		return parse_error(p, p->tok.line, -EINVAL, "%s: '%.*s' is not a number in range", what,
				   (int)p->tok.len, p->tok.text);
	*value = p->tok.value;
	next_token(p);
	return 0;
}

/* ".version 9.0": the lexer makes it one float. */
static int parse_version(struct parser *p)
{
	double v;

	memcpy(&v, &p->tok.value, sizeof(v));
	if (p->tok.kind != TOK_FLOAT || p->tok.single || !(v >= 1 && v < 100))
		return parse_error(p, p->tok.line, -EINVAL, ".version: '%.*s' is no version", (int)p->tok.len, p->tok.text);
	if (p->m->version < (unsigned)(v * 10 + 0.5))
		p->m->version = (unsigned)(v * 10 + 0.5);
	next_token(p);
	return 0;
}

/* ".target sm_75, texmode_independent" */
static int parse_target(struct parser *p)
{
	do {
		if (p->tok.kind != TOK_WORD)
			return parse_error(p, p->tok.line, -EINVAL, ".target: a name was expected");
		if (p->tok.len > 3 && !memcmp(p->tok.text, "sm_", 3)) {
			unsigned v = 0;

			for (size_t i = 3; i < p->tok.len && i < 8 && p->tok.text[i] >= '0' && p->tok.text[i] <= '9'; i++)
				v = v * 10 + (unsigned)(p->tok.text[i] - '0');
			if (p->m->target < v)
				p->m->target = v;
		}
		next_token(p);
	} while (accept(p, ','));
	return 0;
}

static int parse_address_size(struct parser *p)
{
	uint64_t v;
	int line = p->tok.line, err = parse_uint(p, 64, ".address_size", &v);

	if (!err && v != 64)
		return parse_error(p, line, -ENOTSUP, ".address_size %u", (unsigned)v);
	return err;
}

/* ".file 1 "name", 1, 2": all on one line. */
static int skip_line(struct parser *p)
{
	int line = p->tok.line;

	while (p->tok.kind != TOK_END && p->tok.line == line)
		next_token(p);
	return 0;
}

/* ".section .debug_info { ... }" */
static int skip_section(struct parser *p)
{
	next_token(p);
	if (!accept(p, '{'))
		return parse_error(p, p->tok.line, -EINVAL, ".section: '{' was expected");
	while (p->tok.kind != TOK_END && !at_punct(p, '}'))
		next_token(p);
	return expect(p, '}');
}

static int skip_statement(struct parser *p)
{
	while (p->tok.kind != TOK_END && !at_punct(p, ';'))
		next_token(p);
	return expect(p, ';');
}

static const struct {
	const char *word;
	enum space space;
} spaces[] = {
	{".global", SP_GLOBAL}, {".const", SP_CONST}, {".shared", SP_SHARED}, {".local", SP_LOCAL}, {".param", SP_PARAM},
};

/* ".visible .entry", ".extern .func", ".weak .global" */
static int parse_linked(struct parser *p)
{
	bool is_extern;

	p->linkage = (struct linkage){0};
	while (at_word(p, ".visible") || at_word(p, ".extern") || at_word(p, ".weak") || at_word(p, ".common")) {
		p->linkage.linked = true;
		p->linkage.is_extern |= at_word(p, ".extern");
		p->linkage.weak |= at_word(p, ".weak");
		next_token(p);
	}
	is_extern = p->linkage.is_extern;
	if (at_word(p, ".entry") || at_word(p, ".func")) {
		bool entry = at_word(p, ".entry");

		next_token(p);
		return parse_function(p, entry, is_extern);
	}
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (at_word(p, spaces[i].word)) {
			next_token(p);
			return parse_variable(p, spaces[i].space, is_extern);
		}
	return parse_error(p, p->tok.line, p->tok.kind == TOK_WORD && p->tok.text[0] == '.' ? -ENOTSUP : -EINVAL,
			   "unknown directive '%.*s'", (int)p->tok.len, p->tok.text);
}

static int parse_directive(struct parser *p)
{
	static const struct {
		const char *word;
		int (*parse)(struct parser *p);
	} table[] = {
		{".version", parse_version}, {".target", parse_target}, {".address_size", parse_address_size},
		{".file", skip_line}, {".loc", skip_line}, {".section", skip_section}, {".pragma", skip_statement},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (at_word(p, table[i].word)) {
			next_token(p);
			return table[i].parse(p);
		}
	return parse_linked(p);
}

static int parse_text(struct parser *p, const struct ptx_text *t)
{
	const char *nul = memchr(t->text, 0, t->len);
	int err = 0;

	p->lx = (struct lexer){t->text, nul ? nul : t->text + t->len, 1};
	next_token(p);
	next_token(p);
	if ((size_t)(p->lx.end - t->text) > PTX_TEXT_LIMIT)
		return parse_error(p, 1, -ENOTSUP, "the text is too long");
	if (!at_word(p, ".version"))
		return parse_error(p, p->tok.line, -EINVAL, "the text does not begin with .version");
	while (!err && p->tok.kind != TOK_END)
		err = accept(p, ';') ? 0 : parse_directive(p);
	if (!err && !p->m->target)
		err = parse_error(p, p->tok.line, -EINVAL, "no .target");
	return err;
}

static int parse_texts(struct parser *p, const struct ptx_text *texts, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++) {
		if (count > 1)
			p->part = (unsigned)i + 1;
		err = parse_text(p, &texts[i]);
		scope_hide_unlinked(p);
	}
	p->part = 0;
	return err;
}

/* Reads the texts and, with @out, makes a module of them. */
static int read_texts(const struct ptx_text *texts, size_t count, struct ptx_module **out, struct ptx_diag *diag)
{
	struct parser *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->m = calloc(1, sizeof(*p->m));
	if (!p->m) {
		free(p);
		return -ENOMEM;
	}
	p->m->last = &p->m->first;
	err = parse_texts(p, texts, count);
	if (!err && out)
		err = layout_module(p);
	scope_drop_all(p);
	free(p->consts);
	if (err && diag)
		*diag = p->diag;
	if (err || !out)
		ptx_free(p->m);
	else
		*out = p->m;
	free(p);
	return err;
}

int ptx_link(const struct ptx_text *texts, size_t count, struct ptx_module **out, struct ptx_diag *diag)
{
	*out = NULL;
	if (diag)
		*diag = (struct ptx_diag){0};
	return read_texts(texts, count, out, diag);
}

int ptx_check(const struct ptx_text *text, struct ptx_diag *diag)
{
	*diag = (struct ptx_diag){0};
	return read_texts(text, 1, NULL, diag);
}

int ptx_parse(const char *text, size_t len, struct ptx_module **out, struct ptx_diag *diag)
{
	return ptx_link(&(struct ptx_text){text, len}, 1, out, diag);
}

void ptx_free(struct ptx_module *m)
{
	if (!m)
		return;
	for (struct func *f = m->first; f; f = f->next) {
		free(f->code);
		free(f->init);
	}
	arena_free(&m->arena);
	free(m);
}
