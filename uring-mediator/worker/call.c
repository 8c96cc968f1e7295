/* SPDX-License-Identifier: MIT */
/*
 * A call of register mode: the message of version 1 around one of our commands.  It came by a socket, so that it is
 * private already; its lengths are checked here, the command itself where ring commands are.  A call that version 1
 * knows and we do not is answered CUDA_ERROR_NOT_SUPPORTED, as version 1 answers what it does not know.  The worker's
 * only thread.
 */
#include <errno.h>
#include <string.h>

#include "call.h"

_Static_assert(VGPU_RESULT_DATA_MAX == VGPU_REPLY_DATA, "a RESULT carries what a reply slot holds");

/* The command in s->command, as vgpu_consumer_take() leaves it. */
static CUresult take(struct vgpu_session *s, const void *data, uint32_t size)
{
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)s->command;
	uint32_t whole = (size + VGPU_CMD_ALIGN - 1) / VGPU_CMD_ALIGN * VGPU_CMD_ALIGN;

	if (size < sizeof(*cmd) || size > VGPU_CMD_MAX)
		return vgpu_session_broken(s, "CALL with a command of %u bytes", size);
	memcpy(s->command, data, size);
	memset(s->command + size, 0, whole - size);
	cmd->size = whole;
	if (!vgpu_cmd_fits(cmd))
		return vgpu_session_broken(s, "CALL whose command says more than its %u bytes", size);
	return CUDA_SUCCESS;
}

static CUresult check(struct vgpu_session *s, const struct vgpu_msg_call *m, size_t size)
{
	if (m->call.magic != VGPU_V1_MAGIC)
		return vgpu_session_broken(s, "CALL with magic 0x%08x inside", m->call.magic);
	if (m->call.num_args > VGPU_V1_ARGS)
		return vgpu_session_broken(s, "CALL with %u arguments", m->call.num_args);
	if (m->call.data_len != size - sizeof(*m))
		return vgpu_session_broken(s, "CALL of %zu bytes that says %u of data", size, m->call.data_len);
	return CUDA_SUCCESS;
}

int vgpu_call_execute(struct vgpu_session *s, const struct vgpu_msg_call *m, size_t size, struct vgpu_outcome *out)
{
	*out = (struct vgpu_outcome){ .result = CUDA_ERROR_NOT_SUPPORTED };
	if (check(s, m, size))
		return -EPROTO;
	if (m->call.call_id != VGPU_V1_COMMAND)
		return 0;
	return take(s, m + 1, m->call.data_len) ? -EPROTO : vgpu_request_call(s, out);
}

int vgpu_call_serve(struct vgpu_session *s, struct vgpu_io *io)
{
	struct vgpu_outcome out;
	int ret = vgpu_call_execute(s, &io->packet->call, io->call_size, &out);

	if (ret)
		return ret;
	ret = vgpu_io_answer(io, out.result, s->reply, out.size);
	if (ret < 0)
		vgpu_session_broken(s, "a RESULT could not be sent: %s", strerror(-ret));
	return ret;
}
