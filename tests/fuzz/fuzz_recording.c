/* SPDX-License-Identifier: MIT */
/* Whatever a file holds, checking it as a recording stays inside it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vgpu_record_file good = {
		.magic = VGPU_RECORD_MAGIC, .version = VGPU_RECORD_VERSION, .protocol = 2u << 16, .shm_size = 64 << 20,
	};
	uint8_t *copy = malloc(sizeof(good) + size);
	struct recording r;

	if (!copy)
		return 0;
	/* Most inputs would end at the header. */
	memcpy(copy, &good, sizeof(good));
	memcpy(copy + sizeof(good), data, size);
	recording_check(&r, copy, sizeof(good) + size);
	recording_check(&r, data, 0);
	free(copy);
	return 0;
}
