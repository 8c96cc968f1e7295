/* SPDX-License-Identifier: MIT */
/*
 * The options of the JIT, as far as they mean something to a device that compiles nothing: logs, and the time it took.
 * The caller's buffers and values are written when something is said, and when a call ends; they stay the caller's. One
 * thread at a time.
 */
#ifndef VGPU_SOFT_JIT_H
#define VGPU_SOFT_JIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu/cuda_types.h"

struct soft_jit_log {
	char *text;      /* NULL: nobody wants it */
	size_t room;     /* bytes, of which the last becomes a NUL */
	size_t used;     /* without it */
	void **size;     /* the option's value, which tells how much is used; NULL: not asked */
};

struct soft_jit {
	struct soft_jit_log info, error;
	void **wall;     /* NULL: not asked */
	bool verbose;
	double ms;       /* of all calls so far */
	uint64_t since;  /* ns, when the present call began */
};

/* INVALID_VALUE: there are options but no values, or one of them does not exist. */
CUresult soft_jit_open(struct soft_jit *j, unsigned n, const CUjit_option *options, void **values);
/* A call begins, and ends with answers in the options. */
void soft_jit_begin(struct soft_jit *j);
void soft_jit_end(struct soft_jit *j);

/* A line, which needs no newline, for the caller's log. An error goes to the device's log, too. @j may be NULL. */
void soft_jit_error(struct soft_jit *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Only when the log is to be verbose. */
void soft_jit_info(struct soft_jit *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
