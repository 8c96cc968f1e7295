/* SPDX-License-Identifier: MIT */
/*
 * The objects of the supervisor and who owns whom.  Everything here lives in
 * one thread; pointers are plain.
 *
 *	supervisor
 *	  listeners     the two listening sockets			listener.c
 *	  conns		one for each connected socket			conn.c
 *	  pool -> workers	processes, ready or serving		pool.c, worker.c
 *	  vms		one for each connected stub, and one
 *			("unix") for all shims				vm.c
 *	  sessions	one for each guest process			session.c
 *	  image_stores	code that need not be sent again		images.c
 *	  records	what is remembered of VMs that were here	record.c
 *	  clients	connections of vgpuctl				client.c, report.c
 *
 * A conn owns its socket until the kernel has let go of it; a session owns
 * its worker until the process has been reaped, and is freed after that; a
 * VM is freed when its connection is gone and its last session too.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <sys/types.h>

#include "config.h"
#include "control.h"
#include "list.h"
#include "log.h"
#include "loop.h"

#define SESSION_BUCKETS	1024u
#define SESSION_TRIES	4u	/* workers tried before an address conflict is final */
#define RECORD_ENDED	8u	/* ended sessions remembered of each VM */
#define TEXT_BYTES	160u	/* one line for people, as in the messages */

struct json_object;
struct supervisor;

/* What each hop has counted, for one session or summed over several. */
struct hops {
	/* guest's own, from the channel: shown, never trusted */
	uint64_t guest_commands, guest_doorbells, guest_replies, guest_fences;
	uint64_t guest_fence_waits, guest_ring_full;
	/* stub's, from STATS; stub_known: at least one STATS covered this session */
	bool stub_known;
	uint64_t stub_doorbells, stub_wakes, stub_wakes_failed;
	/* worker's, from its stats page */
	uint64_t wakes, doorbells, commands, calls, replies, fences, errors, launches;
	uint64_t bytes_h2d, bytes_d2h, sleeps, polls, wake_gaps, memory_peak;
	uint64_t image_bytes, image_bytes_spared;
};

/* ---- listener.c ---- */

struct listener {
	struct supervisor *sup;
	struct io_op op;
	struct timer retry;
	int fd;
	bool control;
	char path[CONFIG_PATH];
	struct vgpu_log_limit limit;
};

/* Bind and listen; a dead socket file is replaced. 0 or -errno, after a log line. */
int listener_open(struct listener *l, struct supervisor *sup, const char *path, bool control);
/* Remove the socket file and stop accepting. */
void listener_close(struct listener *l);

/* ---- conn.c ---- */

enum conn_role { CONN_NEW, CONN_STUB, CONN_SHIM };

struct conn {
	struct list link;
	struct supervisor *sup;
	struct io_op op;
	struct timer hello;		/* a peer that never says HELLO goes */
	int fd;
	enum conn_role role;
	bool closing;
	pid_t pid;			/* SO_PEERCRED */
	uid_t uid;
	struct vm *vm;			/* role STUB */
	struct session *session;	/* role SHIM, until the session is freed */
};

