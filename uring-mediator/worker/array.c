/* SPDX-License-Identifier: MIT */
/*
 * Arrays: what they hold counts against the session's limit, and levels and planes go with the array that they are
 * part of.  An entry's aux is the number of bytes charged; its owner the array or mipmap that it is part of.  The
 * worker's only thread.
 */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include <vgpu/array_format.h>

#include "session.h"

#define WIDEST		16u		/* bytes of the largest element */
#define HAS_PARTS	(1ull << 63)	/* in aux: planes or levels were handed out */
#define UNBACKED	(CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)

/* Bytes that an array needs at least; of a mipmap its first level, which the others add a third or, at most, as much to. */
static CUresult footprint(const CUDA_ARRAY3D_DESCRIPTOR *d, bool mipmap, uint64_t *bytes)
{
	uint64_t element = (uint64_t)vgpu_array_channel_bytes(d->Format) * d->NumChannels;

	*bytes = 0;
	if (d->Flags & UNBACKED)
		return CUDA_SUCCESS;
	if (!element || element > WIDEST)
		element = 1;
	if (__builtin_mul_overflow(element << mipmap, vgpu_array_extent(d->Width), bytes) ||
	    __builtin_mul_overflow(*bytes, vgpu_array_extent(d->Height), bytes) ||
	    __builtin_mul_overflow(*bytes, vgpu_array_extent(d->Depth), bytes) || *bytes & HAS_PARTS)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult create(struct vgpu_session *s, struct vgpu_request *rq, vgpu_handler ask, enum vgpu_handle_kind kind,
		       uint64_t id, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	uint64_t bytes;
	CUresult r = footprint(d, kind == VGPU_HANDLE_MIPMAP, &bytes);

	if (!r)
		r = vgpu_memory_charge(s, bytes);
	if (r)
		return r;
	r = ask(s, rq);
	if (r)
		vgpu_memory_release(s, bytes);
	else
		vgpu_handles_find(&s->handles, kind, id)->aux = bytes;
	return r;
}

CUresult vgpu_handle_cuArrayCreate_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuArrayCreate_v2 *a = rq->args;
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = a->desc.Width, .Height = a->desc.Height, .Format = a->desc.Format,
				      .NumChannels = a->desc.NumChannels };

	return create(s, rq, vgpu_default_cuArrayCreate_v2, VGPU_HANDLE_ARRAY, a->array, &d);
}

CUresult vgpu_handle_cuArray3DCreate_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuArray3DCreate_v2 *a = rq->args;

	return create(s, rq, vgpu_default_cuArray3DCreate_v2, VGPU_HANDLE_ARRAY, a->array, &a->desc);
}

CUresult vgpu_handle_cuMipmappedArrayCreate(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMipmappedArrayCreate *a = rq->args;

	return create(s, rq, vgpu_default_cuMipmappedArrayCreate, VGPU_HANDLE_MIPMAP, a->mipmap, &a->desc);
}

void vgpu_array_forget(struct vgpu_session *s, const struct vgpu_handle_entry *e)
{
	vgpu_memory_release(s, e->aux & ~HAS_PARTS);
}

static CUresult destroy(struct vgpu_session *s, struct vgpu_request *rq, vgpu_handler ask, enum vgpu_handle_kind kind,
			uint64_t id)
{
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, kind, id);
	struct vgpu_handle_entry gone;
	CUresult r;

	if (!e)
		return vgpu_handle_error(kind);
	if (e->owner)	/* goes with what it is part of */
		return CUDA_ERROR_INVALID_VALUE;
	gone = *e;
	r = ask(s, rq);
	if (r)
		return r;
	vgpu_array_forget(s, &gone);
	if (gone.aux & HAS_PARTS)
		vgpu_handles_disown(&s->handles, VGPU_HANDLE_ARRAY, id);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_cuArrayDestroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuArrayDestroy *a = rq->args;

	return destroy(s, rq, vgpu_default_cuArrayDestroy, VGPU_HANDLE_ARRAY, a->array);
}

CUresult vgpu_handle_cuMipmappedArrayDestroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMipmappedArrayDestroy *a = rq->args;

	return destroy(s, rq, vgpu_default_cuMipmappedArrayDestroy, VGPU_HANDLE_MIPMAP, a->mipmap);
}

/* The array at `part` is a part of that at `whole`, or of what that is a part of. */
static void own(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t whole, uint64_t part)
{
	struct vgpu_handle_entry *root = vgpu_handles_find(&s->handles, kind, whole);

	if (root->owner) {
		whole = root->owner;
		root = vgpu_handles_find(&s->handles, vgpu_handle_kind_of(whole), whole);
	}
	root->aux |= HAS_PARTS;
	vgpu_handles_find(&s->handles, VGPU_HANDLE_ARRAY, part)->owner = whole;
}

CUresult vgpu_handle_cuArrayGetPlane(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuArrayGetPlane *a = rq->args;
	CUresult r = vgpu_default_cuArrayGetPlane(s, rq);

	if (!r)
		own(s, VGPU_HANDLE_ARRAY, a->array, a->plane);
	return r;
}

CUresult vgpu_handle_cuMipmappedArrayGetLevel(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMipmappedArrayGetLevel *a = rq->args;
	CUresult r = vgpu_default_cuMipmappedArrayGetLevel(s, rq);

	if (!r)
		own(s, VGPU_HANDLE_MIPMAP, a->mipmap, a->array);
	return r;
}
