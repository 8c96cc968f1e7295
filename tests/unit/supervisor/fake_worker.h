/* SPDX-License-Identifier: MIT */
/* The commands by which a test has its fake worker share memory; all others are counted and nothing else. */
#ifndef TEST_FAKE_WORKER_H
#define TEST_FAKE_WORKER_H

#include <vgpu/ring.h>

#include "control.h"

enum fake_op {
	FAKE_EXPORT = 2,	/* the token now stands for a descriptor of a file that holds the token, and FAKE_SECRET */
	FAKE_IMPORT = 3,	/* ask for what the token names */
};

#define FAKE_SECRET	"what no guest may see"

/* Answered in reply slot 0: result 0, or 1 if the token names nothing or cannot be kept; the data is struct fake_imported. */
struct fake_share {
	struct vgpu_cmd c;
	uint8_t token[VGPU_TOKEN_BYTES];
	uint32_t kind;		/* enum vgpu_share_kind */
	uint32_t reserved;
};

struct fake_imported {
	struct vgpu_ctl_share share;	/* as it came from the supervisor */
	uint8_t file[VGPU_TOKEN_BYTES];	/* what the descriptor's file begins with; zeros: none came */
};

_Static_assert(sizeof(struct fake_share) == 64, "one unit of the ring");

#endif
