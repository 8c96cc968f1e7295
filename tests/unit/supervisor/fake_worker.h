/* SPDX-License-Identifier: MIT */
/* The commands by which a test has its fake worker share memory; all others are counted and nothing else. */
#ifndef TEST_FAKE_WORKER_H
#define TEST_FAKE_WORKER_H

#include <vgpu/ring.h>

#include "control.h"

enum fake_op {
	FAKE_EXPORT = 2,	/* the token now stands for a descriptor of a file that holds the token, and FAKE_SECRET */
	FAKE_IMPORT = 3,	/* ask for what the token names */
	FAKE_KEEP = 4,		/* give an image away that consists of its hash */
	FAKE_FIND = 5,		/* ask for an image */
	FAKE_WITHDRAW = 6,	/* the token names nothing any more */
};

#define FAKE_SECRET	"what no guest may see"

/* Answered in reply slot 0: result 0, or 1 if the token names nothing or cannot be kept; the data is struct fake_imported. */
struct fake_share {
	_Alignas(VGPU_CMD_ALIGN) struct vgpu_cmd c;	/* party_call() sends a whole line */
	uint8_t token[VGPU_TOKEN_BYTES];
	uint32_t kind;		/* enum vgpu_share_kind */
	uint32_t reserved;
};

struct fake_imported {
	struct vgpu_ctl_share share;	/* as it came from the supervisor */
	uint8_t file[VGPU_TOKEN_BYTES];	/* what the descriptor's file begins with; zeros: none came */
};

enum fake_flaw {
	FAKE_SOUND,
	FAKE_UNSEALED,
	FAKE_SHORT,		/* the file is shorter than the message says */
	FAKE_NO_FILE,
};

/* Answered in reply slot 0: result 0, or 1 if nothing was found; FAKE_FIND: the data is struct fake_found. */
struct fake_image {
	_Alignas(VGPU_CMD_ALIGN) struct vgpu_cmd c;	/* party_call() sends a whole line */
	uint64_t hash;		/* both halves of it */
	uint64_t bytes;
	uint32_t flaw;		/* enum fake_flaw, of what is given away */
	uint32_t more;		/* so many others, with the hashes that follow, are kept before it */
};

struct fake_found {
	uint64_t first;		/* what the file begins with; 0: none came */
	uint64_t size;		/* of the file */
	uint32_t fixed;		/* 1: it could not be written */
	uint32_t shared;	/* `images` of ATTACH */
};

/* fake_images.c: execute either of them. */
void fake_image(struct vgpu_reply_slot *reply, const struct fake_image *f, uint32_t shared);

_Static_assert(sizeof(struct fake_image) == VGPU_CMD_ALIGN, "one unit of the ring");
_Static_assert(sizeof(struct fake_share) == VGPU_CMD_ALIGN, "one unit of the ring");

#endif
