/* SPDX-License-Identifier: MIT */
/*
 * Names of one parse: a stack of scopes (the module, the function, nested braces), each a hash table, and the uses of
 * labels that wait for their definition. Owned by the parser; symbols themselves lie in the module's arena.
 */
#include <stdlib.h>
#include <string.h>

#include "parse.h"

static uint32_t hash_name(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	while (len--)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h ^ h >> 15;
}

static struct sym *find_in(const struct scope *sc, const char *name, size_t len, uint32_t hash)
{
	if (!sc->nbuckets)
		return NULL;
	for (struct sym *s = sc->buckets[hash & (sc->nbuckets - 1)]; s; s = s->next)
		if (s->hash == hash && s->len == len && !memcmp(s->name, name, len))
			return s;
	return NULL;
}

static struct sym *find_all(struct parser *p, const char *name, size_t len)
{
	uint32_t hash = hash_name(name, len);

	for (unsigned i = p->depth + 1; i--;) {
		struct sym *s = find_in(&p->scopes[i], name, len, hash);

		if (s)
			return s;
	}
	return NULL;
}

struct sym *sym_find_here(struct parser *p, const char *name, size_t len)
{
	return find_in(&p->scopes[p->depth], name, len, hash_name(name, len));
}

/* "%r12" out of ".reg .b32 %r<20>": a symbol for the one register, made on first use where the range is declared. */
static struct sym *find_ranged(struct parser *p, const char *name, size_t len)
{
	size_t stem = len;
	uint64_t number = 0;
	struct sym *s;

	while (stem && name[stem - 1] >= '0' && name[stem - 1] <= '9')
		stem--;
	if (stem == len || len - stem > 7 || (name[stem] == '0' && len - stem > 1))
		return NULL;
	for (size_t i = stem; i < len; i++)
		number = number * 10 + (uint64_t)(name[i] - '0');
	/* '<' cannot be part of a name, so a range cannot clash with a variable called like its stem. */
	char key[128];

	if (stem + 1 > sizeof(key))
		return NULL;
	memcpy(key, name, stem);
	key[stem] = '<';
	s = find_all(p, key, stem + 1);
	return s && s->kind == SYM_REGS && number < s->count ? s : NULL;
}

/* Of a range the symbol is the range's own; the caller adds the number. */
struct sym *sym_find(struct parser *p, const char *name, size_t len)
{
	struct sym *s = find_all(p, name, len);

	return s ? s : find_ranged(p, name, len);
}

static int grow(struct scope *sc)
{
	size_t n = sc->nbuckets ? sc->nbuckets * 2 : 16;
	struct sym **buckets = calloc(n, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < sc->nbuckets; i++) {
		while (sc->buckets[i]) {
			struct sym *s = sc->buckets[i];

			sc->buckets[i] = s->next;
			s->next = buckets[s->hash & (n - 1)];
			buckets[s->hash & (n - 1)] = s;
		}
	}
	free(sc->buckets);
	sc->buckets = buckets;
	sc->nbuckets = n;
	return 0;
}

/* Adds a name to the innermost scope. */
int sym_add(struct parser *p, const struct token *name, enum sym_kind kind, struct sym **out)
{
	struct scope *sc = &p->scopes[p->depth];
	uint32_t hash = hash_name(name->text, name->len);
	struct sym *s;

	if (find_in(sc, name->text, name->len, hash))
		return parse_error(p, name->line, -EINVAL, "'%.*s' is declared twice", (int)name->len, name->text);
	if (sc->count >= sc->nbuckets && grow(sc))
		return parse_nomem(p);
	s = arena_alloc(&p->m->arena, sizeof(*s));
	if (!s)
		return parse_nomem(p);
	s->name = arena_name(&p->m->arena, name->text, name->len);
	if (!s->name)
		return parse_nomem(p);
	s->len = name->len;
	s->hash = hash;
	s->kind = kind;
	s->linked = !p->depth && p->linkage.linked;
	s->next = sc->buckets[hash & (sc->nbuckets - 1)];
	sc->buckets[hash & (sc->nbuckets - 1)] = s;
	sc->count++;
	*out = s;
	return 0;
}

int scope_push(struct parser *p)
{
	if (p->depth == PTX_SCOPE_LIMIT)
		return parse_error(p, p->tok.line, -EINVAL, "braces nested too deep");
	p->depth++;
	p->scopes[p->depth] = (struct scope){.first_fixup = p->nfixups, .frame_top = p->frame_top};
	return 0;
}

static void scope_clear(struct scope *sc)
{
	free(sc->buckets);
	*sc = (struct scope){0};
}

void scope_hide_unlinked(struct parser *p)
{
	struct scope *sc = &p->scopes[0];

	for (size_t i = 0; i < sc->nbuckets; i++)
		for (struct sym **at = &sc->buckets[i]; *at;) {
			if ((*at)->linked) {
				at = &(*at)->next;
				continue;
			}
			*at = (*at)->next;
			sc->count--;
		}
}

void scope_drop_all(struct parser *p)
{
	for (unsigned i = 0; i <= p->depth; i++)
		scope_clear(&p->scopes[i]);
	free(p->fixups);
}

int fixup_add(struct parser *p, const struct operand *label, int line, int64_t *where)
{
	if (label->kind != OPD_NAME)
		return parse_error(p, line, -EINVAL, "a label was expected");
	if (p->nfixups == p->fixups_room) {
		size_t room = p->fixups_room ? p->fixups_room * 2 : 64;
		struct fixup *f = realloc(p->fixups, room * sizeof(*f));

		if (!f)
			return parse_nomem(p);
		p->fixups = f;
		p->fixups_room = room;
	}
	p->fixups[p->nfixups++] = (struct fixup){label->name, label->len, line, where, p->f->ncode};
	return 0;
}

/* Labels of the scope that ends take the uses in it; other uses wait for the scope around it. */
static int settle_fixups(struct parser *p, const struct scope *sc)
{
	size_t kept = sc->first_fixup;

	for (size_t i = sc->first_fixup; i < p->nfixups; i++) {
		struct fixup *f = &p->fixups[i];
		struct sym *s = find_in(sc, f->name, f->len, hash_name(f->name, f->len));

		if (!s)
			p->fixups[kept++] = *f;
		else if (s->kind != SYM_LABEL)
			return parse_error(p, f->line, -EINVAL, "'%.*s' is not a label", (int)f->len, f->name);
		else if (f->where)
			*f->where = s->index;
		else
			p->f->code[f->insn].imm = s->index;
	}
	p->nfixups = kept;
	if (p->depth == 1 && kept) {
		struct fixup *f = &p->fixups[0];

		return parse_error(p, f->line, -EINVAL, "label '%.*s' is not defined", (int)f->len, f->name);
	}
	return 0;
}

int scope_pop(struct parser *p)
{
	struct scope *sc = &p->scopes[p->depth];
	int err = settle_fixups(p, sc);

	if (sc->pinned)
		p->scopes[p->depth - 1].pinned = true;
	else if (p->depth > 1)
		p->frame_top = sc->frame_top;
	scope_clear(sc);
	p->depth--;
	return err;
}
