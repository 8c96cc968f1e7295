/* SPDX-License-Identifier: MIT */
/*
 * Settings of the supervisor: defaults, then the configuration file, then
 * the command line.  One table (config.c) describes each of them for both.
 */
#ifndef SUPERVISOR_CONFIG_H
#define SUPERVISOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_MAX_UIDS	16u
#define CONFIG_MAX_VMS	256u
#define CONFIG_TEXT	128u
#define CONFIG_PATH	108u	/* a socket address holds no more */

/* Limits of one VM: section [vm N] of the file. 0: the general one. */
struct config_vm {
	uint32_t vm_id;
	uint32_t max_sessions;
	uint64_t memory_limit;		/* bytes for each session */
};

/* Whether memory of unix sessions comes from the pages that vm.nr_hugepages sets aside. */
enum config_pages { CONFIG_PAGES_AUTO, CONFIG_PAGES_NEVER, CONFIG_PAGES_ALWAYS };

struct config {
	char socket[CONFIG_PATH];
	char control[CONFIG_PATH];
	char socket_group[CONFIG_TEXT];
	char device[CONFIG_TEXT];	/* auto, cuda, soft */
	char devices[CONFIG_TEXT];	/* "all" or a list as in CUDA_VISIBLE_DEVICES */
	char worker[4096];		/* path of vgpu-worker */
	char file[4096];		/* configuration file, "" = none */
	mode_t socket_mode;
	uint32_t soft_devices;		/* for the worker */
	uint32_t kernel_timeout_ms;	/* for the worker, 0 = none */
	uint32_t pool;			/* workers kept ready */
	uint32_t max_sessions;
	uint32_t max_sessions_vm;	/* of each VM */
	uint32_t start_timeout_ms;	/* for a session to start, and for a worker */
	uint64_t shm_size;		/* of unix sessions that ask for none, bytes */
	uint64_t register_ahead;	/* pinned memory of a session registered before use, bytes */
	uint64_t image_store;		/* code kept for further sessions of a VM, bytes, 0 = none */
	enum config_pages huge_pages;
	uint64_t shm_limit;		/* the most that a unix session may ask for, bytes */
	uint64_t memory_limit;		/* device memory of a session, bytes, 0 = none */
	uid_t allow_uids[CONFIG_MAX_UIDS];
	uint32_t allow_uid_count;	/* 0: whoever the socket's mode admits */
	int log_level;
	bool sqpoll;
	struct config_vm vms[CONFIG_MAX_VMS];
	uint32_t vm_count;
};

enum config_result {
	CONFIG_RUN,		/* settings are complete */
	CONFIG_SHOWN,		/* --help or --version answered on stdout */
	CONFIG_BAD,		/* one line in `error` */
};

/*
 * Read everything into *config. `error` gets "FILE:LINE: ..." or "--option: ...".
 * Called again, with the same arguments, to reload.
 */
enum config_result config_load(struct config *config, int argc, char **argv, char *error,
			       size_t error_size);

/*
 * Take over into *now what may change while running; names of others that
 * differ and need a restart go into `names` ("" = none), separated by blanks.
 */
void config_reload(struct config *now, const struct config *next, char *names, size_t size);

/* Limits that hold for a VM. */
uint32_t config_vm_sessions(const struct config *config, uint32_t vm_id);
uint64_t config_vm_memory(const struct config *config, uint32_t vm_id);

bool config_uid_allowed(const struct config *config, uid_t uid);

/* "64M", "2G", "1048576": bytes. 0 or -EINVAL. */
int config_parse_size(const char *text, uint64_t *bytes);

#endif
