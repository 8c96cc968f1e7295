/* SPDX-License-Identifier: MIT */
/* Multiplication and loading of matrices that a warp holds together; warp.c calls this when the lanes have met. */
#ifndef VGPU_PTX_MATRIX_H
#define VGPU_PTX_MATRIX_H

#include "exec.h"
#include "parse.h"

/* One lane's part of an operand. */
struct fragment {
	const uint32_t *slots;
	uint8_t count; /* registers */
	uint8_t type;  /* of an element */
};

/* What an instruction knows of its matrices: m rows, n columns, k products for each element. */
struct matrix {
	uint8_t m, n, k;
	bool drawn;     /* fragments as PTX ISA draws them, for mma */
	bool by_column; /* in memory */
	bool saturate;
	struct fragment a, b, c, d; /* only d of loads and stores */
};

void matrix_multiply(struct warp *w, uint32_t group, const struct matrix *x);
void matrix_take_rows(const struct warp *w, struct thread *t, uint32_t group);

#endif
