/* SPDX-License-Identifier: MIT */
/* The answer that cudart checks before it starts: integrity.c. */
#ifndef VGPU_SHIM_INTEGRITY_H
#define VGPU_SHIM_INTEGRITY_H

#include <stddef.h>
#include <stdint.h>

/* What the answer binds besides the question. */
struct vgpu_integrity {
	uint32_t driver_version;
	uint32_t pid;
	uint32_t thread;		/* low half of pthread_self() */
	uint64_t interface_table;	/* addresses */
	uint64_t integrity_table;
	uint64_t integrity_slot;	/* contents of slot 1 */
};

struct vgpu_integrity_device {
	uint8_t uuid[16];
	int32_t pci_domain, pci_bus, pci_device;
};

void vgpu_integrity_answer(const struct vgpu_integrity *in, const struct vgpu_integrity_device *devices, size_t count,
			   uint32_t version, uint64_t unix_seconds, uint8_t out[16]);

/* RFC 1319. */
void vgpu_md2(const uint8_t *data, size_t size, uint8_t out[16]);

#endif
