/* SPDX-License-Identifier: MIT */
/*
 * Functions that CUDA's device runtime provides and nvcc only declares: vprintf, __assertfail, malloc, free and
 * cudaGraphSetConditional. Runs in the middle of a launch, on its thread. Layout of vprintf's arguments: CUDA
 * programming guide, "Formatted output"; they lie in a buffer, each aligned to its size.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "exec.h"
#include "parse.h"

#define TEXT_LIMIT 1024u
#define OUTPUT_LIMIT 65536u

static uint64_t argument(struct thread *t, const struct call_site *site, unsigned i)
{
	const struct argument *a = &site->args[i];
	uint64_t v = 0;

	if (!a->in_frame)
		return zero_extend(t->r[a->slot], a->size);
	memcpy(&v, t->frame + a->offset, a->size < 8 ? a->size : 8);
	return v;
}

/* Copies a string out of the device's memory; false after a fault. Longer strings than @room are cut. */
static bool fetch_string(struct thread *t, const struct insn *in, uint64_t at, char *out, size_t room)
{
	size_t n = 0;

	for (; n < room - 1; n++) {
		const char *c = exec_generic(t, in, at + n, 1, false);

		if (!c)
			return false;
		if (!*c)
			break;
		out[n] = *c;
	}
	out[n] = 0;
	return true;
}

struct output {
	char *text;
	size_t len;
	uint64_t args; /* generic address of the next argument */
	int converted;
};

static void put(struct output *o, const char *s, size_t n)
{
	size_t room = OUTPUT_LIMIT - o->len;

	n = n < room ? n : room;
	memcpy(o->text + o->len, s, n);
	o->len += n;
}

static bool next_argument(struct thread *t, const struct insn *in, struct output *o, unsigned size, uint64_t *v)
{
	const void *p;

	o->args = (o->args + size - 1) & ~(uint64_t)(size - 1);
	p = exec_generic(t, in, o->args, size, false);
	if (!p)
		return false;
	*v = 0;
	memcpy(v, p, size);
	o->args += size;
	return true;
}

/* One conversion as it was parsed: its text without length modifiers, and its numbers. */
struct conversion {
	char flags[8];
	int width, precision; /* -1: none */
	bool is_long;
	char kind;
};

