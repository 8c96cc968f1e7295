/* SPDX-License-Identifier: MIT */
/*
 * The register interface of version 1, which register mode (VGPU_BATCH=0) speaks: one call in the registers and the
 * data window, one doorbell, one message to the worker, one message back.
 *
 * Offsets, sizes and codes are those of the system that this one replaces, so that its guests find what they know.
 * The window of registers lies in a page of its own at VGPU_REG_WINDOW of BAR0, the data window is BAR1.  All registers
 * are 32 bits wide.  Data of up to VGPU_V1_INLINE bytes travels in the registers, more in the data window: guest to host
 * from offset 0, host to guest from VGPU_V1_H2G.  The last word of the data window repeats STATUS, so that a guest can
 * wait without an access that traps.
 *
 * Our own commands travel as the data of call VGPU_V1_COMMAND, whose number version 1 never used; its arguments
 * name the channel.  docs/device-spec.md is the table for people.
 */
#ifndef VGPU_V1_H
#define VGPU_V1_H

#include <stdint.h>

#define VGPU_V1_VERSION		0x00010000u	/* PROTOCOL_VER */
#define VGPU_V1_CAPS		0x31u		/* basic, CUDA calls, BAR1; not: registered guest memory */
#define VGPU_V1_MAGIC		0x56475055u

#define VGPU_V1_PAGE		0x1000u		/* bytes of the register window */
#define VGPU_V1_STATUS		0x004	/* R  enum vgpu_v1_status */
#define VGPU_V1_VM_ID		0x010	/* R */
#define VGPU_V1_ERROR_CODE	0x014	/* R  enum vgpu_v1_error */
#define VGPU_V1_RESPONSE_LEN	0x01c	/* R  1 when a call is over, 0 from its doorbell until then */
#define VGPU_V1_PROTOCOL_VER	0x020	/* R */
#define VGPU_V1_CAPABILITIES	0x024	/* R */
#define VGPU_V1_SCRATCH		0x03c	/* RW any value; version 1 puts the caller's process id here */
#define VGPU_V1_OP		0x080	/* RW number of the call */
#define VGPU_V1_SEQ		0x084	/* RW the guest's number for it */
#define VGPU_V1_NUM_ARGS	0x088	/* RW at most VGPU_V1_ARGS count */
#define VGPU_V1_DATA_LEN	0x08c	/* RW bytes of data */
#define VGPU_V1_DOORBELL	0x0a8	/* W  1: submit */
#define VGPU_V1_ARG		0x0b0	/* RW 16 words */
#define VGPU_V1_RESULT_STATUS	0x0f0	/* R  CUresult */
#define VGPU_V1_RESULT_NUM	0x0f4	/* R  results that are valid */
#define VGPU_V1_RESULT_LEN	0x0f8	/* R  bytes of data that came back */
#define VGPU_V1_DATA		0x100	/* RW VGPU_V1_INLINE bytes to the host */
#define VGPU_V1_DATA_BACK	0x500	/* R  VGPU_V1_INLINE bytes from the host */
#define VGPU_V1_RESULT		0x900	/* R  8 results of 64 bits, low word first */

#define VGPU_V1_INLINE		1024u
#define VGPU_V1_ARGS		16u
#define VGPU_V1_RESULTS		8u

#define VGPU_V1_BAR1_SIZE	(16u << 20)
#define VGPU_V1_H2G		(8u << 20)
#define VGPU_V1_MIRROR		(VGPU_V1_BAR1_SIZE - 4)

enum vgpu_v1_status {
	VGPU_V1_IDLE = 0,
	VGPU_V1_BUSY = 1,
	VGPU_V1_DONE = 2,
	VGPU_V1_ERROR = 3,
};

enum vgpu_v1_error {
	VGPU_V1_ERROR_NONE = 0,
	VGPU_V1_ERROR_REQUEST = 1,	/* no such channel, or its session is another one by now */
	VGPU_V1_ERROR_MEDIATOR = 3,	/* no worker answers */
	VGPU_V1_ERROR_CUDA = 5,		/* RESULT_STATUS is not 0 */
	VGPU_V1_ERROR_BUSY = 7,		/* the worker has not taken an earlier call */
	VGPU_V1_ERROR_OP = 8,		/* no such call */
	VGPU_V1_ERROR_LENGTH = 9,	/* more data than a command can have */
};

/*
 * Our command: struct vgpu_cmd, arguments, payload are the data, whose length need not be a multiple of 64.  args[0] is the
 * channel, args[1] its generation.  The data that comes back is what a reply slot would have got.
 */
#define VGPU_V1_COMMAND		0x200u

struct vgpu_v1_call {
	uint32_t magic;		/* VGPU_V1_MAGIC */
	uint32_t call_id;
	uint32_t seq;		/* the guest's */
	uint32_t owner;		/* version 1: vm and process; here the channel */
	uint32_t num_args;
	uint32_t data_len;	/* bytes that follow */
	uint32_t args[VGPU_V1_ARGS];
};

struct vgpu_v1_result {
	uint32_t magic;
	uint32_t seq;		/* the call's */
	uint32_t status;	/* CUresult */
	uint32_t num_results;
	uint32_t data_len;	/* bytes that follow */
	uint32_t reserved;	/* zero */
	uint64_t results[VGPU_V1_RESULTS];
};

_Static_assert(sizeof(struct vgpu_v1_call) == 88, "wire layout");
_Static_assert(sizeof(struct vgpu_v1_result) == 88, "wire layout");

#endif
