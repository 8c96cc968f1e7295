/* SPDX-License-Identifier: MIT */
/*
 * Core dumps of the GPU. None are written here: a dump would be a file of the host, of a process that is not the
 * guest's. What is kept are the settings, which begin as CUDA documents them; one that asks for a dump is refused.
 * Owned by the process, under a lock; any thread.
 */
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "call.h"
#include "init.h"
#include "log.h"
#include "thread.h"

#define NAME_BYTES	1024u	/* of a file or pipe, with its NUL */

static struct {
	pthread_mutex_t lock;
	bool trigger_host, lightweight;
	unsigned int generation_flags;
	char file[NAME_BYTES], pipe[NAME_BYTES];	/* empty: the default name */
} settings = { .lock = PTHREAD_MUTEX_INITIALIZER, .trigger_host = true };

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

union value {
	unsigned char on;	/* C++'s bool, whatever is in it */
	unsigned int flags;
	char name[NAME_BYTES];
};

/* Under the lock. A default name holds the process's id, which a fork changes: made when asked for. */
static void read_setting(CUcoredumpSettings attrib, union value *v)
{
	memset(v, 0, sizeof(*v));
	if (attrib == CU_COREDUMP_TRIGGER_HOST)
		v->on = settings.trigger_host;
	else if (attrib == CU_COREDUMP_LIGHTWEIGHT)
		v->on = settings.lightweight;
	else if (attrib == CU_COREDUMP_GENERATION_FLAGS)
		v->flags = settings.generation_flags;
	else if (attrib == CU_COREDUMP_FILE && settings.file[0])
		memcpy(v->name, settings.file, NAME_BYTES);
	else if (attrib == CU_COREDUMP_PIPE && settings.pipe[0])
		memcpy(v->name, settings.pipe, NAME_BYTES);
	else if (bytes_of(attrib) == NAME_BYTES)
		default_name(v->name, attrib == CU_COREDUMP_FILE ? "core" : "corepipe");
}

CUresult cuCoredumpGetAttributeGlobal(CUcoredumpSettings attrib, void *value, size_t *size)
{
	size_t bytes = bytes_of(attrib);
	union value v;

	if (!bytes || !size)
		return CUDA_ERROR_INVALID_VALUE;
	if (!value) {
		*size = bytes;
		return CUDA_SUCCESS;
	}
	vgpu_lock(&settings.lock);
	read_setting(attrib, &v);
	vgpu_unlock(&settings.lock);
	if (bytes == NAME_BYTES)
		bytes = strlen(v.name) + 1;
	if (*size < bytes || (bytes_of(attrib) != NAME_BYTES && *size != bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(value, &v, bytes);
	return CUDA_SUCCESS;
}

/* Under the lock. */
static CUresult write_setting(CUcoredumpSettings attrib, const union value *v)
{
	switch (attrib) {
	case CU_COREDUMP_TRIGGER_HOST:
		settings.trigger_host = v->on;
		return CUDA_SUCCESS;
	case CU_COREDUMP_LIGHTWEIGHT:
		settings.lightweight = v->on;
		return CUDA_SUCCESS;
	case CU_COREDUMP_GENERATION_FLAGS:
		settings.generation_flags = v->flags;
		return CUDA_SUCCESS;
	case CU_COREDUMP_FILE:
		memcpy(settings.file, v->name, NAME_BYTES);
		return CUDA_SUCCESS;
	case CU_COREDUMP_PIPE:
		memcpy(settings.pipe, v->name, NAME_BYTES);
		return CUDA_SUCCESS;
	default:
		return v->on ? vgpu_unsupported("cuCoredumpSetAttributeGlobal of a setting that asks for a dump")
			     : CUDA_SUCCESS;
	}
}

CUresult cuCoredumpSetAttributeGlobal(CUcoredumpSettings attrib, void *value, size_t *size)
{
	size_t bytes = bytes_of(attrib);
	union value v;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!bytes || !value || !size || *size > bytes || (bytes != NAME_BYTES && *size != bytes))
		return CUDA_ERROR_INVALID_VALUE;
	memset(&v, 0, sizeof(v));
	memcpy(&v, value, bytes == NAME_BYTES ? strnlen(value, *size) : bytes);
	if (v.name[NAME_BYTES - 1])
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&settings.lock);
	r = write_setting(attrib, &v);
	vgpu_unlock(&settings.lock);
	return r;
}

CUresult cuCoredumpGetAttribute(CUcoredumpSettings attrib, void *value, size_t *size)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : cuCoredumpGetAttributeGlobal(attrib, value, size);
}

/* The settings of a context are those of the process: there is nothing that they would change. */
CUresult cuCoredumpSetAttribute(CUcoredumpSettings attrib, void *value, size_t *size)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : cuCoredumpSetAttributeGlobal(attrib, value, size);
}
