/* SPDX-License-Identifier: MIT */
/* Reading the mediator's JSON and printing numbers for people. */
#include <string.h>

#include <gen/op_names.h>

#include "ctl.h"

uint64_t get_number(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_uint64(v) : 0;
}

bool get_flag(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_get_boolean(v);
}

const char *get_text(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

struct json_object *get_child(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static char *buffer(size_t *size)
{
	static char buffers[16][48];
	static unsigned int turn;

	*size = sizeof(buffers[0]);
	return buffers[turn++ % 16];
}

const char *show_count(uint64_t n)
{
	char digits[24];
	size_t size, len, out = 0;
	char *text = buffer(&size);

	len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			text[out++] = ',';
		text[out++] = digits[i];
	}
	text[out] = 0;
	return text;
}

const char *show_bytes(uint64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t size, u = 0;
	char *text = buffer(&size);
	double value = (double)n;

	while (value >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		u++;
	}
	snprintf(text, size, value < 10 && u ? "%.1f %s" : "%.0f %s", value, units[u]);
	return text;
}

const char *show_time(uint64_t ms)
{
	uint64_t s = ms / 1000;
	size_t size;
	char *text = buffer(&size);

	if (s < 60)
		snprintf(text, size, "%llu.%llu s", (unsigned long long)s,
			 (unsigned long long)(ms % 1000 / 100));
	else if (s < 3600)
		snprintf(text, size, "%llu min", (unsigned long long)(s / 60));
	else if (s < 86400)
		snprintf(text, size, "%llu h %llu min", (unsigned long long)(s / 3600),
			 (unsigned long long)(s % 3600 / 60));
	else
		snprintf(text, size, "%llu d %llu h", (unsigned long long)(s / 86400),
			 (unsigned long long)(s % 86400 / 3600));
	return text;
}

const char *show_op(uint32_t op)
{
	const char *name = op <= UINT16_MAX ? vgpu_op_name((uint16_t)op) : NULL;
	size_t size;
	char *text;

	if (name)
		return name;
	text = buffer(&size);
	snprintf(text, size, "operation %u", op);
	return text;
}

const char *show_batch(struct json_object *session)
{
	unsigned long long batch = get_number(session, "batch");
	size_t size;
	char *text = buffer(&size);

	if (!batch)
		snprintf(text, size, "0 (register)");
	else if (batch == 1)
		snprintf(text, size, "1");
	else
		snprintf(text, size, "%llu or %llu us", batch, (unsigned long long)get_number(session, "batch_usec"));
	return text;
}

const char *show_driver(uint64_t version)
{
	size_t size;
	char *text = buffer(&size);

	snprintf(text, size, "%llu.%llu", (unsigned long long)(version / 1000),
		 (unsigned long long)(version % 1000 / 10));
	return text;
}

const char *show_sessions_count(uint64_t n)
{
	size_t size;
	char *text = buffer(&size);

	snprintf(text, size, "%s session%s", show_count(n), n == 1 ? "" : "s");
	return text;
}

const char *colour_on(const struct ctl_options *o, enum colour c)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "", [COLOUR_GOOD] = "\033[32m", [COLOUR_BAD] = "\033[1;31m",
		[COLOUR_NOTE] = "\033[33m", [COLOUR_BOLD] = "\033[1m",
	};

	return o->colour ? codes[c] : "";
}

const char *colour_off(const struct ctl_options *o)
{
	return o->colour ? "\033[0m" : "";
}
