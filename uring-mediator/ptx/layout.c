/* SPDX-License-Identifier: MIT */
/*
 * What can only be settled when the whole module has been read (unresolved names, the layout of shared memory, what
 * each kernel reaches), and the public view of entries and globals. Shared memory of a kernel: first every .shared
 * variable outside kernels, then the kernel's own, then dynamic shared memory.
 */
#include <string.h>

#include "layout.h"
#include "parse.h"

static int check_resolved(struct parser *p)
{
	struct ptx_module *m = p->m;

	for (struct func *f = m->first; f; f = f->next) {
		if (f->is_entry && !f->defined)
			return parse_error(p, f->line, -EINVAL, "kernel '%s' has no body", f->name);
		for (const struct func_ref *r = f->calls; r; r = r->next)
			if (!r->func->defined && !builtin_known(r->func->name))
				return parse_error(p, r->func->line, -ENOTSUP, "function '%s' is not defined",
						   r->func->name);
	}
	for (size_t i = 0; i < m->nglobals; i++) {
		if (!m->globals[i].defined)
			return parse_error(p, p->tok.line, -ENOTSUP, "variable '%s' is not defined",
					   m->globals[i].info.name);
		for (const struct init_reloc *r = m->globals[i].init_relocs; r; r = r->next)
			if (r->func && !r->func->defined)
				return parse_error(p, r->func->line, -ENOTSUP, "function '%s' is not defined",
						   r->func->name);
	}
	return 0;
}

