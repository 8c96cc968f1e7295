/* SPDX-License-Identifier: MIT */
/* Reading and checking a recording: a file is somebody else's, so every length is looked at before it is believed. One thread. */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gen/wire.h>
#include <vgpu/shm.h>

/* What has been seen so far. */
struct progress {
	uint64_t at, records, time, last_seq;
	uint64_t seq_of_reply[VGPU_REPLY_SLOTS];	/* command that holds the slot, 0: none */
};

__attribute__((format(printf, 2, 3))) static int bad(struct recording *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->why, sizeof(r->why), format, ap);
	va_end(ap);
	return -1;
}

static bool inside(const struct recording *r, uint64_t offset, uint64_t bytes)
{
	return offset <= r->file.shm_size && bytes <= r->file.shm_size - offset;
}

static int check_file(struct recording *r)
{
	struct vgpu_shm_geometry geometry;

	if (r->bytes < sizeof(r->file))
		return bad(r, "too short for a recording");
	memcpy(&r->file, r->data, sizeof(r->file));
	if (r->file.magic != VGPU_RECORD_MAGIC)
		return bad(r, "not a recording");
	if (r->file.version != VGPU_RECORD_VERSION)
		return bad(r, "of version %u, this program reads %u", r->file.version, VGPU_RECORD_VERSION);
	if (r->file.protocol >> 16 != VGPU_PROTOCOL_MAJOR)
		return bad(r, "of protocol %u, this program speaks %u", r->file.protocol >> 16, VGPU_PROTOCOL_MAJOR);
	if (vgpu_shm_geometry(&geometry, r->file.shm_size, 1) || r->file.data > VGPU_RECORD_ALL ||
	    r->file.name[sizeof(r->file.name) - 1])
		return bad(r, "damaged at its beginning");
	return 0;
}

uint64_t recording_copied(const struct vgpu_cmd *cmd)
{
	const struct vgpu_args_memcpy_h2d_arena *in = (const void *)(cmd + 1);
	const struct vgpu_args_memcpy_d2h_arena *out = (const void *)(cmd + 1);

	if (cmd->op == VGPU_OP_memcpy_h2d_inline)
		return cmd->payload_size;
	if (cmd->op == VGPU_OP_memcpy_h2d_arena && cmd->args_size >= sizeof(*in))
		return in->bytes;
	if (cmd->op == VGPU_OP_memcpy_d2h_arena && cmd->args_size >= sizeof(*out))
		return out->bytes;
	return 0;
}

static void count_command(struct recording *r, const struct vgpu_cmd *cmd, uint64_t at, uint64_t time)
{
	r->commands++;
	r->copied += recording_copied(cmd);
	if (cmd->op == VGPU_OP_launch)
		r->launches++;
	else if (cmd->op == VGPU_OP_host_call)
		r->host_calls++;
	else if (cmd->op == VGPU_OP_cuProfilerStart && !r->from) {
		r->from = at;
		r->from_time = time;
	} else if (cmd->op == VGPU_OP_cuProfilerStop) {
		r->to = at;
		r->to_time = time;
	}
}

static int check_command(struct recording *r, struct progress *p, const struct vgpu_record *record, uint32_t body)
{
	const struct vgpu_cmd *cmd = (const void *)(record + 1);
	uint64_t all, there;

	if (body < sizeof(*cmd))
		return -1;
	all = vgpu_cmd_bytes(cmd);
	there = all - (record->flags & VGPU_RECORD_ELIDED ? cmd->payload_size : 0);
	if (there != body || all > cmd->size || cmd->size > VGPU_CMD_MAX || cmd->size % VGPU_CMD_ALIGN)
		return -1;
	if (!cmd->op || cmd->op == VGPU_OP_PAD || cmd->slot > VGPU_REPLY_SLOTS || cmd->seq != p->last_seq + 1)
		return -1;
	p->last_seq = cmd->seq;
	if (cmd->slot) {
		if (p->seq_of_reply[cmd->slot - 1])
			return -1;
		p->seq_of_reply[cmd->slot - 1] = cmd->seq;
	}
	count_command(r, cmd, p->at, record->time);
	return 0;
}

