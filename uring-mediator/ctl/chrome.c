/* SPDX-License-Identifier: MIT */
/*
 * A trace as chrome://tracing and ui.perfetto.dev read it: an array of events, microseconds.  One process for each
 * session, in it a row for each thread of the guest (the moments of its calls, where guest and host share a clock), one
 * for the worker, and one for each stream of the device, so that copies are seen under kernels.
 */
#include <errno.h>
#include <stdlib.h>

#include "ctl.h"

#define ROWS_MAX	1024u
#define TID_WORKER	0u
#define TID_STREAM	1000000000u	/* beyond every thread id */

struct row {
	uint32_t session;
	enum { ROW_SESSION, ROW_GUEST, ROW_WORKER, ROW_STREAM } kind;
	uint64_t id;		/* thread, or wire id of the stream */
};

struct chrome {
	FILE *file;
	bool begun;
	struct row rows[ROWS_MAX];	/* that have their names */
	uint32_t count;
};

struct chrome *chrome_open(const char *path)
{
	struct chrome *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->file = fopen(path, "we");
	if (!c->file) {
		free(c);
		return NULL;
	}
	return c;
}

int chrome_close(struct chrome *c)
{
	bool whole;

	fprintf(c->file, "%s\n]\n", c->begun ? "" : "[");
	whole = !ferror(c->file);
	whole = !fclose(c->file) && whole;
	free(c);
	return whole ? 0 : -EIO;
}

static void next(struct chrome *c)
{
	fputs(c->begun ? ",\n" : "[\n", c->file);
	c->begun = true;
}

/* Names a row, and its place among the rows, in the words of the format. */
static void metadata(struct chrome *c, const char *what, uint32_t session, uint32_t tid, const char *text, uint64_t id)
{
	struct json_object *name = json_object_new_string(text);

	next(c);
	fprintf(c->file, "{\"name\":\"%s_name\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":%s}}", what, session, tid,
		json_object_to_json_string_ext(name, JSON_C_TO_STRING_PLAIN));
	next(c);
	fprintf(c->file, "{\"name\":\"%s_sort_index\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"sort_index\":%llu}}", what,
		session, tid, (unsigned long long)id);
	json_object_put(name);
}

/* Its thread id, named on first use. Rows beyond the last share one. */
static uint32_t row_of(struct chrome *c, const struct row *r, const char *name)
{
	char text[128];
	uint32_t tid, i;

	for (i = 0; i < c->count; i++)
		if (c->rows[i].session == r->session && c->rows[i].kind == r->kind && c->rows[i].id == r->id)
			break;
	tid = r->kind == ROW_GUEST ? (uint32_t)r->id : r->kind == ROW_STREAM ? TID_STREAM + i : TID_WORKER;
	if (i < c->count || c->count == ROWS_MAX)
		return tid;
	c->rows[c->count++] = *r;
	if (r->kind == ROW_SESSION)
		snprintf(text, sizeof(text), "session %u: %s", r->session, name);
	else if (r->kind == ROW_STREAM)
		snprintf(text, sizeof(text), "%s%llu", name, (unsigned long long)(r->id & UINT32_MAX));
	else
		snprintf(text, sizeof(text), r->kind == ROW_GUEST ? "guest thread %llu" : "worker",
			 (unsigned long long)r->id);
	metadata(c, r->kind == ROW_SESSION ? "process" : "thread", r->session, tid, text,
		 r->kind == ROW_SESSION ? r->session : (uint64_t)r->kind * 100000 + i);
	return tid;
}

static double microseconds(uint64_t ns)
{
	return (double)ns / 1000;
}

static void slice(struct chrome *c, const char *category, uint32_t session, uint32_t tid, struct json_object *r,
		  uint64_t from, uint64_t to)
{
	next(c);
	fprintf(c->file, "{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
		"\"args\":{\"seq\":%llu,\"bytes\":%llu,\"result\":%lld}}", show_op((uint32_t)get_number(r, "op")),
		category, session, tid, microseconds(from), to > from ? microseconds(to - from) : 0,
		(unsigned long long)get_number(r, "seq"), (unsigned long long)get_number(r, "bytes"),
		(long long)json_object_get_int64(get_child(r, "result")));
}

void chrome_record(struct chrome *c, uint32_t session, const char *name, struct json_object *r)
{
	uint64_t guest = get_number(r, "guest"), taken = get_number(r, "taken"), to = get_number(r, "device_end");
	uint32_t tid;

	row_of(c, &(struct row){ session, ROW_SESSION, 0 }, name);
	tid = row_of(c, &(struct row){ session, ROW_WORKER, 0 }, "");
	slice(c, "worker", session, tid, r, taken, get_number(r, "done"));
	/* Guest and host share a clock only without a VM between them. */
	if (guest && guest <= taken) {
		tid = row_of(c, &(struct row){ session, ROW_GUEST, get_number(r, "thread") }, "");
		next(c);
		fprintf(c->file, "{\"name\":\"%s\",\"cat\":\"guest\",\"ph\":\"i\",\"s\":\"t\",\"pid\":%u,\"tid\":%u,"
			"\"ts\":%.3f,\"args\":{\"seq\":%llu,\"ring_us\":%.3f}}", show_op((uint32_t)get_number(r, "op")),
			session, tid, microseconds(guest), (unsigned long long)get_number(r, "seq"),
			microseconds(taken - guest));
	}
	if (to) {
		tid = row_of(c, &(struct row){ session, ROW_STREAM, get_number(r, "stream") }, "device stream ");
		slice(c, "device", session, tid, r, get_number(r, "device_begin"), to);
	}
}
