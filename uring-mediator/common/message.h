/* SPDX-License-Identifier: MIT */
/*
 * Sending, receiving and checking the packets of include/vgpu/socket.h and
 * control.h.  No state; any thread.
 */
#ifndef VGPU_MESSAGE_H
#define VGPU_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <vgpu/socket.h>

#define VGPU_MSG_MAX_FDS	4u	/* no message carries more */
#define VGPU_MSG_MAX_BYTES	2304u	/* no message is longer, but CALL and RESULT, which no supervisor sees */

/* Fill the header of a message of `length` bytes; the rest stays as it is. */
void vgpu_msg_init(struct vgpu_msg *h, uint16_t type, uint32_t length);

/* Length of messages of a type in bytes, without the data of CALL and RESULT; 0 for a type that does not exist. */
uint32_t vgpu_msg_length(uint16_t type);
const char *vgpu_msg_name(uint16_t type);

/*
 * Check a received packet of `size` bytes: magic, type, length, protocol
 * major.  0, or -EPROTO (damaged) or -EPROTONOSUPPORT (another major), with
 * one line for people in `why` (may be NULL).
 */
int vgpu_msg_check(const void *packet, size_t size, char *why, size_t why_size);

/* Is the fixed-size text field NUL-terminated? 0 or -EPROTO. */
int vgpu_msg_check_text(const char *text, size_t size);

/*
 * Send one message with `fd_count` descriptors (they stay the caller's).
 * Never waits: -EAGAIN if the peer does not empty its socket.  0 or -errno.
 */
int vgpu_msg_send(int sock, const struct vgpu_msg *msg, const int *fds, unsigned int fd_count);

struct vgpu_packet {
	union {
		struct vgpu_msg h;
		uint64_t align;
		uint8_t bytes[VGPU_MSG_MAX_BYTES];
	};
	size_t size;
	int fds[VGPU_MSG_MAX_FDS];	/* owned by the receiver: close what is not wanted */
	unsigned int fd_count;
};

/*
 * Receive one message; `flags` as for recvmsg (0 waits, MSG_DONTWAIT does
 * not).  Returns its size, 0 at the end of the connection, -EPROTO for a
 * packet or descriptors that do not fit, or -errno.  Unless it returns a
 * size, no descriptor is left open.
 */
int vgpu_msg_recv(int sock, struct vgpu_packet *packet, int flags);

void vgpu_packet_close_fds(struct vgpu_packet *packet);

/* Copy the descriptors out of ancillary data; those above `max` are closed. Returns the number kept. */
unsigned int vgpu_msg_take_fds(struct msghdr *msg, int *fds, unsigned int max);

#endif
