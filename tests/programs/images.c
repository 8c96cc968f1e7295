/* SPDX-License-Identifier: MIT */
/*
 * Loads damaged module images by the hundred: images NUMBER FILE... Each file is PTX; it is tried as it is, cut, with
 * bytes changed, and inside a fat binary with a damaged header. Whatever loads is unloaded. The images before NUMBER are
 * made, but not tried: so another process goes on where an image has cost one its session. Says at its end how many were
 * loaded, refused, and refused without a reason. Exit status: 0 if every call returned, the undamaged files loaded and
 * the driver still works; 2 if not; 3 if the session was lost, and then the last line names the number to go on with.
 */
#include "program.h"

#include <stdint.h>
#include <string.h>

#include "fatbin.h"

#define VARIANTS 40
#define LOST 3

static uint32_t seed = 7;
static unsigned long number, from;
static unsigned int loaded, refused, unexplained;

static uint32_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static void report(void)
{
	printf("images: %u loaded, %u refused, %u unexplained\n", loaded, refused, unexplained);
}

static CUresult try(const void *image)
{
	CUmodule m;
	CUresult r;

	if (number++ < from)
		return CUDA_SUCCESS;
	r = cuModuleLoadData(&m, image);
	if (!r) {
		loaded++;
		return cuModuleUnload(m);
	}
	refused++;
	unexplained += r == CUDA_ERROR_UNKNOWN;
	if (r == CUDA_ERROR_DEVICE_UNAVAILABLE) {
		report();
		printf("images: lost, go on with %lu\n", number);
		exit(LOST);
	}
	return r;
}

static char *contents(const char *path, size_t *size)
{
	static char text[1 << 20];
	FILE *f = fopen(path, "re");

	if (!f) {
		perror(path);
		exit(2);
	}
	*size = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[*size] = 0;
	return text;
}

/* A text stays a text: no NUL is put in. */
static void damage(char *text, size_t size)
{
	for (uint32_t n = 1 + next() % 8; n; n--) {
		size_t at = next() % size, other = next() % size;

		switch (next() % 3) {
		case 0:
			text[at] = (char)(1 + next() % 255);
			break;
		case 1:
			text[at] = text[other];
			break;
		default:
			memmove(text + at, text + other, size - (at > other ? at : other));
			break;
		}
	}
}

/* In a fat binary, of which one byte of the headers is changed at a time. */
static void fat(const char *text, size_t size)
{
	size_t bytes;
	uint8_t *image = fatbin_make(text, size, (struct fatbin_filler){ 0 }, &bytes);

	if (!image)
		exit(2);
	for (int i = 0; i < VARIANTS; i++) {
		/* Not the sizes: a native driver believes them, and so the guest library has to read as far. */
		uint32_t at = FATBIN_ENTRY_AT + next() % (FATBIN_TEXT_AT - FATBIN_ENTRY_AT);
		uint8_t old = image[at];

		if (at >= 20 && at < 32)
			continue;
		image[at] = (uint8_t)next();
		try(image);
		image[at] = old;
	}
	free(image);
}

int main(int argc, char **argv)
{
	static char copy[1 << 20];
	CUdeviceptr p;
	size_t size;

	if (argc < 3) {
		fprintf(stderr, "usage: %s NUMBER FILE...\n", argv[0]);
		return 2;
	}
	from = strtoul(argv[1], NULL, 10);
	program_open("images");
	for (int i = 2; i < argc; i++) {
		const char *text = contents(argv[i], &size);

		CHECK(try(text));
		for (int k = 0; k < VARIANTS; k++) {
			memcpy(copy, text, size + 1);
			if (k % 4 == 0)
				copy[next() % size] = 0;
			else
				damage(copy, size);
			try(copy);
		}
		fat(text, size);
	}
	CHECK(cuMemAlloc(&p, 64));
	CHECK(cuMemsetD32(p, 1, 16));
	CHECK(cuCtxSynchronize());
	report();
	return 0;
}
