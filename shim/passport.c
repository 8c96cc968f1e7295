/* SPDX-License-Identifier: MIT */
/* Tokens in handles and in files, see passport.h. Any thread. */
#include "passport.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/wire.h>

#include "call.h"

#define SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* The wires of all kinds have these shapes. */
typedef struct vgpu_args_memory_export issue_args;
typedef struct vgpu_ret_memory_export issue_ret;
typedef struct vgpu_args_memory_import redeem_args;

static const char magic[8] = "vGPUshr1";

_Static_assert(sizeof(struct vgpu_passport) == sizeof(CUipcMemHandle), "one is sent as the other");
_Static_assert(sizeof(struct vgpu_passport) == sizeof(CUipcEventHandle), "one is sent as the other");
_Static_assert(sizeof(struct vgpu_passport) == sizeof(CUmemPoolPtrExportData), "one is sent as the other");
_Static_assert(sizeof(((issue_ret *)0)->token) == sizeof(((struct vgpu_passport *)0)->token), "the host's size");

#define ISSUES(name)                                                                                           \
	_Static_assert(sizeof(struct vgpu_args_##name) == sizeof(issue_args), "one shape");                \
	_Static_assert(sizeof(struct vgpu_ret_##name) == sizeof(issue_ret), "one shape")
#define REDEEMS(name)                                                                                          \
	_Static_assert(sizeof(struct vgpu_args_##name) == sizeof(redeem_args), "one shape");               \
	_Static_assert(offsetof(struct vgpu_args_##name, handle) == offsetof(redeem_args, handle), "one shape")

ISSUES(ipc_get_memory);
ISSUES(ipc_get_event);
ISSUES(mempool_export);
ISSUES(pointer_export);
REDEEMS(ipc_open_event);
REDEEMS(mempool_import);

CUresult vgpu_passport_issue(struct vgpu_passport *p, enum vgpu_passport_kind kind, uint16_t op, uint64_t subject,
			     unsigned flags)
{
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, op, sizeof(issue_args), 0, flags | VGPU_CALL_REPLY);

	if (r)
		return r;
	((issue_args *)c.args)->handle = subject;
	r = vgpu_call_answer(&c, sizeof(issue_ret));
	if (!r) {
		*p = (struct vgpu_passport){ .kind = kind };
		memcpy(p->magic, magic, sizeof(magic));
		memcpy(p->token, ((const issue_ret *)c.ret)->token, sizeof(p->token));
	}
	vgpu_call_end(&c);
	return r;
}

CUresult vgpu_passport_issue_file(int *out, enum vgpu_passport_kind kind, uint16_t op, uint64_t subject)
{
	struct vgpu_passport p;
	CUresult r = vgpu_passport_issue(&p, kind, op, subject, 0);
	int fd;

	if (r)
		return r;
	fd = memfd_create("vgpu-shared-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	if (write(fd, &p, sizeof(p)) != sizeof(p) || fcntl(fd, F_ADD_SEALS, SEALS)) {
		close(fd);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	*out = fd;
	return CUDA_SUCCESS;
}

bool vgpu_passport_read(struct vgpu_passport *p, enum vgpu_passport_kind kind, const void *bytes)
{
	memcpy(p, bytes, sizeof(*p));
	return !memcmp(p->magic, magic, sizeof(magic)) && p->kind == kind;
}

CUresult vgpu_passport_read_file(struct vgpu_passport *p, enum vgpu_passport_kind kind, const void *descriptor)
{
	int fd = (int)(intptr_t)descriptor;
	struct vgpu_passport bytes;

	if (fd > 0 && fcntl(fd, F_GETFD) < 0)
		return CUDA_ERROR_UNKNOWN;
	return fd > 0 && pread(fd, &bytes, sizeof(bytes), 0) == sizeof(bytes) && vgpu_passport_read(p, kind, &bytes) ?
		       CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgpu_passport_redeem(const struct vgpu_passport *p, uint16_t op, enum vgpu_handle_kind kind, unsigned flags,
			      uint64_t *wire)
{
	redeem_args *a;
	struct vgpu_call c;
	CUresult r = vgpu_handle_new(kind, wire);

	if (r)
		return r;
	r = vgpu_call_begin(&c, op, sizeof(*a), 0, flags | VGPU_CALL_REPLY);
	if (!r) {
		a = c.args;
		a->handle = *wire;
		memcpy(a->token, p->token, sizeof(a->token));
		r = vgpu_call_finish(&c);
	}
	if (r)
		vgpu_handle_drop(kind, *wire);
	return r;
}
