/* SPDX-License-Identifier: MIT */
/*
 * vgpuctl trace: follows calls.  Being connected switches recording on, the
 * end of the connection switches it off.  Reads each session from a cursor
 * of its own and prints, or hands the records to chrome.c.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

#define SESSIONS_MAX	1024u
#define PAUSE_NS	100000000L

static volatile sig_atomic_t interrupted;

struct cursor {
	uint32_t session;
	uint64_t next;
};

struct trace {
	const struct ctl_options *o;
	int fd;
	struct chrome *chrome;
	bool headed;		/* the heading is out */
	uint64_t records;
	struct cursor cursors[SESSIONS_MAX];
	uint32_t count;
};

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

static struct cursor *cursor_of(struct trace *t, uint32_t session)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->cursors[i].session == session)
			return &t->cursors[i];
	if (t->count == SESSIONS_MAX)
		return NULL;
	t->cursors[t->count] = (struct cursor){ .session = session };
	return &t->cursors[t->count++];
}

/* ---- one record ---- */

static double us(uint64_t from, uint64_t to)
{
	return from && to >= from ? (double)(to - from) / 1000 : 0;
}

static void print_record(struct trace *t, uint32_t session, struct json_object *r)
{
	uint64_t guest = get_number(r, "guest"), taken = get_number(r, "taken"), done = get_number(r, "done");
	int64_t result = json_object_get_int64(get_child(r, "result"));

	if (!t->headed)
		printf("session        call  operation                     ring us  worker us  device us    bytes result\n");
	t->headed = true;
	/* Guest and host share a clock only without a VM between them. */
	printf("%7u %11llu  %-27.27s ", session, (unsigned long long)get_number(r, "seq"),
	       show_op((uint32_t)get_number(r, "op")));
	if (guest && guest <= taken)
		printf("%10.1f ", us(guest, taken));
	else
		printf("%10s ", "-");
	printf("%10.1f ", us(taken, done));
	if (get_number(r, "device_end"))
		printf("%10.1f ", us(get_number(r, "device_begin"), get_number(r, "device_end")));
	else
		printf("%10s ", "-");
	printf("%8llu %6lld\n", (unsigned long long)get_number(r, "bytes"),
	       (long long)result);
}

static void take_record(struct trace *t, uint32_t session, const char *name, struct json_object *r)
{
	t->records++;
	if (t->chrome)
		chrome_record(t->chrome, session, name, r);
	else if (t->o->json)
		printf("%s\n", json_object_to_json_string_ext(r, JSON_C_TO_STRING_PLAIN));
	else
		print_record(t, session, r);
}

/* ---- reading ---- */

/* One answer's worth. 1: there is more, 0: that was all, -1: no connection, -2: no such session. */
static int read_session(struct trace *t, struct cursor *c)
{
	struct json_object *a = ctl_request(t->fd, "trace", c->session, c->next);
	struct json_object *records;
	uint64_t lost;
	int more;

	if (!a)
		return -1;
	if (ctl_error(a)) {
		json_object_put(a);
		return -2;
	}
	lost = get_number(a, "lost");
	if (lost)
		fprintf(stderr, "vgpuctl: session %u: %s records were overwritten before they were read\n",
			c->session, show_count(lost));
	records = get_child(a, "records");
	for (size_t i = 0; i < json_object_array_length(records); i++)
		take_record(t, c->session, get_text(a, "name"), json_object_array_get_idx(records, i));
	c->next = get_number(a, "next");
	more = get_number(a, "more") ? 1 : 0;
	json_object_put(a);
	return more;
}

static int drain_session(struct trace *t, uint32_t session)
{
	struct cursor *c = cursor_of(t, session);
	int ret = 1;

	while (c && ret == 1 && !interrupted)
		ret = read_session(t, c);
	return ret;
}

/* All sessions that there are now, or the one that was asked for. */
static int drain(struct trace *t)
{
	struct json_object *a, *list;
	int ret = 0;

	if (t->o->session)
		return drain_session(t, t->o->session);
	a = ctl_request(t->fd, "trace", 0, 0);
	if (!a)
		return -1;
	list = get_child(a, "sessions");
	for (size_t i = 0; ret != -1 && list && i < json_object_array_length(list); i++) {
		struct json_object *s = json_object_array_get_idx(list, i);

		if (!t->o->vm_given || t->o->vm == get_number(s, "vm_id"))
			ret = drain_session(t, (uint32_t)get_number(s, "session"));
	}
	json_object_put(a);
	return ret == -1 ? -1 : 0;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int collect(struct trace *t)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct timespec start;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		ret = drain(t);
		fflush(stdout);
		if (ret < 0 || interrupted || (!t->o->follow && seconds_since(&start) >= t->o->seconds))
			return ret;
		nanosleep(&pause, NULL);
	}
}

int ctl_trace(int fd, const struct ctl_options *o)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct trace *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return CTL_BROKEN;
	t->o = o;
	t->fd = fd;
	if (o->chrome && !(t->chrome = chrome_open(o->chrome))) {
		perror(o->chrome);
		free(t);
		return CTL_BROKEN;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ret = collect(t);
	if (t->chrome) {
		if (chrome_close(t->chrome) < 0) {
			fprintf(stderr, "vgpuctl: %s could not be written whole\n", o->chrome);
			ret = -3;
		} else {
			fprintf(stderr, "vgpuctl: %s calls written to %s\n", show_count(t->records), o->chrome);
		}
	}
	if (ret == -2)
		fprintf(stderr, "vgpuctl: session %u: there is no such session\n", o->session);
	else if (!t->records && !o->json && !t->chrome)
		fprintf(stderr, "vgpuctl: no calls in this time\n");
	free(t);
	return ret == -1 ? CTL_NO_MEDIATOR : ret < 0 ? CTL_BROKEN : CTL_FINE;
}
