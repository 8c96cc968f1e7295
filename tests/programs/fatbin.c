/* SPDX-License-Identifier: MIT */
/* Fat binaries for tests and benchmarks, see fatbin.h. */
#include "fatbin.h"

#include <stdlib.h>
#include <string.h>

#define KIND_PTX	1
#define KIND_ELF	2

struct head {
	uint32_t magic;
	uint16_t version, header_size;
	uint64_t payload_size;
};

struct entry {
	uint16_t kind, version;
	uint32_t header_size;
	uint64_t payload_size;
	uint32_t reserved[3];
	uint32_t arch;
	uint8_t rest[32];
};

_Static_assert(sizeof(struct head) == FATBIN_ENTRY_AT, "format");
_Static_assert(sizeof(struct head) + sizeof(struct entry) == FATBIN_TEXT_AT, "format");

/* Returns where the next one goes. */
static uint8_t *put_entry(uint8_t *at, uint16_t kind, uint32_t arch, uint64_t payload)
{
	const struct entry e = {
		.kind = kind, .version = 0x0101, .header_size = sizeof(e), .payload_size = payload, .arch = arch,
	};

	memcpy(at, &e, sizeof(e));
	return at + sizeof(e) + payload;
}

static void fill(uint8_t *at, size_t bytes, uint64_t seed)
{
	for (; bytes >= sizeof(seed); bytes -= sizeof(seed), at += sizeof(seed)) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		memcpy(at, &seed, sizeof(seed));
	}
}

void *fatbin_make(const char *text, size_t size, struct fatbin_filler filler, size_t *bytes)
{
	size_t padded = (size + 1 + 7) & ~(size_t)7;
	struct head h = {
		.magic = 0xba55ed50, .version = 1, .header_size = sizeof(h),
		.payload_size = sizeof(struct entry) + padded + (filler.bytes ? sizeof(struct entry) + filler.bytes : 0),
	};
	uint8_t *image = calloc(1, sizeof(h) + h.payload_size), *at;

	if (!image)
		return NULL;
	*bytes = sizeof(h) + h.payload_size;
	memcpy(image, &h, sizeof(h));
	memcpy(image + FATBIN_TEXT_AT, text, size);
	at = put_entry(image + FATBIN_ENTRY_AT, KIND_PTX, 50, padded);
	if (filler.bytes) {
		put_entry(at, KIND_ELF, filler.arch, filler.bytes);
		fill(at + sizeof(struct entry), filler.bytes, filler.seed);
	}
	return image;
}
