/* SPDX-License-Identifier: MIT */
/*
 * Log lines of the mediator's processes: one line an event, naming the hop,
 * the VM, the session (the guest's process) and the call.
 *
 *	time=2025-11-23T10:11:12.345Z level=info hop=worker vm_id=3 session=12
 *	pid=4711 call=88 msg="..."			(one line)
 *
 * They go to stderr, or to the journal as fields (VGPU_HOP, VGPU_VM_ID,
 * VGPU_SESSION, VGPU_PID, VGPU_CALL) when stderr is the journal's stream.
 * Any thread may log.  A pipe that nobody empties costs lines, never time:
 * such lines are counted and the next one that fits says how many are gone.
 */
#ifndef VGPU_LOG_H
#define VGPU_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum vgpu_log_level {		/* numbers of syslog(3) */
	VGPU_LOG_ERROR = 3,
	VGPU_LOG_WARNING = 4,
	VGPU_LOG_NOTICE = 5,
	VGPU_LOG_INFO = 6,
	VGPU_LOG_DEBUG = 7,
};

/* Whom a line is about; what is 0 (has_vm false) does not appear in it. */
struct vgpu_log_ids {
	bool has_vm;
	uint32_t vm_id;
	uint32_t session;
	uint32_t pid;		/* of the guest's process, or of the peer */
	uint64_t call;		/* vgpu_cmd.seq */
};

/* `hop` stays in use: pass a literal. Lines less urgent than `level` are dropped. */
void vgpu_log_init(const char *hop, int level);
void vgpu_log_set_level(int level);
int vgpu_log_get_level(void);

/* Lines go to this descriptor instead of stderr's. Before there is another thread. */
void vgpu_log_set_descriptor(int fd);

/* Ids for lines that bring none: those of a worker's only session. */
void vgpu_log_set_ids(const struct vgpu_log_ids *ids);

/* "error", "warning", "notice", "info", "debug": level, or -EINVAL. */
int vgpu_log_level_parse(const char *name);
const char *vgpu_log_level_name(int level);

/* One line. `ids` may be NULL. Quotes and control characters of the text are escaped. */
void vgpu_log(int level, const struct vgpu_log_ids *ids, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Limit for lines that a hostile peer can provoke at will: `burst` lines in
 * each `window_ms`, the others are counted.  One thread.
 */
struct vgpu_log_limit {
	uint32_t burst;
	uint32_t window_ms;
	uint64_t started_ms;	/* of the present window */
	uint32_t lines;
	uint64_t suppressed;	/* since the last line that was let through */
};

/* vgpu_log(), if the limit allows it at `now_ms`; names the number of lines left out before. */
void vgpu_log_limited(struct vgpu_log_limit *limit, uint64_t now_ms, int level,
		      const struct vgpu_log_ids *ids, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
