/* SPDX-License-Identifier: MIT */
/*
 * One statement of a function body: guard, mnemonic, operands; then the family that knows the mnemonic decodes it.
 * Runs on the parsing thread.
 */
#include <string.h>

#include "parse.h"

static int parse_list(struct parser *p, struct operand *o, char close);

/* "+4", "+-4", "-4" behind a symbol or register. */
static int parse_offset(struct parser *p, int64_t *offset)
{
	bool minus = false;
	uint64_t v;
	int err;

	*offset = 0;
	if (!at_punct(p, '+') && !at_punct(p, '-'))
		return 0;
	minus = at_punct(p, '-');
	next_token(p);
	if (accept(p, '-'))
		minus = !minus;
	err = parse_uint(p, UINT64_MAX, "offset", &v);
	if (!err)
		*offset = (int64_t)(minus ? -v : v);
	return err;
}

static int parse_number(struct parser *p, struct operand *o)
{
	bool minus = accept(p, '-');
	bool invert = !minus && accept(p, '~');

	if (p->tok.kind == TOK_INT) {
		o->kind = OPD_INT;
		o->value = minus ? -p->tok.value : invert ? ~p->tok.value : p->tok.value;
	} else if (p->tok.kind == TOK_FLOAT && !invert) {
		o->kind = OPD_FLOAT;
		o->single = p->tok.single;
		o->value = p->tok.value ^ (!minus ? 0 : o->single ? 1ull << 31 : 1ull << 63);
	} else {
		return parse_error(p, p->tok.line, -EINVAL, "an operand was expected at '%.*s'", (int)p->tok.len,
				   p->tok.text);
	}
	next_token(p);
	return 0;
}

static void operand_register(const struct token *t, const struct sym *s, struct operand *o)
{
	o->kind = OPD_REG;
	o->type = s->type;
	o->slot = s->slot;
	if (s->kind == SYM_REGS) {
		uint32_t n = 0;

		for (size_t i = s->len - 1; i < t->len; i++)
			n = n * 10 + (uint32_t)(t->text[i] - '0');
		o->slot += n;
	}
}

static int parse_word(struct parser *p, struct operand *o)
{
	struct token t = p->tok;
	struct sym *s = sym_find(p, t.text, t.len);
	int number;

	next_token(p);
	o->name = t.text;
	o->len = t.len;
	if (s && (s->kind == SYM_REG || s->kind == SYM_REGS)) {
		operand_register(&t, s, o);
	} else if (s && s->kind == SYM_VAR) {
		o->kind = OPD_VAR;
		o->var = s->var;
		return parse_offset(p, &o->offset);
	} else if (s && s->kind == SYM_FUNC) {
		o->kind = OPD_FUNC;
		o->func = s->func;
	} else if (!s && (number = special_find(t.text, t.len)) >= 0) {
		o->kind = OPD_SPECIAL;
		o->value = (uint64_t)number;
	} else if (token_is(&t, "_")) {
		o->kind = OPD_SINK;
	} else if (token_is(&t, "WARP_SZ")) {
		o->kind = OPD_INT;
		o->value = 32;
	} else if (t.text[0] == '%') {
		return parse_error(p, t.line, -EINVAL, "register '%.*s' is not declared", (int)t.len, t.text);
	} else {
		o->kind = OPD_NAME;
	}
	return 0;
}

static int parse_operand(struct parser *p, struct operand *o);

/* Behind "[handle,": one coordinate, or several in braces. */
static int parse_coordinates(struct parser *p, struct operand *o)
{
	int err;

	if (accept(p, '{')) {
		err = parse_list(p, o, '}');
	} else if (at_punct(p, '[') || at_punct(p, '(')) {
		err = parse_error(p, p->tok.line, -EINVAL, "a list inside an address");
	} else {
		o->list = arena_alloc(&p->m->arena, sizeof(*o->list));
		o->n = 1;
		err = o->list ? parse_operand(p, o->list) : parse_nomem(p);
	}
	if (!err && at_punct(p, ','))
		return parse_error(p, p->tok.line, -ENOTSUP, "a sampler apart from its texture");
	return err ? err : expect(p, ']');
}

static int parse_address(struct parser *p, struct operand *o)
{
	struct operand base = {0};
	int err;

	o->kind = OPD_ADDRESS;
	if (p->tok.kind == TOK_INT || at_punct(p, '-')) {
		err = parse_number(p, &base);
		if (!err && base.kind != OPD_INT)
			err = parse_error(p, p->tok.line, -EINVAL, "a float as address");
		o->offset = (int64_t)base.value;
		return err ? err : expect(p, ']');
	}
	if (p->tok.kind != TOK_WORD)
		return parse_error(p, p->tok.line, -EINVAL, "an address was expected at '%.*s'", (int)p->tok.len,
				   p->tok.text);
	err = parse_word(p, &base);
	if (err)
		return err;
	if (base.kind == OPD_REG) {
		o->has_base = true;
		o->slot = base.slot;
		o->type = base.type;
		if (accept(p, ','))
			return parse_coordinates(p, o);
		err = parse_offset(p, &o->offset);
	} else if (base.kind == OPD_VAR) {
		o->var = base.var;
		o->offset = base.offset;
	} else {
		err = parse_error(p, p->tok.line, -EINVAL, "'%.*s' is not an address", (int)base.len, base.name);
	}
	return err ? err : expect(p, ']');
}

static int parse_pair(struct parser *p, struct operand *o)
{
	o->pair = arena_alloc(&p->m->arena, sizeof(*o->pair));
	return o->pair ? parse_operand(p, o->pair) : parse_nomem(p);
}

