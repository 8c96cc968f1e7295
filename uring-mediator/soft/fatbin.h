/* SPDX-License-Identifier: MIT */
/*
 * Reads fat binaries: one code image for several architectures, each entry PTX text or machine code, perhaps
 * compressed. Works on memory that may be hostile: nothing outside [image, image + limit) is read, whatever the
 * headers say, and nothing in the image is followed as a pointer. No state, any thread.
 *
 * The format is not documented by its vendor; the layout here was read off the output of nvcc 12 and 13, in all of its
 * compression modes.
 */
#ifndef VGPU_SOFT_FATBIN_H
#define VGPU_SOFT_FATBIN_H

#include <stddef.h>
#include <stdint.h>

#define FATBIN_MAGIC 0xba55ed50u
#define FATBIN_WRAPPER_MAGIC 0x466243b1u
#define FATBIN_MAX_TEXT (256u << 20) /* bytes of one unpacked entry */

enum fatbin_kind { FATBIN_PTX = 1, FATBIN_ELF = 2 };
enum fatbin_packing { FATBIN_PLAIN, FATBIN_LZ4, FATBIN_ZSTD };

struct fatbin {
	const unsigned char *next, *end;
};

struct fatbin_entry {
	unsigned kind;           /* enum fatbin_kind, or one that we do not know */
	unsigned arch;           /* 75 is sm_75 */
	enum fatbin_packing packing;
	const unsigned char *data;
	size_t size;             /* bytes at data */
	size_t raw_size;         /* bytes unpacked; of a plain entry the same as size, padding included */
};

/*
 * Begins to read the fat binary at @image, of which at most @limit bytes are read. -EINVAL when it is none or is cut
 * off.
 */
int fatbin_open(struct fatbin *f, const void *image, size_t limit);
/* 1 and the next entry, 0 at the end, -EINVAL when an entry does not fit. */
int fatbin_next(struct fatbin *f, struct fatbin_entry *e);
/* The PTX entry with the highest architecture below @below: 1, 0 for none, -EINVAL. */
int fatbin_best_ptx(const void *image, size_t limit, unsigned below, struct fatbin_entry *best);
/*
 * Unpacks an entry into memory for the caller to free, with a NUL behind it. -EINVAL when the packing is broken or the
 * size is not as said, -E2BIG above FATBIN_MAX_TEXT, -ENOMEM.
 */
int fatbin_unpack(const struct fatbin_entry *e, char **out, size_t *len);

#endif
