/* SPDX-License-Identifier: MIT */
/*
 * A recording sent again, to a mediator at VGPU_SOCKET_PATH, over a session of its own.  One thread takes the place of all
 * threads of the program: it sends what they sent, and waits where they knew that something had arrived.
 */
#ifndef VGPU_BENCH_REPLAY_H
#define VGPU_BENCH_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "recording.h"

/* Of the part that is measured: between the recording's marks, or everything. */
struct replay_result {
	uint64_t ns, commands, launches, copied, doorbells;
	uint64_t checked;	/* results compared, in the whole recording */
	char why[200];		/* what went wrong */
};

/* At full speed, or no command earlier after a wait than in the recording. 0, or -1 with `why`. */
int replay_run(const struct recording *rec, bool paced, struct replay_result *result);

#endif
