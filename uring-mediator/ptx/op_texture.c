/* SPDX-License-Identifier: MIT */
/*
 * tex, tld4, txq with the texture's own sampler. Forms that are not known here (gradients, multisampling,
 * samplers apart from their textures) are refused. in->slots: the results, then the coordinates.
 */
#include <stdlib.h>

#include "exec.h"
#include "parse.h"
#include "texture.h"

#define RESULTS 4u

const struct texture_geometry texture_geometries[TEXTURE_GEOMETRIES] = {
	{"1d", 1, 1, false, false}, {"2d", 2, 2, false, false}, {"3d", 3, 4, false, false}, {"a1d", 1, 2, true, false},
	{"a2d", 2, 4, true, false}, {"cube", 3, 4, false, true}, {"acube", 3, 4, true, true},
};

enum query { Q_WIDTH, Q_HEIGHT, Q_DEPTH, Q_LAYERS, Q_LEVELS, Q_NORMALIZED };

static bool cached(const struct texture_cache *c, unsigned i, uint64_t handle, bool surface)
{
	return c->used[i] && c->handle[i] == handle && c->surface[i] == surface;
}

const struct ptx_texture *exec_texture(struct thread *t, const struct insn *in, uint64_t handle, bool surface)
{
	struct run *run = t->block->run;
	const struct ptx_textures *all = &run->launch->textures;
	struct texture_cache *c = run->textures ? run->textures : calloc(1, sizeof(*c));
	unsigned i;

	run->textures = c;
	for (i = 0; c && i < TEXTURE_CACHE; i++)
		if (cached(c, i, handle, surface))
			return &c->texture[i];
	i = c ? c->next : 0;
	if (!c || !all->find || !all->find(all->ctx, handle, surface, &c->texture[i])) {
		exec_fault(t, in, PTX_FAULT_ILLEGAL_ADDRESS, handle, surface ? "not a surface object" : "not a texture object");
		return NULL;
	}
	c->handle[i] = handle;
	c->surface[i] = surface;
	c->used[i] = true;
	c->next = (i + 1) % TEXTURE_CACHE;
	return &c->texture[i];
}

int take_geometry(struct decode *d)
{
	for (int i = 0; i < TEXTURE_GEOMETRIES; i++)
		if (mod_take(d, texture_geometries[i].name))
			return i;
	return -1;
}

/* The point that the coordinates of this instruction mean. */
static struct sample_point point_of(struct thread *t, const struct insn *in)
{
	const struct texture_geometry *g = &texture_geometries[in->sub];
	const uint32_t *at = in->slots + RESULTS;
	struct sample_point p = {.dims = g->dims, .integer = in->flag, .lod = as_f32(t->r[in->b])};

	if (g->layered)
		p.layer = (uint32_t)t->r[*at++];
	for (unsigned i = 0; i < g->dims; i++) {
		p.at[i] = as_f32(t->r[at[i]]);
		p.index[i] = (int32_t)t->r[at[i]];
	}
	if (g->cube)
		texture_on_cube(&p);
	return p;
}

static void set_results(struct thread *t, const struct insn *in, const uint32_t v[RESULTS])
{
	for (unsigned i = 0; i < RESULTS; i++)
		t->r[in->slots[i]] = v[i];
}

/* NULL after a fault, which an instruction of another shape than the texture is, too. */
static const struct ptx_texture *texture_of(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = exec_texture(t, in, t->r[in->a], false);
	const struct texture_geometry *g = &texture_geometries[in->sub];

	if (!x || (x->layered == g->layered && x->cube == g->cube))
		return x;
	exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "a texture with layers or faces, or without");
	return NULL;
}

static int op_tex(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = texture_of(t, in);
	struct sample_point p = point_of(t, in);
	uint32_t v[RESULTS];

	if (!x)
		return OP_FAULT;
	texture_sample(x, &p, v);
	set_results(t, in, v);
	return OP_NEXT;
}

static int op_tld4(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = texture_of(t, in);
	struct sample_point p = point_of(t, in);
	uint32_t v[RESULTS];

	if (!x)
		return OP_FAULT;
	texture_gather(x, &p, in->sub2, v);
	set_results(t, in, v);
	return OP_NEXT;
}

