/* SPDX-License-Identifier: MIT */
/*
 * Log lines: formatted on the caller's stack, handed over in one write, so
 * that lines of several threads and processes never mix.  The settings are
 * written at start-up (the level also later, by a reload).
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef VGPU_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

#include "log.h"

#define TEXT_MAX	1024
#define LINE_MAX_BYTES	4096	/* PIPE_BUF: a pipe takes it whole */

static const char *log_hop = "mediator";
static _Atomic int log_level = VGPU_LOG_INFO;
static bool log_to_journal;
static int log_fd = STDERR_FILENO;
static struct vgpu_log_ids log_default_ids;
static _Atomic unsigned int log_lost;

static const struct {
	const char *name;
	int level;
} level_names[] = {
	{ "error", VGPU_LOG_ERROR },
	{ "warning", VGPU_LOG_WARNING },
	{ "notice", VGPU_LOG_NOTICE },
	{ "info", VGPU_LOG_INFO },
	{ "debug", VGPU_LOG_DEBUG },
};

#define LEVEL_NAMES (sizeof(level_names) / sizeof(level_names[0]))

int vgpu_log_level_parse(const char *name)
{
	for (size_t i = 0; i < LEVEL_NAMES; i++)
		if (!strcmp(name, level_names[i].name))
			return level_names[i].level;
	return -EINVAL;
}

const char *vgpu_log_level_name(int level)
{
	for (size_t i = 0; i < LEVEL_NAMES; i++)
		if (level == level_names[i].level)
			return level_names[i].name;
	return "?";
}

/* systemd sets JOURNAL_STREAM to device:inode of the stream it made our stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void vgpu_log_init(const char *hop, int level)
{
	log_hop = hop;
	vgpu_log_set_level(level);
#ifdef VGPU_SYSTEMD
	log_to_journal = stderr_is_journal();
#else
	log_to_journal = false && stderr_is_journal();
#endif
}

void vgpu_log_set_level(int level)
{
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

int vgpu_log_get_level(void)
{
	return atomic_load_explicit(&log_level, memory_order_relaxed);
}

void vgpu_log_set_descriptor(int fd)
{
	log_fd = fd;
}

void vgpu_log_set_ids(const struct vgpu_log_ids *ids)
{
	log_default_ids = *ids;
}

struct line {
	char *text;
	size_t size, len;
};

static void __attribute__((format(printf, 2, 3))) line_add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->len, l->size - l->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	l->len += (size_t)n < l->size - l->len ? (size_t)n : l->size - l->len - 1;
}

/* Text may hold names that a guest chose: it must not be able to forge lines. */
static void line_add_escaped(struct line *l, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			line_add(l, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			line_add(l, "\\x%02x", c);
		else
			line_add(l, "%c", c);
	}
}

static void line_add_time(struct line *l)
{
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	line_add(l, "time=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000);
}

static void line_add_ids(struct line *l, const struct vgpu_log_ids *ids)
{
	if (ids->has_vm)
		line_add(l, " vm_id=%u", ids->vm_id);
	if (ids->session)
		line_add(l, " session=%u", ids->session);
	if (ids->pid)
		line_add(l, " pid=%u", ids->pid);
	if (ids->call)
		line_add(l, " call=%llu", (unsigned long long)ids->call);
}

/* Would a write of a whole line block now? */
static bool has_room(void)
{
	struct pollfd p = { .fd = log_fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static void to_stderr(int level, const struct vgpu_log_ids *ids, const char *text)
{
	char buf[LINE_MAX_BYTES];
	struct line l = { .text = buf, .size = sizeof(buf) - 2 };
	unsigned int lost;
	ssize_t n;

	if (!has_room()) {
		atomic_fetch_add(&log_lost, 1);
		return;
	}
	lost = atomic_exchange(&log_lost, 0);
	line_add_time(&l);
	line_add(&l, " level=%s hop=%s", vgpu_log_level_name(level), log_hop);
	line_add_ids(&l, ids);
	if (lost)
		line_add(&l, " lines_lost=%u", lost);
	line_add(&l, " msg=\"");
	line_add_escaped(&l, text);
	buf[l.len++] = '"';
	buf[l.len++] = '\n';
	n = write(log_fd, buf, l.len);
	if (n < 0)
		atomic_fetch_add(&log_lost, lost + 1);
}

#ifdef VGPU_SYSTEMD
#define FIELDS_MAX	7

struct fields {
	struct iovec iov[FIELDS_MAX];
	char text[FIELDS_MAX][64];
	int n;
};

static void __attribute__((format(printf, 2, 3))) field_add(struct fields *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text[f->n], sizeof(f->text[0]), fmt, ap);
	va_end(ap);
	f->iov[f->n].iov_base = f->text[f->n];
	f->iov[f->n].iov_len = strlen(f->text[f->n]);
	f->n++;
}

static void to_journal(int level, const struct vgpu_log_ids *ids, const char *text)
{
	char message[TEXT_MAX * 2];
	struct line l = { .text = message, .size = sizeof(message) };
	struct fields f = { .n = 0 };

	line_add(&l, "MESSAGE=");
	line_add_escaped(&l, text);
	field_add(&f, "PRIORITY=%d", level);
	field_add(&f, "VGPU_HOP=%s", log_hop);
	if (ids->has_vm)
		field_add(&f, "VGPU_VM_ID=%u", ids->vm_id);
	if (ids->session)
		field_add(&f, "VGPU_SESSION=%u", ids->session);
	if (ids->pid)
		field_add(&f, "VGPU_PID=%u", ids->pid);
	if (ids->call)
		field_add(&f, "VGPU_CALL=%llu", (unsigned long long)ids->call);
	f.iov[f.n].iov_base = message;
	f.iov[f.n].iov_len = l.len;
	sd_journal_sendv(f.iov, f.n + 1);
}
#else
static void to_journal(int level, const struct vgpu_log_ids *ids, const char *text)
{
	to_stderr(level, ids, text);
}
#endif

void vgpu_log(int level, const struct vgpu_log_ids *ids, const char *fmt, ...)
{
	char text[TEXT_MAX];
	int saved = errno;
	va_list ap;

	if (level > vgpu_log_get_level())
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!ids)
		ids = &log_default_ids;
	if (log_to_journal)
		to_journal(level, ids, text);
	else
		to_stderr(level, ids, text);
	errno = saved;
}

/* May a line be written now? *suppressed: how many were not since the last that was. */
static bool allow(struct vgpu_log_limit *limit, uint64_t now_ms, uint64_t *suppressed)
{
	if (now_ms - limit->started_ms >= limit->window_ms) {
		limit->started_ms = now_ms;
		limit->lines = 0;
	}
	if (limit->lines >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->lines++;
	*suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}

void vgpu_log_limited(struct vgpu_log_limit *limit, uint64_t now_ms, int level,
		      const struct vgpu_log_ids *ids, const char *fmt, ...)
{
	char text[TEXT_MAX];
	uint64_t suppressed;
	va_list ap;

	if (!allow(limit, now_ms, &suppressed))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (suppressed)
		vgpu_log(level, ids, "%s (%llu such lines before it were left out)", text,
			 (unsigned long long)suppressed);
	else
		vgpu_log(level, ids, "%s", text);
}