static int collect(struct parser *p)
{
	struct ptx_module *m = p->m;

	m->funcs = arena_alloc(&m->arena, (m->nfuncs + 1) * sizeof(*m->funcs));
	m->entries = arena_alloc(&m->arena, (m->nfuncs + 1) * sizeof(*m->entries));
	if (!m->funcs || !m->entries)
		return parse_nomem(p);
	for (struct func *f = m->first; f; f = f->next) {
		m->funcs[f->number] = f;
		if (f->is_entry && !f->shadow)
			m->entries[m->nentries++] = f;
	}
	for (size_t i = 0; i < m->nglobals; i++)
		if (m->globals[i].info.space == PTX_SPACE_CONST)
			m->const_size += m->globals[i].info.size;
	return 0;
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

/* Gives each function's own .shared variables their place, then fills in the slots that hold their addresses. */
static int place_shared(struct parser *p)
{
	struct ptx_module *m = p->m;
	uint64_t top = m->shared_size;

	for (struct func *f = m->first; f; f = f->next)
		if (!f->is_entry) {
			f->shared_base = (uint32_t)round_up(top, 128);
			top = f->shared_base + f->shared_size;
			if (top > PTX_SHARED_LIMIT)
				return parse_error(p, f->line, -ENOTSUP, "more than %u bytes of shared memory",
						   PTX_SHARED_LIMIT);
		}
	for (uint32_t i = 0; i < m->nentries; i++)
		m->entries[i]->shared_base = (uint32_t)round_up(top, 128);
	for (struct func *f = m->first; f; f = f->next)
		for (const struct shared_ref *r = f->shared; r; r = r->next)
			f->init[r->slot] = (r->var->owner ? r->var->owner->shared_base : 0) + r->var->offset;
	return 0;
}

struct walk {
	struct ptx_module *m;
	const struct func **todo;
	uint32_t ntodo, mark;
	uint64_t shared; /* bytes found */
};

static void visit(struct walk *w, const struct func *f)
{
	struct func *at = w->m->funcs[f->number];

	if (at->mark == w->mark)
		return;
	at->mark = w->mark;
	w->todo[w->ntodo++] = at;
}

/*
 * Bytes of shared memory that the functions reachable from @f use. A variable at module scope is counted once for
 * each function that names it, at most the whole module's: never less than the true figure.
 */
static uint64_t reachable_shared(struct walk *w, const struct func *f)
{
	uint64_t module_scope = 0;

	w->mark++;
	w->ntodo = 0;
	w->shared = 0;
	visit(w, f);
	while (w->ntodo) {
		const struct func *at = w->todo[--w->ntodo];

		w->shared += at->shared_size;
		for (const struct shared_ref *r = at->shared; r; r = r->next)
			if (!r->var->owner)
				module_scope += r->var->size;
		for (const struct func_ref *r = at->calls; r; r = r->next)
			visit(w, r->func);
		for (uint32_t i = 0; at->uses_indirect && i < w->m->nfuncs; i++)
			if (!w->m->funcs[i]->is_entry)
				visit(w, w->m->funcs[i]);
	}
	return w->shared + (module_scope > w->m->shared_size ? w->m->shared_size : module_scope);
}

/*
 * Registers that an assembler would give a thread of @f: what PTX declares is an upper bound, before any register is
 * used twice. As an assembler does, it stays where a block of as many threads as the kernel allows fits (65536 in
 * multiples of 8 for a thread): programs divide by the number of blocks that fit.
 */
static uint32_t registers_of(const struct func *f)
{
	uint32_t most = 65536 / ((f->entry.max_threads + 31) / 32 * 32) / 8 * 8;

	if (most > 255)
		most = 255;
	return f->nregs32 > most ? most : f->nregs32 < 16 ? 16 : f->nregs32;
}

static int describe(struct parser *p)
{
	struct ptx_module *m = p->m;
	struct walk w = {.m = m, .todo = arena_alloc(&m->arena, (m->nfuncs + 1) * sizeof(*w.todo))};

	if (!w.todo)
		return parse_nomem(p);
	for (uint32_t i = 0; i < m->nentries; i++) {
		struct func *f = m->entries[i];
		struct ptx_param *params = arena_alloc(&m->arena, (f->nparams + 1) * sizeof(*params));

		if (!params)
			return parse_nomem(p);
		for (uint32_t k = 0; k < f->nparams; k++)
			params[k] = (struct ptx_param){f->params[k].offset, (uint32_t)f->params[k].size,
						       f->params[k].align};
		f->entry.name = f->name;
		f->entry.num_params = f->nparams;
		f->entry.params = params;
		f->entry.static_shared = (uint32_t)reachable_shared(&w, f);
		f->entry.local_size = f->frame_size;
		f->entry.const_size = m->const_size;
		f->entry.num_regs = registers_of(f);
		f->entry.target = m->target;
		f->entry.version = m->version;
	}
	return 0;
}

int layout_module(struct parser *p)
{
	int err = check_resolved(p);

	if (!err)
		err = collect(p);
	if (!err)
		err = place_shared(p);
	return err ? err : describe(p);
}

unsigned ptx_module_target(const struct ptx_module *m)
{
	return m->target;
}

size_t ptx_entry_count(const struct ptx_module *m)
{
	return m->nentries;
}

const struct ptx_entry *ptx_entry_at(const struct ptx_module *m, size_t i)
{
	return i < m->nentries ? &m->entries[i]->entry : NULL;
}

const struct ptx_entry *ptx_entry_find(const struct ptx_module *m, const char *name)
{
	for (uint32_t i = 0; i < m->nentries; i++)
		if (!strcmp(m->entries[i]->name, name))
			return &m->entries[i]->entry;
	return NULL;
}

size_t ptx_global_count(const struct ptx_module *m)
{
	return m->nglobals;
}

const struct ptx_global *ptx_global_at(const struct ptx_module *m, size_t i)
{
	return i < m->nglobals ? &m->globals[i].info : NULL;
}

const struct ptx_global *ptx_global_find(const struct ptx_module *m, const char *name)
{
	for (size_t i = 0; i < m->nglobals; i++)
		if (!strcmp(m->globals[i].info.name, name))
			return &m->globals[i].info;
	return NULL;
}

int ptx_bind_global(struct ptx_module *m, size_t i, uint64_t address)
{
	if (i >= m->nglobals)
		return -EINVAL;
	m->globals[i].address = address;
	m->globals[i].bound = true;
	for (const struct reloc *r = m->globals[i].relocs; r; r = r->next)
		r->func->init[r->slot] = address;
	return 0;
}
