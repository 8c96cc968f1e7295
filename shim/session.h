/* SPDX-License-Identifier: MIT */
/*
 * The one session of this process: transport, mapped shared memory, and
 * whether it lives. vgpu_session_open() runs once in the first cuInit; once
 * that has succeeded the pointers are constant, also after the session died.
 */
#ifndef VGPU_SHIM_SESSION_H
#define VGPU_SHIM_SESSION_H

#include <stdatomic.h>

#include <vgpu/cuda_types.h>
#include <vgpu/shm.h>

#include "transport.h"

enum vgpu_session_state {
	VGPU_SESSION_COLD = 0,		/* cuInit has not succeeded */
	VGPU_SESSION_OPEN = 1,
	VGPU_SESSION_DEAD = 2,		/* the host's end is gone */
	VGPU_SESSION_FORKED = 3,	/* this is a fork's child of a process with a session */
	VGPU_SESSION_EXIT = 4,		/* the process is past its exit handlers */
};

struct vgpu_session {
	_Atomic uint32_t state;		/* enum vgpu_session_state */
	_Atomic int32_t error;		/* CUresult for each call once state is not OPEN */
	struct vgpu_transport transport;
	struct vgpu_shm_geometry geometry;
	uint8_t *base;			/* the whole memory, at the same address in the worker */
	struct vgpu_channel *channel;
	uint32_t range_count;		/* device addresses, reserved in this process */
	struct vgpu_range ranges[VGPU_MAX_RANGES];
};

extern struct vgpu_session vgpu_session;

/* 0, or the CUresult of cuInit; a failure has been logged with the next step. */
CUresult vgpu_session_open(void);
/* Nobody uses the session, or ever will: give worker, addresses and memory back. */
void vgpu_session_close(void);
/*
 * Is the host's end there? Asked by waiters now and then. 0, or the error
 * that each call returns from now on; the first to notice logs which hop died.
 */
CUresult vgpu_session_check(void);
/* The way to the worker broke: the session ends, for the reason that the host gives soon, or else for `text`. */
CUresult vgpu_session_lost(const char *text);
/* True if [address, address + 1) is in the shared memory / in a range of the driver. */
bool vgpu_session_is_arena(uint64_t address);
bool vgpu_session_is_device(uint64_t address);

#endif
