/* SPDX-License-Identifier: MIT */
/*
 * Calls: direct, through a register with a prototype, and of functions that the device runtime provides. Parameters
 * of device functions lie in the frames of caller and callee and are copied between them.
 */
#include <stdlib.h>

#include "exec.h"
#include "parse.h"

static const struct func *callee_of(struct thread *t, const struct insn *in)
{
	const struct ptx_module *m = t->block->run->launch->module;
	const struct call_site *site = in->call;
	uint64_t at;
	const struct func *f;

	if (site->callee)
		return site->callee;
	at = t->r[site->slot] - PTX_WINDOW_CODE;
	if (at % PTX_CODE_STRIDE || !at || at / PTX_CODE_STRIDE > m->nfuncs)
		return NULL;
	f = m->funcs[at / PTX_CODE_STRIDE - 1];
	if (f->is_entry || !f->defined || f->nparams != site->nargs || f->nrets != site->nrets)
		return NULL;
	for (uint32_t i = 0; i < site->nargs; i++)
		if (f->params[i].size != site->args[i].size)
			return NULL;
	for (uint32_t i = 0; i < site->nrets; i++)
		if (f->rets[i].size != site->rets[i].size)
			return NULL;
	return f;
}

static bool push_record(struct thread *t, const struct call_site *site)
{
	if (t->depth == t->calls_room) {
		uint32_t room = t->calls_room ? t->calls_room * 2 : 8;
		struct call_record *more = realloc(t->calls, room * sizeof(*more));

		if (!more)
			return false;
		t->calls = more;
		t->calls_room = room;
	}
	t->calls[t->depth++] = (struct call_record){t->pc, site, t->func, t->reg_base, t->frame_base};
	return true;
}

static int op_call(struct thread *t, const struct insn *in)
{
	const struct call_site *site = in->call;
	const struct func *f = callee_of(t, in);
	uint32_t reg_base = t->reg_base, frame_base = t->frame_base;
	int rc;

	if (!f)
		return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, t->r[site->slot],
				  "call: the address is no function of the given prototype");
	if (!f->defined)
		return builtin_call(t, in, f);
	if (t->depth == PTX_DEPTH_LIMIT || !push_record(t, site))
		return exec_fault(t, in, PTX_FAULT_STACK_OVERFLOW, 0, "calls nested too deep");
	rc = frame_enter(t, in, f, reg_base + t->func->nslots, (frame_base + t->func->frame_size + 63u) & ~63u);
	for (uint32_t i = 0; rc == OP_NEXT && i < site->nargs; i++) {
		const struct argument *from = &site->args[i];
		const struct var *to = &f->params[i];
		const void *bytes = from->in_frame ? (void *)(t->local + frame_base + from->offset) :
						     (void *)&t->regs[reg_base + from->slot];

		memcpy(to->space == SP_REG ? (void *)&t->r[to->slot] : (void *)(t->frame + to->offset), bytes, to->size);
	}
	return rc;
}

/* One actual parameter or result, for a formal of @size bytes. */
static int decode_actual(struct decode *d, const struct operand *o, uint32_t size, bool result, struct argument *a)
{
	static const enum type types[] = {[1] = T_B8, [2] = T_B16, [4] = T_B32, [8] = T_B64};
	unsigned width;

	a->size = size;
	if (o->kind == OPD_VAR && o->var->space == SP_FRAME) {
		if (o->var->size != size || o->offset)
			return decode_fail(d, -EINVAL, "call: an argument's size does not fit its parameter");
		a->in_frame = true;
		a->offset = o->var->offset;
		return 0;
	}
	if (size > 8 || (size & (size - 1)))
		return decode_fail(d, -EINVAL, "call: an argument's size does not fit its parameter");
	return result ? dst_wide(d, o, types[size], &a->slot, &width) : src_wide(d, o, types[size], &a->slot);
}

static int decode_actuals(struct decode *d, const struct operand *list, const struct var *formals,
			  const uint32_t *sizes, uint32_t count, bool result, struct argument **out)
{
	if ((list ? list->n : 0) != count)
		return decode_fail(d, -EINVAL, "call: wrong number of arguments");
	*out = arena_alloc(&d->p->m->arena, (count + 1) * sizeof(**out));
	if (!*out)
		return parse_nomem(d->p);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = sizes ? sizes[i] : (uint32_t)formals[i].size;
		int err = decode_actual(d, &list->list[i], size, result, &(*out)[i]);

		if (err)
			return err;
	}
	return 0;
}

static int decode_direct(struct decode *d, struct call_site *site, struct func *f, const struct operand *rets,
			 const struct operand *args)
{
	struct func_ref *r = arena_alloc(&d->p->m->arena, sizeof(*r));
	int err;

	if (!r)
		return parse_nomem(d->p);
	if (f->is_entry)
		return decode_fail(d, -ENOTSUP, "call of a kernel");
	*r = (struct func_ref){d->p->f->calls, f};
	d->p->f->calls = r;
	site->callee = f;
	site->nargs = f->nparams;
	site->nrets = f->nrets;
	err = decode_actuals(d, args, f->params, NULL, f->nparams, false, &site->args);
	return err ? err : decode_actuals(d, rets, f->rets, NULL, f->nrets, true, &site->rets);
}

static int decode_indirect(struct decode *d, struct call_site *site, const struct operand *target,
			   const struct operand *name, const struct operand *rets, const struct operand *args)
{
	const struct sym *s = name && name->kind == OPD_NAME ? sym_find(d->p, name->name, name->len) : NULL;
	int err = src_of(d, target, T_B64, &site->slot);

	if (!err && (!s || s->kind != SYM_PROTO))
		return decode_fail(d, -EINVAL, "call: a .callprototype label is missing");
	if (err)
		return err;
	d->p->f->uses_indirect = true;
	site->nargs = s->proto->nargs;
	site->nrets = s->proto->nrets;
	err = decode_actuals(d, args, NULL, s->proto->args, site->nargs, false, &site->args);
	return err ? err : decode_actuals(d, rets, NULL, s->proto->rets, site->nrets, true, &site->rets);
}

/* "call (rets), target, (args), prototype", all but the target optional */
int decode_call(struct decode *d)
{
	struct operand *rets = NULL, *args = NULL, *target = NULL, *proto = NULL;
	struct call_site *site = arena_alloc(&d->p->m->arena, sizeof(*site));
	unsigned i = 0;
	int err;

	if (!site)
		return parse_nomem(d->p);
	mod_take(d, "uni");
	if (i < d->nops && d->ops[i]->kind == OPD_LIST)
		rets = d->ops[i++];
	if (i < d->nops)
		target = d->ops[i++];
	if (i < d->nops && d->ops[i]->kind == OPD_LIST)
		args = d->ops[i++];
	if (i < d->nops)
		proto = d->ops[i++];
	if (i < d->nops || !target)
		return decode_fail(d, -EINVAL, "wrong number of operands");
	if (target->kind == OPD_NAME)
		return parse_error(d->p, d->line, -EINVAL, "call: function '%.*s' is not declared", (int)target->len,
				   target->name);
	err = target->kind == OPD_FUNC && !proto ? decode_direct(d, site, target->func, rets, args) :
						    decode_indirect(d, site, target, proto, rets, args);
	d->in.call = site;
	d->in.fn = op_call;
	return err ? err : emit(d->p, &d->in);
}
