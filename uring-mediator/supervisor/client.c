/* SPDX-License-Identifier: MIT */
/*
 * A connection of vgpuctl: JSON requests, one a line, answered in turn by
 * one JSON line each.  Either a read or a send is under way, or the client
 * waits (bounded) for the stubs to answer STATS_REQUEST; it is freed when the
 * read or send reports the end of the connection.
 *
 *	{"cmd":"status"}				the status document
 *	{"cmd":"trace","session":N,"cursor":C}		records; N = 0: the list of sessions
 *	{"cmd":"kill","session":N}
 * An error is {"error":"text"}.
 */
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

#define CLIENTS_MAX	32u
#define STATS_WAIT_MS	250

static void client_next(struct client *c);

static void client_free(struct client *c)
{
	timer_clear(&c->deadline);
	if (c->tracing)
		trace_client(c->sup, false);
	list_del(&c->link);
	c->sup->client_count--;
	vgpu_free(c->text);
	close(c->fd);
	vgpu_free(c);
}

/* ---- sending ---- */

static void client_sent(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct client *c = container_of(op, struct client, op);

	(void)flags;
	(void)more;
	if (res <= 0) {
		client_free(c);
		return;
	}
	c->text_sent += (size_t)res;
	if (c->text_sent < c->text_size) {
		loop_send(&c->sup->loop, op, c->fd, c->text + c->text_sent,
			  (uint32_t)(c->text_size - c->text_sent));
		return;
	}
	vgpu_free(c->text);
	c->text = NULL;
	client_next(c);
}

/* Takes the answer over. */
static void client_answer(struct client *c, struct json_object *answer)
{
	size_t size = 0;
	const char *text = json_object_to_json_string_length(answer, JSON_C_TO_STRING_PLAIN, &size);

	c->text = text ? vgpu_zalloc(size + 1) : NULL;
	if (c->text) {
		memcpy(c->text, text, size);
		c->text[size] = '\n';
	}
	json_object_put(answer);
	c->text_size = c->text ? size + 1 : 0;
	c->text_sent = 0;
	c->op.done = client_sent;
	/* Without memory for the answer this sends nothing, which ends the connection. */
	loop_send(&c->sup->loop, &c->op, c->fd, c->text, (uint32_t)c->text_size);
}

static void client_error(struct client *c, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "error", json_object_new_string(text));
	client_answer(c, o);
}

/* ---- requests ---- */

static void client_status(struct client *c)
{
	struct supervisor *sup = c->sup;

	list_each(at, &sup->vms)
		vm_request_stats(container_of(at, struct vm, link));
	if (!sup->stats_due) {
		client_answer(c, report_status(sup));
		return;
	}
	c->waiting = true;
	timer_set(&sup->loop, &c->deadline, STATS_WAIT_MS);
}

static void client_stop_waiting(struct client *c)
{
	c->waiting = false;
	timer_clear(&c->deadline);
	client_answer(c, report_status(c->sup));
}

static void client_late(struct timer *timer)
{
	client_stop_waiting(container_of(timer, struct client, deadline));
}

void clients_stats(struct supervisor *sup)
{
	list_each(at, &sup->clients) {
		struct client *c = container_of(at, struct client, link);

		if (c->waiting)
			client_stop_waiting(c);
	}
}

static void client_trace(struct client *c, uint32_t id, uint64_t cursor)
{
	struct json_object *o;

	if (!c->tracing) {
		c->tracing = true;
		trace_client(c->sup, true);
	}
	o = trace_report(c->sup, id, cursor);
	if (o)
		client_answer(c, o);
	else
		client_error(c, "there is no such session");
}

static void client_kill(struct client *c, uint32_t id)
{
	struct session *s = session_find(c->sup, id);
	struct vgpu_log_ids ids;

	if (!s) {
		client_error(c, "there is no such session");
		return;
	}
	ids = session_ids(s);
	vgpu_log(VGPU_LOG_NOTICE, &ids, "[ADMIN] session killed by vgpuctl");
	session_end(s, VGPU_HOST_CLOSED, "killed by the operator");
	client_answer(c, json_object_new_object());
}

static uint64_t number_of(struct json_object *request, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(request, key, &v) ||
	    !json_object_is_type(v, json_type_int))
		return 0;
	return json_object_get_uint64(v);
}

static void client_request(struct client *c, struct json_object *request)
{
	struct json_object *v;
	const char *cmd = "";
	uint64_t id = number_of(request, "session");

	if (json_object_object_get_ex(request, "cmd", &v) && json_object_is_type(v, json_type_string))
		cmd = json_object_get_string(v);
	if (id > UINT32_MAX)
		client_error(c, "there is no such session");
	else if (!strcmp(cmd, "status"))
		client_status(c);
	else if (!strcmp(cmd, "trace"))
		client_trace(c, (uint32_t)id, number_of(request, "cursor"));
	else if (!strcmp(cmd, "kill"))
		client_kill(c, (uint32_t)id);
	else
		client_error(c, "the commands are status, trace and kill");
}

static void client_line(struct client *c, const char *line)
{
	struct json_object *request = json_tokener_parse(line);

	if (json_object_is_type(request, json_type_object))
		client_request(c, request);
	else
		client_error(c, "a request is one JSON object on one line");
	json_object_put(request);
}

/* ---- reading ---- */

static void client_read(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct client *c = container_of(op, struct client, op);

	(void)flags;
	(void)more;
	if (res <= 0) {
		client_free(c);
		return;
	}
	c->request_size += (uint32_t)res;
	client_next(c);
}

/* Serve the next line that is here, or read on. */
static void client_next(struct client *c)
{
	char line[sizeof(c->request)];
	char *end = memchr(c->request, '\n', c->request_size);
	size_t size;

	if (end) {
		size = (size_t)(end - c->request) + 1;
		memcpy(line, c->request, size);
		line[size - 1] = 0;
		c->request_size -= (uint32_t)size;
		memmove(c->request, c->request + size, c->request_size);
		client_line(c, line);
		return;
	}
	if (c->request_size == sizeof(c->request)) {
		c->request_size = 0;
		client_error(c, "the request is too long");
		return;
	}
	c->op.done = client_read;
	loop_read(&c->sup->loop, &c->op, c->fd, c->request + c->request_size,
		  (uint32_t)(sizeof(c->request) - c->request_size));
}

void client_new(struct supervisor *sup, int fd)
{
	struct client *c = sup->client_count < CLIENTS_MAX ? vgpu_zalloc(sizeof(*c)) : NULL;

	if (!c) {
		vgpu_log(VGPU_LOG_WARNING, NULL, "[ADMIN] too many connections of vgpuctl, closing one");
		close(fd);
		return;
	}
	c->sup = sup;
	c->fd = fd;
	timer_init(&c->deadline, client_late);
	list_add_before(&c->link, &sup->clients);
	sup->client_count++;
	client_next(c);
}

void clients_exit(struct supervisor *sup)
{
	list_each_safe(at, &sup->clients)
		client_free(container_of(at, struct client, link));
}
