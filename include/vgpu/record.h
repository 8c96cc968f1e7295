/* SPDX-License-Identifier: MIT */
/*
 * A recording: what one guest process published to its ring, and what it waited for, in a file. Written by
 * shim/record.c with VGPU_RECORD set, read by bench/recording.c. Little-endian, natural alignment.
 *
 *	struct vgpu_record_file
 *	any number of: struct vgpu_record, body, zeros up to a multiple of 8
 *	the last one is an END; a file without it is not whole
 *
 * The order of the records is an order in which the process can be run again by one thread: a COMMAND stands where it was
 * published, a REPLY and a WAIT where the process had it, so whatever they depend on stands before them.
 *
 * Handles and fence words are numbers that the guest chose: they mean the same in a new session. Device addresses are
 * the driver's choice, host addresses in the arena follow from `arena_base`; who replays must relocate both.
 */
#ifndef VGPU_RECORD_H
#define VGPU_RECORD_H

#include <stddef.h>
#include <stdint.h>

#define VGPU_RECORD_MAGIC	0x44524f4345525556ull	/* "VURECORD" */
#define VGPU_RECORD_VERSION	1u

/* How much of what copies carry is in the file: VGPU_RECORD_DATA. */
enum vgpu_record_data {
	VGPU_RECORD_NONE = 0,	/* sizes only */
	VGPU_RECORD_INLINE = 1,	/* what travels in the ring (the default) */
	VGPU_RECORD_ALL = 2,	/* what goes through the arena, too, and hashes of what comes back */
};

enum vgpu_record_type {
	VGPU_RECORD_COMMAND = 1,	/* body: the command; ELIDED: without its payload */
	VGPU_RECORD_REPLY = 2,		/* body: struct vgpu_record_reply, then its `size` bytes */
	VGPU_RECORD_WAIT = 3,		/* body: struct vgpu_record_wait */
	VGPU_RECORD_DATA = 4,		/* body: struct vgpu_record_place, then its `bytes` bytes: put there now */
	VGPU_RECORD_RESULT = 5,		/* body: struct vgpu_record_result: what is there now */
	VGPU_RECORD_END = 6,		/* body: struct vgpu_record_end */
};

#define VGPU_RECORD_ELIDED	1u	/* flag of a COMMAND */

struct vgpu_record_file {
	uint64_t magic;
	uint32_t version;		/* VGPU_RECORD_VERSION */
	uint32_t protocol;		/* VGPU_PROTOCOL_VERSION */
	uint64_t shm_size;		/* bytes of the session's shared memory */
	uint64_t arena_base;		/* where the process had mapped it */
	uint64_t started;		/* CLOCK_REALTIME, ns */
	uint32_t data;			/* enum vgpu_record_data */
	uint32_t pid;
	char name[16];			/* of the process, NUL-terminated */
};

struct vgpu_record {
	uint32_t size;			/* bytes: this header and the body; the next record begins at the next multiple of 8 */
	uint16_t type;			/* enum vgpu_record_type */
	uint16_t flags;
	uint64_t time;			/* ns since the recording began; never less than the one before */
};

struct vgpu_record_reply {
	uint64_t seq;			/* of its command */
	uint32_t slot;			/* reply slot + 1 */
	int32_t result;			/* CUresult */
	uint32_t size;
	uint32_t pad;
};

/* From here on the process knew that this fence word had at least this value. */
struct vgpu_record_wait {
	uint64_t value;
	uint32_t fence;
	uint32_t pad;
};

struct vgpu_record_place {
	uint64_t offset;		/* in the shared memory */
	uint64_t bytes;
};

struct vgpu_record_result {
	uint64_t offset;
	uint64_t bytes;
	uint64_t hash;			/* vgpu_record_hash() of the bytes */
};

struct vgpu_record_end {
	uint64_t commands;
	uint64_t records;		/* without this one */
	uint64_t hash;			/* of everything before this record */
};

_Static_assert(sizeof(struct vgpu_record_file) == 64, "file layout");
_Static_assert(offsetof(struct vgpu_record_file, shm_size) == 16, "file layout");
_Static_assert(offsetof(struct vgpu_record_file, data) == 40, "file layout");
_Static_assert(sizeof(struct vgpu_record) == 16, "file layout");
_Static_assert(offsetof(struct vgpu_record, time) == 8, "file layout");
_Static_assert(sizeof(struct vgpu_record_reply) == 24, "file layout");
_Static_assert(offsetof(struct vgpu_record_reply, size) == 16, "file layout");
_Static_assert(sizeof(struct vgpu_record_wait) == 16, "file layout");
_Static_assert(sizeof(struct vgpu_record_place) == 16, "file layout");
_Static_assert(sizeof(struct vgpu_record_result) == 24, "file layout");
_Static_assert(sizeof(struct vgpu_record_end) == 24, "file layout");

#define VGPU_RECORD_HASH_INIT	0xcbf29ce484222325ull

/* FNV-1a over words of 8 bytes, then over the bytes that are left: finds damage, not forgery. */
static inline uint64_t vgpu_record_hash(uint64_t hash, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t word;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		__builtin_memcpy(&word, p, 8);
		hash = (hash ^ word) * 0x100000001b3ull;
		hash ^= hash >> 32;
	}
	for (; bytes; bytes--, p++)
		hash = (hash ^ *p) * 0x100000001b3ull;
	return hash;
}

/* Bytes of a record in the file. */
static inline uint64_t vgpu_record_stride(uint32_t size)
{
	return ((uint64_t)size + 7) & ~7ull;
}

#endif
