/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: any text is parsed or refused, and what parses runs to an end or to a fault. With libFuzzer this is
 * the whole program; without it a main() of its own changes the files given to it, the same way every time.
 *
 * usage: fuzz_ptx ROUNDS FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx.h"

#define MEMORY 65536u
#define ADDRESS 0x10000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char memory[MEMORY];

static bool find(void *ctx, uint64_t addr, struct ptx_range *range)
{
	(void)ctx;
	*range = (struct ptx_range){ADDRESS, MEMORY, memory, true};
	return addr - ADDRESS < MEMORY;
}

static bool bind_globals(struct ptx_module *m)
{
	uint64_t at = 0;

	for (size_t i = 0; i < ptx_global_count(m); i++) {
		const struct ptx_global *g = ptx_global_at(m, i);

		at = (at + g->align - 1) & ~((uint64_t)g->align - 1);
		if (g->size > MEMORY || at > MEMORY - g->size)
			return false;
		if (ptx_bind_global(m, i, ADDRESS + at))
			abort();
		at += g->size;
	}
	at = 0;
	for (size_t i = 0; i < ptx_global_count(m); i++) {
		const struct ptx_global *g = ptx_global_at(m, i);

		at = (at + g->align - 1) & ~((uint64_t)g->align - 1);
		if (ptx_write_initial(m, i, memory + at))
			abort();
		at += g->size;
	}
	return true;
}

/* One short launch; every parameter points into memory or is a small number. */
static void run(struct ptx_module *m, const struct ptx_entry *e)
{
	static const atomic_bool cancel = true;
	struct ptx_launch l = {.module = m, .entry = e, .grid = {2, 1, 1}, .block = {3, 1, 1}, .dynamic_shared = 256,
			       .mem = {find, NULL}, .cancel = &cancel};
	struct ptx_fault fault;
	uint64_t *params = calloc(1, e->params_size + 8u);

	if (!params)
		return;
	for (uint32_t i = 0; i < e->params_size / 8; i++)
		params[i] = i % 2 ? 5 : ADDRESS + i * 1024;
	if (e->reqntid[0])
		memcpy(l.block, e->reqntid, sizeof(l.block));
	l.params = params;
	l.params_size = e->params_size;
	ptx_run(&l, &fault);
	free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ptx_module *m;
	struct ptx_diag diag;

	if (ptx_parse((const char *)data, size, &m, &diag)) {
		if (m || !diag.text[0] || !memchr(diag.text, 0, sizeof(diag.text)))
			abort();
		return 0;
	}
	if (bind_globals(m))
		for (size_t i = 0; i < ptx_entry_count(m) && i < 4; i++)
			run(m, ptx_entry_at(m, i));
	ptx_free(m);
	return 0;
}

#ifndef VGPU_LIBFUZZER
static uint64_t next(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Changes bytes, swaps or repeats lines' worth of text, or cuts it. */
static size_t mutate(uint8_t *text, size_t size)
{
	static const char words[] = "add.cc.u32 bra ld.global.v4.u32 [%r1+-4] {%r1,%rd1} 0x7fffffffffffffff <99999> @!%p1 "
				    "call (r), f, (a); .shared .b8 x[65536]; } { : | shfl.sync.idx.b32 cvt.rni.sat.s8.f64";

	for (unsigned n = 1 + next() % 4; n && size > 64; n--) {
		size_t at = next() % (size - 40), from = next() % (size - 40), len = next() % 32;

		switch (next() % 5) {
		case 0:
			text[at] = (uint8_t)next();
			break;
		case 1:
			text[at] = (uint8_t)('0' + next() % 10);
			break;
		case 2:
			memmove(text + at, text + from, len);
			break;
		case 3:
			memcpy(text + at, words + next() % (sizeof(words) - 33), len);
			break;
		default:
			if (next() % 16 == 0)
				size = at;
		}
	}
	return size;
}

static uint8_t *slurp(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *text = malloc(1u << 20);

	if (!f || !text) {
		perror(path);
		exit(1);
	}
	*size = fread(text, 1, 1u << 20, f);
	fclose(f);
	return text;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	uint8_t *copy = malloc(1u << 20);

	if (argc < 3 || !copy) {
		fprintf(stderr, "usage: %s ROUNDS FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		size_t size;
		uint8_t *text = slurp(argv[i], &size);

		LLVMFuzzerTestOneInput(text, size);
		for (unsigned long k = 0; k < rounds; k++) {
			uint8_t *exact;
			size_t n;

			memcpy(copy, text, size);
			n = mutate(copy, size);
			exact = malloc(n + 1); /* so that a sanitizer sees reads beyond the text */
			if (!exact)
				return 1;
			memcpy(exact, copy, n);
			LLVMFuzzerTestOneInput(exact, n);
			free(exact);
		}
		free(text);
	}
	free(copy);
	return 0;
}
#endif
