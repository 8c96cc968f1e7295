/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: any bytes are read as a fat binary, entry by entry, and unpacked or refused; nothing outside them is
 * read. With libFuzzer this is the whole program; without it a main() of its own changes the files given to it, the
 * same way every time.
 *
 * usage: fuzz_fatbin ROUNDS FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soft/fatbin.h"

#define MAX_FILE 65536u
#define MAX_RAW (1u << 20) /* larger claims are true to the format, but slow */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long unpacked;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fatbin_entry e;
	struct fatbin f;
	size_t len;
	char *text;

	if (fatbin_open(&f, data, size))
		return 0;
	while (fatbin_next(&f, &e) > 0) {
		if (e.data < data || e.size > (size_t)(data + size - e.data))
			abort();
		if (e.raw_size > MAX_RAW || fatbin_unpack(&e, &text, &len))
			continue;
		if (len != e.raw_size || text[len])
			abort();
		unpacked++;
		free(text);
	}
	return 0;
}

#ifndef VGPU_LIBFUZZER
static uint32_t random_number(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

/* Changes a few bytes, mostly in headers, where they matter most; sometimes cuts the end off. */
static size_t change(uint8_t *data, size_t size)
{
	uint32_t i, n = random_number() % 4;

	for (i = 0; i < n; i++)
		data[random_number() % (random_number() % 4 ? 96 : size)] = (uint8_t)random_number();
	if (random_number() % 8 == 0)
		size = random_number() % size;
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t original[MAX_FILE];
	long i, rounds = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
	uint8_t *data;
	size_t size;
	FILE *f;
	int a;

	for (a = 2; a < argc; a++) {
		f = fopen(argv[a], "rb");
		size = f ? fread(original, 1, sizeof(original), f) : 0;
		if (f)
			fclose(f);
		if (size < 96) {
			fprintf(stderr, "cannot use %s\n", argv[a]);
			return 1;
		}
		for (i = 0; i < rounds; i++) {
			size_t n;

			/* Of its own exact size, so that a sanitizer sees a read behind the end. */
			data = malloc(size);
			memcpy(data, original, size);
			n = change(data, size);
			data = realloc(data, n ? n : 1);
			LLVMFuzzerTestOneInput(data, n);
			free(data);
		}
	}
	/* Some changes are harmless: if nothing was ever unpacked, this tested nothing. */
	if (!rounds || !unpacked) {
		fprintf(stderr, "no entry was unpacked\n");
		return 1;
	}
	printf("%lu entries unpacked\n", unpacked);
	return 0;
}
#endif
