/* SPDX-License-Identifier: MIT */
/* Flow of control but calls: bra, brx.idx, ret, exit, trap, and the data that labels name. */
#include "control.h"
#include "exec.h"
#include "parse.h"

static int op_bra(struct thread *t, const struct insn *in)
{
	t->pc = in->target;
	return OP_NEXT;
}

static int op_brx(struct thread *t, const struct insn *in)
{
	uint32_t i = (uint32_t)t->r[in->a];

	if (i >= in->table->count)
		return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "brx.idx: the index is beyond its table");
	t->pc = t->func->code + in->table->index[i];
	return OP_NEXT;
}

static int op_exit(struct thread *t, const struct insn *in)
{
	(void)in;
	return thread_exit(t);
}

static int op_trap(struct thread *t, const struct insn *in)
{
	return exec_fault(t, in, PTX_FAULT_TRAP, 0, in->sub ? "brkpt" : "trap");
}

/* Where the results of a call go: from the callee's frame, which is still there, to the caller's. */
static void copy_results(struct thread *t, const struct func *callee, uint32_t reg_base, uint32_t frame_base,
			 const struct call_site *site)
{
	for (uint32_t i = 0; i < site->nrets; i++) {
		const struct var *from = &callee->rets[i];
		const struct argument *to = &site->rets[i];
		const void *bytes = from->space == SP_REG ? (void *)&t->regs[reg_base + from->slot] :
							   (void *)(t->local + frame_base + from->offset);

		if (to->in_frame) {
			memcpy(t->frame + to->offset, bytes, from->size);
		} else {
			t->r[to->slot] = 0;
			memcpy(&t->r[to->slot], bytes, from->size);
		}
	}
}

static int op_ret(struct thread *t, const struct insn *in)
{
	const struct func *callee = t->func;
	uint32_t reg_base = t->reg_base, frame_base = t->frame_base;
	const struct call_record *c;

	(void)in;
	if (!t->depth)
		return thread_exit(t);
	c = &t->calls[--t->depth];
	t->func = c->func;
	t->reg_base = c->reg_base;
	t->frame_base = c->frame_base;
	t->local_top = c->frame_base + c->func->frame_size;
	t->r = t->regs + c->reg_base;
	t->frame = t->local + c->frame_base;
	t->pc = c->ret;
	copy_results(t, callee, reg_base, frame_base, c->site);
	return OP_NEXT;
}

bool control_is_branch(const struct insn *in)
{
	return in->fn == op_bra;
}

int control_emit_end(struct parser *p)
{
	struct insn in = {.fn = op_ret, .line = p->tok.line};

	return emit(p, &in);
}

static int decode_bra(struct decode *d)
{
	int err = need_operands(d, 1, 1);

	mod_take(d, "uni");
	if (!err)
		err = fixup_add(d->p, d->ops[0], d->line, NULL);
	d->in.fn = op_bra;
	return err ? err : emit(d->p, &d->in);
}