static int parse_operand(struct parser *p, struct operand *o)
{
	int err;

	if (p->tok.kind == TOK_WORD) {
		err = parse_word(p, o);
	} else if (accept(p, '!')) {
		if (p->tok.kind != TOK_WORD)
			return parse_error(p, p->tok.line, -EINVAL, "a predicate was expected after '!'");
		o->negated = true;
		err = parse_word(p, o);
	} else if (accept(p, '[')) {
		return parse_address(p, o);
	} else if (accept(p, '{')) {
		o->kind = OPD_VECTOR;
		return parse_list(p, o, '}');
	} else if (accept(p, '(')) {
		o->kind = OPD_LIST;
		return parse_list(p, o, ')');
	} else {
		return parse_number(p, o);
	}
	if (!err && accept(p, '|'))
		err = parse_pair(p, o);
	return err;
}

/* Lists hold plain operands only: a list inside a list is refused, so this does not recurse further. */
static int parse_list(struct parser *p, struct operand *o, char close)
{
	unsigned room = 0;

	while (!accept(p, close)) {
		int err;

		if (o->n && (err = expect(p, ',')))
			return err;
		if (at_punct(p, '{') || at_punct(p, '(') || at_punct(p, '['))
			return parse_error(p, p->tok.line, -EINVAL, "a list inside a list");
		if (o->n == room) {
			struct operand *more;

			room = room ? room * 2 : 4;
			more = arena_alloc(&p->m->arena, room * sizeof(*more));
			if (o->n == LIST_LIMIT || !more)
				return more ? parse_error(p, p->tok.line, -EINVAL, "a list too long") : parse_nomem(p);
			if (o->n)
				memcpy(more, o->list, o->n * sizeof(*more));
			o->list = more;
		}
		err = parse_operand(p, &o->list[o->n++]);
		if (err)
			return err;
	}
	return 0;
}

static int split_mnemonic(struct decode *d)
{
	const char *at = d->text, *end = at + d->text_len;
	const char *dot = memchr(at, '.', d->text_len);

	d->op = at;
	d->op_len = (size_t)((dot ? dot : end) - at);
	while (dot) {
		const char *start = dot + 1;

		dot = memchr(start, '.', (size_t)(end - start));
		if (d->nmods == MODS_LIMIT)
			return decode_fail(d, -EINVAL, "too many modifiers");
		d->mods[d->nmods].text = start;
		d->mods[d->nmods].len = (size_t)((dot ? dot : end) - start);
		enum type t = type_from_name(start, d->mods[d->nmods].len);
		if (t != T_NONE)
			d->type = t;
		d->nmods++;
	}
	return 0;
}

static int parse_guard(struct parser *p, struct decode *d)
{
	bool negated;
	struct operand o = {0};
	int err;

	if (!accept(p, '@'))
		return 0;
	negated = accept(p, '!');
	err = p->tok.kind == TOK_WORD ? parse_word(p, &o) : -EINVAL;
	if (err || o.kind != OPD_REG || o.type != T_PRED)
		return parse_error(p, p->tok.line, -EINVAL, "'@' wants a predicate register");
	d->in.guard = o.slot * 2 + negated;
	return 0;
}

static unsigned class_of(enum type t)
{
	if (t == T_NONE)
		return CLASS_NONE;
	if (t == T_PRED)
		return CLASS_PRED;
	return type_is_float(t) || t == T_TF32 ? CLASS_FLOAT : type_is_half(t) ? CLASS_HALF : CLASS_INT;
}

/* A family answers 1 to say that another entry of the same name may fit. */
static int decode_instruction(struct decode *d)
{
	static const struct op_def *const families[] = {
		ops_int, ops_memory, ops_move, ops_float, ops_compare, ops_control, ops_bits, ops_convert, ops_carry,
		ops_approx, ops_half, ops_atomic, ops_warp, ops_barrier, ops_texture, ops_surface,
		ops_mbarrier, ops_video, ops_matrix,
	};
	unsigned class = class_of(d->type);

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (const struct op_def *def = families[i]; def->name; def++) {
			int err;

			if (!(def->classes & class) || strlen(def->name) != d->op_len ||
			    memcmp(def->name, d->op, d->op_len))
				continue;
			d->in.sub = (uint8_t)def->sub;
			err = def->decode(d);
			if (err != 1)
				return err;
		}
	return decode_fail(d, -ENOTSUP, "unknown instruction");
}

int parse_instruction(struct parser *p)
{
	struct decode d = {.p = p, .line = p->tok.line, .in = {.line = p->tok.line}};
	struct operand operands[OPERANDS_LIMIT] = {0};
	int err = parse_guard(p, &d);

	if (err)
		return err;
	if (p->tok.kind != TOK_WORD || p->tok.text[0] == '%')
		return parse_error(p, p->tok.line, -EINVAL, "an instruction was expected at '%.*s'", (int)p->tok.len,
				   p->tok.text);
	d.text = p->tok.text;
	d.text_len = p->tok.len;
	d.line = d.in.line = p->tok.line;
	next_token(p);
	err = split_mnemonic(&d);
	while (!err && !at_punct(p, ';')) {
		if (d.nops && (err = expect(p, ',')))
			break;
		if (d.nops == OPERANDS_LIMIT)
			return decode_fail(&d, -ENOTSUP, "too many operands");
		d.ops[d.nops] = &operands[d.nops];
		err = parse_operand(p, &operands[d.nops++]);
	}
	if (!err)
		err = decode_instruction(&d);
	for (unsigned i = 0; !err && i < d.nmods; i++)
		if (!d.mods[i].used)
			err = decode_fail(&d, -ENOTSUP, "unknown modifier");
	return err ? err : expect(p, ';');
}
