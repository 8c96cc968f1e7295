/* SPDX-License-Identifier: MIT */
/*
 * Register map of BAR0 of the PCI device `vgpu-stub`.  docs/device-spec.md is
 * the reference; this header is what the code uses.  All registers are 32 bits wide
 * and naturally aligned; 64-bit counters are read as two halves, the low half
 * latching the high one.
 */
#ifndef VGPU_DEVICE_H
#define VGPU_DEVICE_H

/* The QEMU project's id space for devices that are not registered (1234), as `edu` uses. */
#define VGPU_PCI_VENDOR		0x1234u
#define VGPU_PCI_DEVICE		0x7647u	/* 'vG' */
#define VGPU_PCI_CLASS		0x1200u	/* processing accelerator */

#define VGPU_BAR0_SIZE		0x4000u

#define VGPU_REG_ID		0x000	/* R  0x32475556 "VUG2": identification */
#define VGPU_REG_VERSION	0x004	/* R  VGPU_PROTOCOL_VERSION */
#define VGPU_REG_CAPS		0x008	/* R  VGPU_CAP_* */
#define VGPU_REG_VM_ID		0x00c	/* R  property vm-id */
#define VGPU_REG_SHM_SIZE_LO	0x010	/* R  bytes of BAR2 */
#define VGPU_REG_SHM_SIZE_HI	0x014
#define VGPU_REG_CHANNELS	0x018	/* R  number of channels */
#define VGPU_REG_LINK		0x01c	/* R  bit 0: connected to a mediator */
#define VGPU_REG_LINK_EPOCH	0x020	/* R  number of connections made so far */
#define VGPU_REG_CHANNEL_OPEN	0x024	/* W  channel index: ask the mediator for a worker */
#define VGPU_REG_CHANNEL_CLOSE	0x028	/* W  channel index: end the session */
#define VGPU_REG_SCRATCH	0x02c	/* RW for self-tests of the path */

/* Counters of this hop, 64 bits: R at offset (low), offset + 4 (high) */
#define VGPU_REG_CNT_DOORBELLS	0x100	/* doorbell writes reaped */
#define VGPU_REG_CNT_WAKES	0x108	/* messages sent to workers */
#define VGPU_REG_CNT_WAKE_FAIL	0x110	/* messages that could not be sent */
#define VGPU_REG_CNT_MMIO_R	0x118
#define VGPU_REG_CNT_MMIO_W	0x120
#define VGPU_REG_CNT_RECONNECT	0x128
#define VGPU_REG_CNT_STRAY	0x130	/* accesses that no register answers */
#define VGPU_REG_FOLD		0x138	/* R  doorbells for each thousand messages; one word */

/* Doorbell of channel n: W, any value, 4 bytes, at VGPU_REG_DOORBELL + 4 * n. */
#define VGPU_REG_DOORBELL	0x1000

/* A page with the registers of version 1 (vgpu/v1.h), for register mode. */
#define VGPU_REG_WINDOW		0x2000

/* Guests: the byte of BAR2's file that is locked for a call through the window; those below are the channels'. */
#define VGPU_WINDOW_LOCK	64

#define VGPU_DEVICE_ID_VALUE	0x32475556u
#define VGPU_CAP_RING		(1u << 0)	/* channels and rings in BAR2 */
#define VGPU_CAP_MSIX		(1u << 1)	/* interrupt vectors are declared */
#define VGPU_CAP_WINDOW		(1u << 2)	/* the registers of version 1 at VGPU_REG_WINDOW, its data window in BAR1 */

#endif
