/* SPDX-License-Identifier: MIT */
/*
 * What the environment says, read once at cuInit (docs/man/vgpu-guest.7).
 * Read-only afterwards. Strings point into the environment.
 */
#ifndef VGPU_SHIM_CONFIG_H
#define VGPU_SHIM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/record.h>

#define VGPU_BATCH_REGISTERS	0u
#define VGPU_BATCH_DEFAULT	1u
#define VGPU_BATCH_MAX		65536u
#define VGPU_BATCH_USEC_DEFAULT	50u
#define VGPU_BATCH_USEC_MAX	1000000u
#define VGPU_COPY_THREADS_MAX	16u

enum vgpu_transport_choice {
	VGPU_TRANSPORT_AUTO,
	VGPU_TRANSPORT_PCI,
	VGPU_TRANSPORT_UNIX,
};

/* A page of the offer that this process takes before it looks at the offer (a test's way to make addresses collide). */
enum vgpu_occupy {
	VGPU_OCCUPY_NOTHING,
	VGPU_OCCUPY_FIRST,	/* in the first range */
	VGPU_OCCUPY_LARGEST,	/* in the largest of those that differ between workers */
};

struct vgpu_config {
	enum vgpu_transport_choice transport;
	const char *socket_path;
	const char *sysfs_root;
	uint16_t pci_vendor;
	uint16_t pci_device;
	uint32_t batch;			/* commands for each doorbell at most; 1: suppression only; 0: register mode */
	uint32_t batch_usec;		/* microseconds a command may wait for its doorbell */
	uint32_t copy_threads;		/* that work on one large copy, the caller included; 0: by the cores */
	uint64_t shm_size;		/* unix: bytes asked for, 0 = the mediator's default */
	const char *record;		/* VGPU_RECORD: file to record to, NULL: none */
	enum vgpu_record_data record_data;
	const char *visible_devices;	/* CUDA_VISIBLE_DEVICES or NULL */
	bool launch_blocking;		/* CUDA_LAUNCH_BLOCKING: a launch returns when its kernel has ended */
	uint64_t occupy_at, occupy_size;	/* VGPU_TEST_OCCUPY=ADDRESS,SIZE */
	bool monitor;			/* not of the environment: set by libnvidia-ml */
	enum vgpu_occupy occupy;	/* VGPU_TEST_OCCUPY=first or largest */
};

extern struct vgpu_config vgpu_config;

void vgpu_config_read(void);
/*
 * VGPU_BATCH and VGPU_BATCH_USEC. A value that is not understood is told in one line and the default
 * is returned; NULL (unset) is the default without a line.
 */
uint32_t vgpu_parse_batch(const char *text);
uint32_t vgpu_parse_batch_usec(const char *text);
/* "vvvv:dddd", hexadecimal. False and untouched results if it is not that. */
bool vgpu_parse_pci_id(const char *text, uint16_t *vendor, uint16_t *device);
/* Bytes with an optional suffix K, M or G; true if it is a number above zero. */
bool vgpu_parse_size(const char *text, uint64_t *bytes);

#endif