/* The flags go to printf; width and precision go as '*' arguments. */
static void print_number(struct output *o, const struct conversion *c, uint64_t v)
{
	char format[24], buf[512];
	int width = c->width < 0 ? 0 : c->width, n;
	bool is_float = strchr("fFeEgGaA", c->kind) != NULL;

	snprintf(format, sizeof(format), "%%%s*%s%s%c", c->flags, c->precision < 0 ? "" : ".*",
		 is_float || c->kind == 'c' || c->kind == 'p' ? "" : "ll", c->kind);
	if (c->kind == 'p')
		n = snprintf(buf, sizeof(buf), "%*s%#llx", 0, "", (unsigned long long)v);
	else if (c->kind == 'c')
		n = snprintf(buf, sizeof(buf), format, width, (int)v);
	else if (is_float && c->precision >= 0)
		n = snprintf(buf, sizeof(buf), format, width, c->precision, as_f64(v));
	else if (is_float)
		n = snprintf(buf, sizeof(buf), format, width, as_f64(v));
	else if (c->precision >= 0)
		n = snprintf(buf, sizeof(buf), format, width, c->precision, (unsigned long long)v);
	else
		n = snprintf(buf, sizeof(buf), format, width, (unsigned long long)v);
	if (n > 0)
		put(o, buf, (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

static bool print_string(struct thread *t, const struct insn *in, struct output *o, const struct conversion *c,
			 uint64_t at)
{
	char s[TEXT_LIMIT];
	size_t n, pad;
	bool left = strchr(c->flags, '-') != NULL;

	if (!at)
		memcpy(s, "(null)", 7);
	else if (!fetch_string(t, in, at, s, sizeof(s)))
		return false;
	n = strlen(s);
	if (c->precision >= 0 && (size_t)c->precision < n)
		n = (size_t)c->precision;
	pad = c->width > 0 && (size_t)c->width > n ? (size_t)c->width - n : 0;
	for (size_t i = 0; !left && i < pad; i++)
		put(o, " ", 1);
	put(o, s, n);
	for (size_t i = 0; left && i < pad; i++)
		put(o, " ", 1);
	return true;
}

static bool number_or_star(struct thread *t, const struct insn *in, struct output *o, const char **f, int *out)
{
	uint64_t v;

	*out = 0;
	if (**f == '*') {
		(*f)++;
		if (!next_argument(t, in, o, 4, &v))
			return false;
		*out = (int)v < 0 ? 0 : (int)v;
	}
	while (**f >= '0' && **f <= '9' && *out < 100)
		*out = *out * 10 + (*(*f)++ - '0');
	if (*out > 255)
		*out = 255;
	return true;
}

/* @f stands behind '%'. Leaves it behind the conversion. */
static bool convert(struct thread *t, const struct insn *in, struct output *o, const char **f)
{
	struct conversion c = {.width = -1, .precision = -1};
	size_t nflags = 0;
	uint64_t v;

	while (**f && strchr("-+ #0", **f)) {
		if (nflags < sizeof(c.flags) - 1 && !strchr(c.flags, **f))
			c.flags[nflags++] = **f;
		(*f)++;
	}
	if ((**f == '*' || (**f >= '0' && **f <= '9')) && !number_or_star(t, in, o, f, &c.width))
		return false;
	if (**f == '.') {
		(*f)++;
		if (!number_or_star(t, in, o, f, &c.precision))
			return false;
	}
	while (**f && strchr("hlzjtL", **f))
		c.is_long |= *(*f)++ != 'h';
	c.kind = **f;
	if (!c.kind || !strchr("diouxXcspfFeEgGaA", c.kind)) {
		put(o, "%", 1);
		return true;
	}
	(*f)++;
	if (!next_argument(t, in, o, c.is_long || strchr("spfFeEgGaA", c.kind) ? 8 : 4, &v))
		return false;
	o->converted++;
	if (c.kind == 's')
		return print_string(t, in, o, &c, v);
	if ((c.kind == 'd' || c.kind == 'i') && !c.is_long)
		v = (uint64_t)(int32_t)v;
	print_number(o, &c, v);
	return true;
}

static void set_result(struct thread *t, const struct call_site *site, uint64_t v)
{
	const struct argument *a = site->nrets ? &site->rets[0] : NULL;

	if (a && a->in_frame)
		memcpy(t->frame + a->offset, &v, a->size < 8 ? a->size : 8);
	else if (a)
		t->r[a->slot] = zero_extend(v, a->size);
}

static int device_printf(struct thread *t, const struct insn *in)
{
	const struct ptx_launch *l = t->block->run->launch;
	char format[TEXT_LIMIT];
	struct output o = {.args = argument(t, in->call, 1)};
	bool ok = fetch_string(t, in, argument(t, in->call, 0), format, sizeof(format));

	if (!ok)
		return OP_FAULT;
	o.text = malloc(OUTPUT_LIMIT);
	if (!o.text)
		return exec_fault(t, in, PTX_FAULT_STACK_OVERFLOW, 0, "no memory for printf");
	for (const char *f = format; ok && *f;) {
		if (*f != '%') {
			put(&o, f++, 1);
		} else if (f[1] == '%') {
			put(&o, f, 1);
			f += 2;
		} else {
			f++;
			ok = convert(t, in, &o, &f);
		}
	}
	if (ok && l->print)
		l->print(l->print_ctx, o.text, o.len);
	free(o.text);
	set_result(t, in->call, (uint32_t)o.converted);
	return ok ? OP_NEXT : OP_FAULT;
}

/* void __assertfail(const char *message, const char *file, unsigned line, const char *function, size_t char_size) */
static int device_assert(struct thread *t, const struct insn *in)
{
	const struct call_site *site = in->call;
	const struct ptx_launch *l = t->block->run->launch;
	char message[80], file[80], function[64], text[512];
	int n;

	if (!fetch_string(t, in, argument(t, site, 0), message, sizeof(message)) ||
	    !fetch_string(t, in, argument(t, site, 1), file, sizeof(file)) ||
	    !fetch_string(t, in, argument(t, site, 3), function, sizeof(function)))
		return OP_FAULT;
	n = snprintf(text, sizeof(text), "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n",
		     file, (unsigned)argument(t, site, 2), function, t->block->ctaid[0], t->block->ctaid[1],
		     t->block->ctaid[2], t->tid[0], t->tid[1], t->tid[2], message);
	if (l->print_assert && n > 0)
		l->print_assert(l->print_ctx, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	snprintf(text, sizeof(text), "%s:%u: %s: Assertion `%s` failed", file, (unsigned)argument(t, site, 2), function,
		 message);
	return exec_fault(t, in, PTX_FAULT_ASSERT, 0, text);
}

/* void *malloc(size_t size) */
static int device_malloc(struct thread *t, const struct insn *in)
{
	const struct ptx_heap *heap = &t->block->run->launch->heap;
	uint64_t size = argument(t, in->call, 0);

	set_result(t, in->call, heap->alloc && size ? heap->alloc(heap->ctx, size) : 0);
	return OP_NEXT;
}

/* void free(void *p) */
static int device_free(struct thread *t, const struct insn *in)
{
	const struct ptx_heap *heap = &t->block->run->launch->heap;
	uint64_t at = argument(t, in->call, 0);

	if (at && (!heap->free || !heap->free(heap->ctx, at)))
		return exec_fault(t, in, PTX_FAULT_ILLEGAL_ADDRESS, at, "free of what malloc has not given out");
	return OP_NEXT;
}

/* void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value) */
static int set_condition(struct thread *t, const struct insn *in)
{
	const struct ptx_launch *l = t->block->run->launch;
	uint64_t handle = argument(t, in->call, 0);

	if (l->set_condition && l->set_condition(handle, (uint32_t)argument(t, in->call, 1)))
		return OP_NEXT;
	return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "a condition that no graph has");
}

static const struct {
	const char *name;
	unsigned nargs;
	ptx_op call;
} builtins[] = {
	{"vprintf", 2, device_printf},
	{"__assertfail", 5, device_assert},
	{"malloc", 1, device_malloc},
	{"free", 1, device_free},
	{"cudaGraphSetConditional", 2, set_condition},
};

static int find(const char *name)
{
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		if (!strcmp(builtins[i].name, name))
			return (int)i;
	return -1;
}

bool builtin_known(const char *name)
{
	return find(name) >= 0;
}

int builtin_call(struct thread *t, const struct insn *in, const struct func *f)
{
	int i = find(f->name);

	if (i >= 0 && in->call->nargs == builtins[i].nargs)
		return builtins[i].call(t, in);
	return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "a runtime function with unknown parameters");
}