static int check_reply(struct recording *r, struct progress *p, const struct vgpu_record *record, uint32_t body)
{
	const struct vgpu_record_reply *reply = (const void *)(record + 1);

	if (body < sizeof(*reply) || reply->size != body - sizeof(*reply) || reply->size > VGPU_REPLY_DATA ||
	    !reply->slot || reply->slot > VGPU_REPLY_SLOTS || !reply->seq || p->seq_of_reply[reply->slot - 1] != reply->seq)
		return -1;
	p->seq_of_reply[reply->slot - 1] = 0;
	r->replies++;
	return 0;
}

static int check_wait(struct recording *r, const struct vgpu_record *record, uint32_t body)
{
	const struct vgpu_record_wait *w = (const void *)(record + 1);

	r->waits++;
	return body == sizeof(*w) && w->fence && w->fence < VGPU_FENCES ? 0 : -1;
}

static int check_place(struct recording *r, const struct vgpu_record *record, uint32_t body)
{
	const struct vgpu_record_place *place = (const void *)(record + 1);

	return body >= sizeof(*place) && place->bytes == body - sizeof(*place) && inside(r, place->offset, place->bytes) ? 0 : -1;
}

static int check_result(struct recording *r, const struct vgpu_record *record, uint32_t body)
{
	const struct vgpu_record_result *result = (const void *)(record + 1);

	r->results++;
	return body == sizeof(*result) && inside(r, result->offset, result->bytes) ? 0 : -1;
}

static int check_record(struct recording *r, struct progress *p, const struct vgpu_record *record)
{
	uint32_t body = record->size - (uint32_t)sizeof(*record);

	if (record->time < p->time)
		return -1;
	p->time = record->time;
	switch (record->type) {
	case VGPU_RECORD_COMMAND:
		return check_command(r, p, record, body);
	case VGPU_RECORD_REPLY:
		return check_reply(r, p, record, body);
	case VGPU_RECORD_WAIT:
		return check_wait(r, record, body);
	case VGPU_RECORD_DATA:
		return check_place(r, record, body);
	case VGPU_RECORD_RESULT:
		return check_result(r, record, body);
	default:
		return -1;
	}
}

static int check_end(struct recording *r, const struct progress *p, const struct vgpu_record *record)
{
	const struct vgpu_record_end *end = (const void *)(record + 1);

	if (record->size != sizeof(*record) + sizeof(*end) || record->flags || p->at + record->size != r->bytes)
		return bad(r, "damaged at its end");
	if (end->commands != r->commands || end->records != p->records ||
	    end->hash != vgpu_record_hash(VGPU_RECORD_HASH_INIT, r->data, p->at))
		return bad(r, "damaged: its sum is another");
	/* Marks that do not make a pair are none. */
	if (!r->from || r->to <= r->from) {
		r->from = sizeof(r->file);
		r->from_time = 0;
		r->to = p->at;
		r->to_time = p->time;
	}
	return 0;
}

int recording_check(struct recording *r, const void *data, size_t bytes)
{
	struct progress p = { .at = sizeof(r->file) };
	const struct vgpu_record *record;

	memset(r, 0, sizeof(*r));
	r->data = data;
	r->bytes = bytes;
	if (check_file(r))
		return -1;
	for (; r->bytes - p.at >= sizeof(*record); p.records++) {
		record = recording_at(r, p.at);
		if (record->size < sizeof(*record))
			return bad(r, "damaged at byte %llu", (unsigned long long)p.at);
		if (vgpu_record_stride(record->size) > r->bytes - p.at)
			break;
		if (record->type == VGPU_RECORD_END)
			return check_end(r, &p, record);
		if (check_record(r, &p, record))
			return bad(r, "damaged at byte %llu (record %llu)", (unsigned long long)p.at,
				   (unsigned long long)p.records);
		p.at += vgpu_record_stride(record->size);
	}
	return bad(r, "not whole: it breaks off at byte %llu; the program that was recorded did not end in order",
		   (unsigned long long)p.at);
}

int recording_open(struct recording *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	memset(r, 0, sizeof(*r));
	if (fd < 0)
		return bad(r, "cannot be opened: %s", strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size) {
		close(fd);
		return bad(r, "not a file with something in it");
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (data == MAP_FAILED)
		return bad(r, "cannot be mapped: %s", strerror(errno));
	return recording_check(r, data, (size_t)st.st_size);
}