static int op_query(struct thread *t, const struct insn *in)
{
	const struct ptx_texture *x = exec_texture(t, in, t->r[in->a], in->flag);
	uint32_t v;

	if (!x)
		return OP_FAULT;
	switch ((enum query)in->sub2) {
	case Q_WIDTH:
		v = x->level[0].width;
		break;
	case Q_HEIGHT:
		v = x->level[0].height;
		break;
	case Q_DEPTH:
		v = x->layered || x->cube ? 1 : x->level[0].depth;
		break;
	case Q_LAYERS:
		v = x->layered ? x->level[0].depth / (x->cube ? 6 : 1) : 1;
		break;
	case Q_LEVELS:
		v = x->levels;
		break;
	default:
		v = x->normalized;
	}
	t->r[in->d] = v;
	return OP_NEXT;
}

/* Results and coordinates into one list of slots. */
static int take_slots(struct decode *d, const struct operand *results, const struct operand *at)
{
	uint32_t *s = arena_alloc(&d->p->m->arena, (RESULTS + at->n) * sizeof(*s));
	int err = 0;

	if (!s)
		return parse_nomem(d->p);
	for (unsigned i = 0; i < RESULTS && !err; i++)
		err = dst_of(d, &results->list[i], T_B32, &s[i]);
	for (unsigned i = 0; i < at->n && !err; i++)
		err = src_of(d, &at->list[i], T_B32, &s[RESULTS + i]);
	d->in.slots = s;
	return err;
}

/* ".2d.v4.f32.f32 {d}, [a, {c}]": what tex and tld4 have in common. @extra: operands behind them. */
static int decode_fetch(struct decode *d, unsigned extra)
{
	int g = take_geometry(d);
	bool four = mod_take(d, "v4");
	enum type result = mod_take_type(d), at = mod_take_type(d);
	int err;

	if (g < 0 || !four || (result != T_F32 && result != T_U32 && result != T_S32) || (at != T_F32 && at != T_S32))
		return decode_fail(d, -ENOTSUP, "unknown form of a texture fetch");
	err = need_operands(d, 2 + extra, 2 + extra);
	if (!err && (d->ops[0]->kind != OPD_VECTOR || d->ops[0]->n != RESULTS || d->ops[0]->pair))
		err = decode_fail(d, -ENOTSUP, "a vector of four results is wanted");
	if (!err)
		err = handle_of(d, d->ops[1], texture_geometries[g].coordinates);
	d->in.sub = (uint8_t)g;
	d->in.flag = at == T_S32;
	if (!err && d->in.flag && texture_geometries[g].cube)
		err = decode_fail(d, -ENOTSUP, "unknown form of a texture fetch");
	return err ? err : take_slots(d, d->ops[0], d->ops[1]);
}

static int decode_tex(struct decode *d)
{
	bool level = mod_take(d, "level");
	int err;

	if (mod_take(d, "grad"))
		return decode_fail(d, -ENOTSUP, "a texture fetch with gradients");
	if (!level)
		mod_take(d, "base");
	d->in.fn = op_tex;
	err = decode_fetch(d, level);
	if (err)
		return err;
	if (d->in.flag && level)
		return decode_fail(d, -ENOTSUP, "a level with integer coordinates");
	err = level ? src(d, 2, T_F32, &d->in.b) : constant(d->p, 0, &d->in.b);
	return err ? err : emit(d->p, &d->in);
}

static int decode_tld4(struct decode *d)
{
	static const char *const channels[] = {"r", "g", "b", "a", NULL};
	int channel = mod_take_any(d, channels), err;

	d->in.fn = op_tld4;
	err = decode_fetch(d, 0);
	if (!err && (channel < 0 || d->in.flag || texture_geometries[d->in.sub].dims != 2))
		err = decode_fail(d, -ENOTSUP, "unknown form of a texture fetch");
	d->in.sub2 = (uint8_t)channel;
	if (!err)
		err = constant(d->p, 0, &d->in.b);
	return err ? err : emit(d->p, &d->in);
}

/* txq, and suq with in.sub set */
static int decode_query(struct decode *d)
{
	static const char *const names[] = {"width", "height", "depth", "array_size", "num_mipmap_levels",
					    "normalized_coords", NULL};
	int what = mod_take_any(d, names);
	int err;

	d->in.flag = d->in.sub;
	d->in.sub2 = (uint8_t)what;
	d->in.fn = op_query;
	if (what < 0 || (d->in.flag && what > Q_LAYERS) || mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown query");
	err = need_operands(d, 2, 2);
	if (!err)
		err = handle_of(d, d->ops[1], 0);
	if (!err)
		err = dst(d, 0, T_B32, &d->in.d);
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_texture[] = {
	{"tex", CLASS_ANY, decode_tex, 0},
	{"tld4", CLASS_ANY, decode_tld4, 0},
	{"txq", CLASS_ANY, decode_query, 0},
	{"suq", CLASS_ANY, decode_query, 1},
	{NULL, 0, NULL, 0},
};
