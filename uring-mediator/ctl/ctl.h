/* SPDX-License-Identifier: MIT */
/*
 * vgpuctl: asks a mediator over its control socket and shows the answer.
 * One thread; every request waits for its answer.
 */
#ifndef VGPUCTL_H
#define VGPUCTL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum ctl_exit {
	CTL_FINE = 0,
	CTL_BROKEN = 1,		/* a hop is broken, or the request failed */
	CTL_USAGE = 2,
	CTL_NO_MEDIATOR = 3,
};

struct ctl_options {
	const char *control;	/* path of the control socket */
	bool json;		/* the mediator's answer as it is */
	bool colour;
	bool follow;
	bool vm_given;
	uint32_t vm;
	uint32_t session;	/* 0: all */
	const char *chrome;	/* file for a Chrome trace, NULL: none */
	double seconds;		/* trace: how long to look */
};

/* ---- connection.c ---- */

/* Connected socket, or -errno after a line on stderr. */
int ctl_connect(const char *path);
/*
 * Send {"cmd": cmd, "session": session, "cursor": cursor} and wait for the
 * answer.  NULL: the connection ended or the answer is no JSON; said on stderr.
 */
struct json_object *ctl_request(int fd, const char *cmd, uint32_t session, uint64_t cursor);
/* The answer's "error", NULL if it has none. */
const char *ctl_error(struct json_object *answer);

/* ---- show.c ---- */

uint64_t get_number(struct json_object *o, const char *key);
bool get_flag(struct json_object *o, const char *key);
const char *get_text(struct json_object *o, const char *key);
/* Array or object of that name, NULL if there is none. */
struct json_object *get_child(struct json_object *o, const char *key);

/* Numbers for people, into one of a few static buffers that take turns. */
const char *show_count(uint64_t n);		/* 1,234,567 */
const char *show_bytes(uint64_t n);		/* 1.5 GiB */
const char *show_time(uint64_t ms);		/* 3 d 4 h */
const char *show_op(uint32_t op);		/* name of a command */
const char *show_batch(struct json_object *session);	/* VGPU_BATCH, and VGPU_BATCH_USEC where it matters */
const char *show_driver(uint64_t version);	/* 13000: 13.0 */
const char *show_sessions_count(uint64_t n);	/* "1 session", "2 sessions" */

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_NOTE, COLOUR_BOLD };
const char *colour_on(const struct ctl_options *o, enum colour c);
const char *colour_off(const struct ctl_options *o);

/* ---- hops.c ---- */

struct counts {
	bool pci, stub_known;
	uint64_t guest_commands, guest_doorbells, guest_replies, guest_fences;
	uint64_t stub_doorbells, stub_wakes, stub_wakes_failed;
	uint64_t wakes, doorbells, commands, replies, fences, wake_gaps;
	uint64_t image_bytes, image_bytes_spared;
};

enum mark { MARK_NONE, MARK_OK, MARK_DIFFERS };

#define HOP_ROWS 13u

struct hop_row {
	const char *hop, *what, *with;	/* `with`: what the number is compared with, "" = nothing */
	bool known;
	uint64_t count;
	enum mark mark;
};

enum verdict_kind {
	VERDICT_IDLE,		/* nothing was asked of this session */
	VERDICT_FINE,
	VERDICT_NOTE,		/* nothing is broken, something is worth knowing */
	VERDICT_BROKEN,
};

struct verdict {
	enum verdict_kind kind;
	char text[512];		/* which hop saw the last call, what is wrong, what to do */
};

void counts_read(struct counts *c, struct json_object *hops, bool pci);
void counts_add(struct counts *to, const struct counts *from);
void hops_table(const struct counts *c, struct hop_row rows[HOP_ROWS]);
/* What a session's part of the status document says about the path. */
void session_verdict(struct json_object *session, bool pci, struct verdict *v);
/* Has anything moved between two looks at a live session? */
bool session_moved(struct json_object *before, struct json_object *after);

/* ---- chrome.c ---- */

struct chrome;

/* A new file; NULL with errno set. */
struct chrome *chrome_open(const char *path);
/* One record of the mediator's answer, of the session with that name. */
void chrome_record(struct chrome *c, uint32_t session, const char *name, struct json_object *record);
/* 0, or -errno: what was written may not be complete. */
int chrome_close(struct chrome *c);

/* ---- status.c ---- */

/* That live session, or that VM, in the status document; NULL if there is none. */
struct json_object *status_session(struct json_object *status, uint64_t id);
struct json_object *status_vm(struct json_object *status, uint64_t id);

/* ---- the commands ---- */

int ctl_status(int fd, const struct ctl_options *o);
int ctl_verify(int fd, const struct ctl_options *o);
int ctl_trace(int fd, const struct ctl_options *o);
int ctl_kill(int fd, const struct ctl_options *o);

#endif
