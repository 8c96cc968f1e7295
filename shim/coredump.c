/* SPDX-License-Identifier: MIT */
/*
 * Core dumps of the GPU. None are written here: a dump would be a file of the host, of a process that is not the
 * guest's. What can be read are the settings of a program that has set none, all as CUDA documents
 * them. Owns nothing; any thread.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "call.h"

#define NAME_BYTES	1024u	/* of a file or pipe, with its NUL */

/* The name that CUDA gives to a dump or its pipe: PREFIX.cuda.HOSTNAME.PID */
static void default_name(char name[NAME_BYTES], const char *prefix)
{
	char host[HOST_NAME_MAX + 1] = { 0 };

	if (gethostname(host, sizeof(host) - 1))
		host[0] = '\0';
	snprintf(name, NAME_BYTES, "%s.cuda.%s.%d", prefix, host, (int)getpid());
}

/* Bytes of an attribute's value, 0 for one that there is not. */
static size_t bytes_of(CUcoredumpSettings attrib)
{
	switch (attrib) {
	case CU_COREDUMP_ENABLE_ON_EXCEPTION:
	case CU_COREDUMP_TRIGGER_HOST:
	case CU_COREDUMP_LIGHTWEIGHT:
	case CU_COREDUMP_ENABLE_USER_TRIGGER:
		return sizeof(bool);
	case CU_COREDUMP_FILE:
	case CU_COREDUMP_PIPE:
		return NAME_BYTES;
	case CU_COREDUMP_GENERATION_FLAGS:
		return sizeof(unsigned int);
	default:
		return 0;
	}
}

CUresult cuCoredumpGetAttributeGlobal(CUcoredumpSettings attrib, void *value, size_t *size)
{
	union {
		bool on;
		unsigned int flags;
		char name[NAME_BYTES];
	} v = { .name = "" };
	size_t bytes = bytes_of(attrib);

	if (!bytes || !size)
		return CUDA_ERROR_INVALID_VALUE;
	if (!value) {
		*size = bytes;
		return CUDA_SUCCESS;
	}
	if (attrib == CU_COREDUMP_TRIGGER_HOST)
		v.on = true;
	if (bytes == NAME_BYTES) {
		default_name(v.name, attrib == CU_COREDUMP_FILE ? "core" : "corepipe");
		bytes = strlen(v.name) + 1;
	}
	if (*size < bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(value, &v, bytes);
	return CUDA_SUCCESS;
}

CUresult cuCoredumpGetAttribute(CUcoredumpSettings attrib, void *value, size_t *size)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : cuCoredumpGetAttributeGlobal(attrib, value, size);
}