static int decode_brx(struct decode *d)
{
	struct sym *s;
	int err;

	mod_take(d, "uni");
	if (!mod_take(d, "idx"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	err = need_operands(d, 2, 2);
	if (!err)
		err = src(d, 0, T_U32, &d->in.a);
	if (err)
		return err;
	s = d->ops[1]->kind == OPD_NAME ? sym_find(d->p, d->ops[1]->name, d->ops[1]->len) : NULL;
	if (!s || s->kind != SYM_TABLE)
		return decode_fail(d, -EINVAL, "a .branchtargets label is missing");
	d->in.table = s->table;
	d->in.fn = op_brx;
	return emit(d->p, &d->in);
}

static int decode_plain(struct decode *d)
{
	static const ptx_op ops[] = {op_ret, op_exit, op_trap, op_trap};
	int err = need_operands(d, 0, 0);

	d->in.fn = ops[d->in.sub];
	d->in.sub = d->in.sub == 3;
	mod_take(d, "uni");
	return err ? err : emit(d->p, &d->in);
}

/* "L1, L2, L3;" of .branchtargets */
static int parse_targets(struct parser *p, struct sym *s)
{
	uint32_t room = 0, n = 0;
	struct token *labels = NULL;

	do {
		if (p->tok.kind != TOK_WORD)
			return parse_error(p, p->tok.line, -EINVAL, ".branchtargets: a label was expected");
		if (n == room) {
			struct token *more = arena_alloc(&p->m->arena, (room = room ? room * 2 : 16) * sizeof(*more));

			if (!more)
				return parse_nomem(p);
			if (n)
				memcpy(more, labels, n * sizeof(*more));
			labels = more;
		}
		labels[n++] = p->tok;
		next_token(p);
	} while (accept(p, ','));
	s->table = arena_alloc(&p->m->arena, sizeof(*s->table));
	if (!s->table)
		return parse_nomem(p);
	s->table->count = n;
	s->table->index = arena_alloc(&p->m->arena, n * sizeof(*s->table->index));
	if (!s->table->index)
		return parse_nomem(p);
	for (uint32_t i = 0; i < n; i++) {
		struct operand o = {.kind = OPD_NAME, .name = labels[i].text, .len = labels[i].len};
		int err = fixup_add(p, &o, labels[i].line, &s->table->index[i]);

		if (err)
			return err;
	}
	return expect(p, ';');
}

static int sizes_of(struct parser *p, const struct var *list, uint32_t n, uint32_t **sizes)
{
	*sizes = arena_alloc(&p->m->arena, (n + 1) * sizeof(**sizes));
	if (!*sizes)
		return parse_nomem(p);
	for (uint32_t i = 0; i < n; i++)
		(*sizes)[i] = (uint32_t)list[i].size;
	return 0;
}

/* "(.param .b32 _) _ (.param .b64 _, ...);" of .callprototype */
static int parse_prototype(struct parser *p, struct sym *s)
{
	struct var *rets = NULL, *args = NULL;
	struct func *f = p->f;
	struct func scratch = {.nslots = 1};
	uint32_t frame_top = p->frame_top;
	int err = 0;

	s->proto = arena_alloc(&p->m->arena, sizeof(*s->proto));
	if (!s->proto)
		return parse_nomem(p);
	p->f = &scratch;
	p->frame_top = 0;
	if (at_punct(p, '('))
		err = parse_formals(p, false, &rets, &s->proto->nrets, false);
	if (!err && p->tok.kind != TOK_WORD)
		err = parse_error(p, p->tok.line, -EINVAL, ".callprototype: '_' was expected");
	next_token(p);
	if (!err && at_punct(p, '('))
		err = parse_formals(p, false, &args, &s->proto->nargs, false);
	p->f = f;
	p->frame_top = frame_top;
	if (!err && at_word(p, ".noreturn"))
		next_token(p);
	if (!err)
		err = sizes_of(p, rets, s->proto->nrets, &s->proto->rets);
	if (!err)
		err = sizes_of(p, args, s->proto->nargs, &s->proto->args);
	return err ? err : expect(p, ';');
}

/* What follows "name:" when it is no instruction. */
int parse_label_data(struct parser *p, const struct token *name)
{
	bool targets = at_word(p, ".branchtargets");
	struct sym *s;
	int err;

	if (at_word(p, ".calltargets"))
		return parse_error(p, p->tok.line, -ENOTSUP, "unknown directive '.calltargets'");
	next_token(p);
	err = sym_add(p, name, targets ? SYM_TABLE : SYM_PROTO, &s);
	if (err)
		return err;
	return targets ? parse_targets(p, s) : parse_prototype(p, s);
}

const struct op_def ops_control[] = {
	{"bra", CLASS_NONE, decode_bra, 0},
	{"brx", CLASS_NONE, decode_brx, 0},
	{"call", CLASS_NONE, decode_call, 0},
	{"ret", CLASS_NONE, decode_plain, 0},
	{"exit", CLASS_NONE, decode_plain, 1},
	{"trap", CLASS_NONE, decode_plain, 2},
	{"brkpt", CLASS_NONE, decode_plain, 3},
	{NULL, 0, NULL, 0},
};