/* Take over an accepted socket. */
void conn_new(struct supervisor *sup, int fd);
/* Send; a peer that does not read is closed. */
void conn_send(struct conn *conn, const struct vgpu_msg *msg, const int *fds, unsigned int fd_count);
/* Tell why, and end the connection: the peer sees it at once, *conn goes when the kernel has let go of it. */
void conn_refuse(struct conn *conn, enum vgpu_host_error error, const char *text);
/* One line about broken rules, then the end, as above. */
void conn_violation(struct conn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- vm.c ---- */

struct vm {
	struct list link;
	struct supervisor *sup;
	struct conn *conn;		/* NULL: gone, or the VM of the shims */
	struct record *record;
	uint32_t vm_id;
	bool unix_transport;
	pid_t pid;			/* of QEMU */
	int memfd;
	const char *pages;		/* pages_of(memfd) */
	struct vgpu_shm_geometry geometry;
	struct session *channel[VGPU_MAX_CHANNELS];
	bool reopen[VGPU_MAX_CHANNELS];	/* OPEN came while the old session was ending */
	uint32_t reopen_generation[VGPU_MAX_CHANNELS];
	uint32_t session_count, monitor_count;	/* all of them; those of them that only ask */
	uint64_t stats_cookie;		/* of the newest STATS_REQUEST */
	uint64_t stats_answered;	/* of the newest STATS */
	struct vgpu_msg_stats stats;	/* the newest */
	struct vgpu_log_limit limit;
};

/* A stub said HELLO: check its memory, welcome or refuse it. Takes hello's fd. */
void vm_hello(struct conn *conn, const struct vgpu_msg_hello *hello, int memfd);
void vm_message(struct vm *vm, const struct vgpu_packet *packet);
/* The stub's connection ended: all sessions of the VM end. */
void vm_gone(struct vm *vm);
/* The session on `channel` is about to be freed. */
void vm_channel_free(struct vm *vm, uint32_t channel);
void vm_free_if_unused(struct vm *vm);
/* The VM that all shims belong to. */
struct vm *vm_unix(struct supervisor *sup);
void vm_request_stats(struct vm *vm);
/* Has it not answered the newest request? */
bool vm_stats_due(const struct vm *vm);
/* Tell the stub: CHANNEL_OPENED, CHANNEL_CLOSED. */
void vm_send_channel(struct vm *vm, uint16_t type, const struct session *s, const int *fd);
void vm_send_failed(struct vm *vm, uint32_t channel, enum vgpu_host_error error, const char *text);

/* ---- session.c ---- */

enum session_state {
	SESSION_WAITING,	/* for a ready worker */
	SESSION_STARTING,	/* a worker has it, guest and worker agree on addresses */
	SESSION_RUNNING,
	SESSION_CLOSING,	/* the guest has gone, its last commands are being executed */
	SESSION_ENDING,		/* the worker is being killed */
};

struct session {
	struct list link;		/* all of the supervisor */
	struct list by_id;		/* in its bucket */
	struct list wait;		/* in pool.waiting while WAITING */
	struct supervisor *sup;
	struct vm *vm;
	struct conn *conn;		/* unix transport, NULL once it is gone */
	struct worker *worker;
	struct timer deadline;		/* of WAITING, STARTING and CLOSING */
	uint64_t close_by_ms;		/* CLOSING ends at the latest then */
	uint32_t id, channel, generation;
	enum session_state state;
	bool ran;			/* was RUNNING once */
	bool monitor;			/* it only asks about devices: monitor.c gives it a process */
	bool opened;			/* the stub got CHANNEL_OPENED */
	int memfd;			/* unix transport: its own; pci: -1, the VM's counts */
	int wake;			/* the worker's end, kept for a second try; -1 once attached */
	int peer_wake;			/* of a socket: the other end, until stub or shim has been sent it; else -1 */
	bool wake_socket;		/* pci, or register mode */
	struct vgpu_shm_geometry geometry;
	uint32_t tried[SESSION_TRIES];	/* serials of workers that did not suit */
	uint32_t tries;
	uint64_t started_ms;
	uint64_t memory_limit;
	const char *pages;		/* pages_of() its memory; NULL: it has none yet */
	uid_t uid;			/* unix transport: of the process that connected */
	struct image_store *images;	/* images.c; NULL: it shares none */
	struct list shares;		/* share.c */
	uint32_t share_count;
	uint32_t guest_pid, guest_batch, guest_batch_usec;
	char name[32];
	enum vgpu_host_error error;	/* why it ends */
	char text[TEXT_BYTES];
};

/* Empty lists of connections, machines, sessions and what became of them. */
void sessions_init(struct supervisor *sup);
/* A shim said HELLO, or a library that only asks. */
void session_hello(struct conn *conn, const struct vgpu_msg_hello *hello);
/* A stub asks for a worker for `channel`, on which there is no session. */
void session_open(struct vm *vm, uint32_t channel, uint32_t generation);
/* End for `error`; the worker is killed, the rest follows when it is reaped. */
void session_end(struct session *s, enum vgpu_host_error error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * The guest ends it: as session_end() with CLOSED, but what it published before
 * it went is still executed, within half a second.
 */
void session_close(struct session *s, const char *text);
const char *session_state_name(const struct session *s);
struct vgpu_log_ids session_ids(const struct session *s);
struct session *session_find(struct supervisor *sup, uint32_t id);
/* A channel's control block, to be given back with channel_unmap(). NULL if it cannot be mapped. */
struct vgpu_channel_ctl *channel_map(int memfd, const struct vgpu_shm_geometry *g, uint32_t channel);
struct vgpu_channel_ctl *session_map(const struct session *s);
void channel_unmap(struct vgpu_channel_ctl *ctl);
/* Copy a name that a guest chose: printable ASCII, terminated. */
void copy_name(char *to, const char *from, size_t size);
/* What all hops have counted for this session up to now. */
void session_hops(const struct session *s, struct hops *hops);

/* Called by the pool and by workers. */
void session_give_worker(struct session *s, struct worker *w);
bool session_suits(const struct session *s, const struct worker *w);
void session_attached(struct session *s);
void session_conflict(struct session *s);
void session_worker_ended(struct session *s, enum vgpu_host_error error, const char *text);
void session_worker_exited(struct session *s, const char *how);

/* ---- pages.c ---- */

/* The pages of shared memory: "reserved", "transparent" (the host gives them where it can) or "small". */
const char *pages_of(int memfd);

/* ---- share.c ---- */

/* EXPORT, IMPORT or WITHDRAW of the session's worker. Descriptors that are not taken stay the packet's. */
void share_message(struct session *s, struct vgpu_packet *packet);
/* What the session has exported can be imported no more. */
void shares_end(struct session *s);

/* ---- images.c ---- */

/* Of the stores of one VM, or of all without one. */
struct images_count {
	uint32_t images;
	uint64_t bytes;		/* of them */
	uint64_t found, missed, dropped;
};

/* A new session joins the store that it may use, once its guest is known; and leaves it at its end. */
void images_join(struct session *s);
void images_leave(struct session *s);
/* The VM and all its sessions are gone. */
void images_end(const struct vm *vm);
/* IMAGE_FIND or IMAGE_KEEP of the session's worker. Descriptors that are not taken stay the packet's. */
void images_message(struct session *s, struct vgpu_packet *packet);
void images_counted(const struct vm *vm, struct images_count *count);

/* ---- worker.c ---- */

enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_SERVING, WORKER_DYING };

struct worker {
	struct list link;		/* in the pool's starting, ready or busy list */
	struct supervisor *sup;
	struct io_op receive, exit;
	struct timer deadline;		/* of STARTING */
	int control, pidfd;
	pid_t pid;
	uint32_t serial;
	enum worker_state state;
	bool exited;
	bool lost;			/* ended by itself before it served anybody */
	bool monitor;			/* opens no device: monitor.c */
	struct session *session;
	struct vgpu_worker_stats *stats;	/* mapped until the worker is freed; NULL: kept by trace.c */
};

/* Before the process opens anything: keep places for the descriptors that workers are born with. 0 or -errno. */
int worker_reserve(void);
/* Start a worker program, or a monitor. NULL if that is not possible; text says why. */
struct worker *worker_spawn(struct supervisor *sup, bool monitor, char *text, size_t text_size);
void worker_kill(struct worker *w);
int worker_attach(struct worker *w, const struct vgpu_ctl_attach *attach, int memfd, int wake);

/* ---- pool.c ---- */

struct pool {
	struct list starting, ready, busy, waiting;
	uint32_t starting_count, ready_count;
	uint32_t serial;		/* of the newest worker */
	uint32_t failures;		/* starts in a row that failed */
	uint64_t last_start_ms;
	struct timer backoff;
	bool backing_off;
	struct timer rest;
	uint64_t rest_until_ms;		/* a session has just begun: no worker is started before */
	struct worker *monitor;		/* the spare one, starting or ready; NULL: none */
	bool monitor_failed;		/* the last one did not start: no spare ones until one does */
	enum vgpu_host_error last_error;
	char last_failure[TEXT_BYTES];
	/* device, as told by the newest READY */
	bool device_known;
	uint32_t backend, device_count;
	int32_t driver_version;
	char device_name[96];
};

/*
 * A worker's start keeps the driver's locks busy for a third of a second, in which the first calls of a session take
 * twice their time (a module of PyTorch 50 ms instead of 22 on an H100). One that has just begun is left in peace this
 * long, unless it took the last ready worker.
 */
#define POOL_REST_MS	1000u

void pool_init(struct supervisor *sup);
/* Have as many workers as the target and those who wait call for, no more. */
void pool_fill(struct supervisor *sup);
/* Give the session a worker now or when there is one. */
void pool_request(struct session *s);
void pool_forget(struct session *s);
void pool_worker_ready(struct worker *w, const struct vgpu_ctl_ready *ready);
void pool_worker_free_again(struct worker *w);
void pool_start_failed(struct supervisor *sup, enum vgpu_host_error error, const char *text);

/* ---- monitor.c ---- */

/* Have a monitor ready, if workers are kept ready and their device is known. */
void monitor_fill(struct supervisor *sup);
/* Have none ready. */
void monitor_drop(struct supervisor *sup);
/* It will be reaped: it is not the one that is ready. */
void monitor_gone(struct worker *w);
/* Give the session a monitor; it ends if that is not possible. */
void monitor_request(struct session *s);
void monitor_ready(struct worker *w);
void monitor_failed(struct worker *w, enum vgpu_host_error error, const char *text);
/* It asks which processes its VM has. */
void monitor_census(struct worker *w);

/* ---- record.c ---- */

struct ended {
	uint32_t session, channel, generation, pid, batch, batch_usec;
	char name[32];
	enum vgpu_host_error error;
	char text[TEXT_BYTES];
	uint64_t ms;			/* how long it lasted */
	uint64_t last_seq;
	uint32_t last_op;
	struct hops hops;
};

struct record {
	struct list link;
	uint32_t vm_id;
	bool unix_transport;
	char name[32];
	uint32_t live;			/* VMs that use it now */
	uint64_t ended_count;
	struct hops total;		/* of all ended sessions */
	/* report.c's, while it makes the status document */
	struct json_object *shown, *shown_sessions;
	uint64_t shown_memory;
	struct ended ended[RECORD_ENDED];	/* newest at (ended_count - 1) % RECORD_ENDED */
};

/* The record of a VM, made if there is none; NULL without memory. */
struct record *record_get(struct supervisor *sup, uint32_t vm_id, bool unix_transport, const char *name);
void record_session(struct record *r, const struct session *s);
/* STATS that came after the end of sessions: complete their numbers. */
void record_stats(struct record *r, const struct vgpu_msg_stats *stats);

/* ---- trace.c ---- */

#define TRACE_KEPT	4u	/* ended sessions whose records can still be read */

struct kept {
	uint32_t session, vm_id;
	char name[32];
	struct vgpu_worker_stats *stats;
};

/* A client that wants traces comes or goes: with the last one, tracing ends. */
void trace_client(struct supervisor *sup, bool comes);
/* The session ends: keep its records if it was traced. */
void trace_keep(struct session *s);
void trace_exit(struct supervisor *sup);
/* Records from `cursor` on of session `id`, NULL: no such session. id 0: the list of sessions. */
struct json_object *trace_report(struct supervisor *sup, uint32_t id, uint64_t cursor);

/* ---- client.c, report.c ---- */

struct client {
	struct list link;
	struct supervisor *sup;
	struct io_op op;		/* reading or sending, never both */
	struct timer deadline;		/* for the stubs' answers */
	int fd;
	bool waiting;			/* a status for STATS of the stubs */
	bool tracing;			/* this client switched tracing on */
	char request[1024];
	uint32_t request_size;
	char *text;			/* the answer that is being sent */
	size_t text_size, text_sent;
};

void client_new(struct supervisor *sup, int fd);
void clients_exit(struct supervisor *sup);
/* The last STATS came: clients that wait for them may go on. */
void clients_stats(struct supervisor *sup);

struct json_object *report_status(struct supervisor *sup);

/* ---- main.c ---- */

struct supervisor {
	struct loop loop;
	struct config config;
	struct listener data, control;
	struct pool pool;
	struct list conns, vms, sessions, records, clients, image_stores;
	struct list sessions_by_id[SESSION_BUCKETS];
	struct vm *unix_vm;		/* NULL until the first shim connects */
	uint32_t stats_due;		/* VMs that have not answered the newest STATS_REQUEST */
	uint32_t conn_count, session_count, client_count, record_count;
	uint32_t next_session;
	uint64_t sessions_total, sessions_refused, violations;
	uint64_t started_ms;
	struct vgpu_log_limit violation_limit, refuse_limit, connect_limit;
	uint32_t traced;		/* clients that want sessions traced */
	struct kept kept[TRACE_KEPT];
	uint32_t kept_count;		/* ever; the newest at (kept_count - 1) % TRACE_KEPT */
	bool stopping;
};

#endif
