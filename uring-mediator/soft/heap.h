/* SPDX-License-Identifier: MIT */
/*
 * A heap of device (or pinned host) memory: a reservation of address space cut into chunks of 2 MiB. A chunk is free,
 * a slab of equal small blocks, or part of one large block, so that the block around any address is found in constant
 * time. Memory comes from the kernel as zeros when a chunk is first used and goes back when the chunk is free again.
 *
 * A chunk that was used once stays mapped: work that still reaches into freed memory is the application's error and
 * must hit that application's own data, not the process. Any thread; a reader-writer lock inside.
 */
#ifndef VGPU_SOFT_HEAP_H
#define VGPU_SOFT_HEAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SOFT_CHUNK_SHIFT 21
#define SOFT_CHUNK (1ull << SOFT_CHUNK_SHIFT)
#define SOFT_HEAP_CLASSES 48

struct soft_block {
	uint64_t start, size; /* bytes asked for; 0 = no block */
	uint64_t id;          /* unique in the process, never reused */
	uint32_t tag;         /* the owner's */
};

struct soft_slot {
	uint64_t size; /* 0: free */
	uint64_t id;   /* of a free slot: index + 1 of the next free one */
	uint32_t tag;
};

struct soft_chunk {
	enum { SOFT_CHUNK_FREE, SOFT_CHUNK_SLAB, SOFT_CHUNK_HEAD, SOFT_CHUNK_BODY } kind;
	bool mapped;
	int shared;             /* SLAB, HEAD: descriptor of its memory + 1, 0: it has none */
	uint8_t class;          /* SLAB */
	uint32_t head;          /* BODY: index of its HEAD; HEAD: number of chunks */
	uint32_t offset;        /* HEAD: where its block begins, bytes; not 0 only in memory of another process */
	uint32_t free_slots;    /* SLAB */
	uint32_t first_free;    /* SLAB: index + 1 */
	uint32_t prev, next;    /* SLAB with free slots: its class's list, index + 1 */
	struct soft_slot *slots; /* SLAB; of a HEAD there is one, in `large` */
	struct soft_slot large;
};

struct soft_heap {
	pthread_rwlock_t lock;
	uint64_t base, span;  /* the reservation */
	uint64_t limit, used; /* bytes that may be and are given out, rounded as the heap rounds */
	uint64_t grain;       /* smallest block and alignment, bytes */
	struct soft_chunk *chunks;
	uint32_t count;
	uint32_t hint;        /* where to look for free chunks first */
	uint32_t partial[SOFT_HEAP_CLASSES]; /* slabs with free slots, index + 1 */
};

/* Reserves address space at @base if it is free (0: anywhere; taken: anywhere). 0 or -ENOMEM. */
int soft_heap_init(struct soft_heap *h, uint64_t base, uint64_t limit, uint64_t grain);
/* A block of @size > 0 bytes, aligned to the grain. 0, or -ENOMEM. */
int soft_heap_alloc(struct soft_heap *h, uint64_t size, uint32_t tag, uint64_t *start);
/* Gives back the block that starts at @start; -EINVAL when none does. */
int soft_heap_free(struct soft_heap *h, uint64_t start);
/* The block that contains @addr. */
bool soft_heap_find(struct soft_heap *h, uint64_t addr, struct soft_block *out);
/* Changes the tag of the block at @start from @from to @to; -EINVAL when there is no such block. */
int soft_heap_retag(struct soft_heap *h, uint64_t start, uint32_t from, uint32_t to);
/* Frees every block whose tag, under @mask, is @tag. */
void soft_heap_free_tagged(struct soft_heap *h, uint32_t mask, uint32_t tag);
/* Bytes asked for in all blocks whose tag, under @mask, is @tag. */
uint64_t soft_heap_sum(struct soft_heap *h, uint32_t mask, uint32_t tag);
/*
 * Moves the chunks of the block around @addr to memory that @make gives for them (of their bytes, for device @ordinal:
 * a descriptor or -errno), so that others can map it, unless that has happened. Nothing may use the memory meanwhile. The descriptor, the
 * heap's, or -errno; *offset is where in it the block begins.
 */
int soft_heap_share(struct soft_heap *h, uint64_t addr, int (*make)(uint64_t bytes, int ordinal), int ordinal,
		    uint64_t *offset);
/*
 * A block of the @size > 0 bytes at @offset in @fd, memory that another process shares: mapped, and counted as given out.
 * The descriptor stays the caller's. 0 or -ENOMEM.
 */
int soft_heap_import(struct soft_heap *h, int fd, uint64_t offset, uint64_t size, uint32_t tag, uint64_t *start);
/* Counts @bytes that lie elsewhere as given out, if the limit allows (-ENOMEM), and no longer. */
int soft_heap_charge(struct soft_heap *h, uint64_t bytes);
void soft_heap_uncharge(struct soft_heap *h, uint64_t bytes);
/* Bytes given out. */
uint64_t soft_heap_used(struct soft_heap *h);

static inline bool soft_heap_owns(const struct soft_heap *h, uint64_t addr)
{
	return addr - h->base < h->span;
}

#endif
