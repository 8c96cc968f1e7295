/* SPDX-License-Identifier: MIT */
/*
 * The name of a code image among those of its VM: 128 bits of XXH3 over its content, which every version of xxHash from
 * 0.8.0 on computes alike.  It resists accident, not malice: docs/ARCHITECTURE.md ("Code that is shared") says why that
 * is enough where it is used, and what else would cost.
 */
#ifndef VGPU_IMAGE_HASH_H
#define VGPU_IMAGE_HASH_H

#include <stdbool.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Images of fewer bytes travel in less time than it takes to ask whether they have to. */
#define VGPU_IMAGE_HASHED_LEAST	(64u << 10)

/* hash[0], hash[1]: low and high half. Zeros mean on the wire that there is none. */
static inline void vgpu_image_hash(const void *data, uint64_t bytes, uint64_t hash[2])
{
	XXH128_hash_t h = XXH3_128bits(data, bytes);

	hash[0] = h.low64;
	hash[1] = h.high64;
}

/* The same of what was added to a state. */
static inline void vgpu_image_hash_end(const XXH3_state_t *state, uint64_t hash[2])
{
	XXH128_hash_t h = XXH3_128bits_digest(state);

	hash[0] = h.low64;
	hash[1] = h.high64;
}

static inline bool vgpu_image_hash_is(const uint64_t hash[2], const uint64_t other[2])
{
	return hash[0] == other[0] && hash[1] == other[1];
}

static inline bool vgpu_image_hash_given(const uint64_t hash[2])
{
	return hash[0] || hash[1];
}

#endif
