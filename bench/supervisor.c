/* SPDX-License-Identifier: MIT */
/*
 * The mediator at VGPU_SOCKET_PATH with 1 to 1,000 sessions connected that do nothing: what it costs to come and go, to be
 * refused, to be asked for its state; what each idle session costs in memory and processor time of the supervisor; and
 * what they do to one that works.  Compared with itself: a row of 1,000 with the row of 1.  Then 1 to 8 sessions that
 * work at once, compared with one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <gen/wire.h>
#include <vgpu/socket.h>

#include "gbench.h"
#include "link.h"

#define IDLE_MOST	1000
#define BURST		4096	/* commands between two answers, fits the ring */
#define SETTLE_MS	500
#define WARM		8	/* sessions that have grown the allocator's and the kernel's tables before memory is measured */

static struct {
	struct link link[IDLE_MOST];
	int64_t count;
} idle;

static void nap(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Returns when the mediator has started workers for the next sessions, too. */
static bool idle_reach(struct gbench *b, int64_t count)
{
	const char *why = NULL;
	bool changed = idle.count != count;

	while (!why && idle.count < count)
		if (!(why = link_open(&idle.link[idle.count], false)))
			idle.count++;
	while (idle.count > count)
		link_close(&idle.link[--idle.count]);
	if (why)
		gbench_fail(b, why);
	if (changed)
		nap(SETTLE_MS);
	return !why;
}

/* ---- the supervisor's process ---- */

static int dial(const char *path, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -1;
}

static int control(void)
{
	const char *path = getenv("VGPU_SOCKET_PATH"), *slash = path ? strrchr(path, '/') : NULL;
	char own[108];

	if (!slash)
		return -1;
	snprintf(own, sizeof(own), "%.*s/control.sock", (int)(slash - path), path);
	return dial(own, SOCK_STREAM);
}

static pid_t supervisor(void)
{
	struct ucred c = { 0 };
	socklen_t size = sizeof(c);
	int fd = control();

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &size))
		c.pid = 0;
	close(fd);
	return c.pid;
}

/* The number behind `key` in a file of /proc/PID; -1 without it. */
static double proc_number(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	double value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = strtod(line + strlen(key), NULL);
	if (f)
		fclose(f);
	return value;
}

/* Nanoseconds on a processor: the first number of schedstat. */
static double proc_ns(pid_t pid)
{
	return proc_number(pid, "schedstat", "");
}

/* Its processor time since `before`, for each iteration: what the machine's other work does not disturb. */
static void report_cpu(struct gbench *b, pid_t pid, double before)
{
	gbench_figure(b, "cpu_us", (proc_ns(pid) - before) / 1000 / (double)gbench_iterations(b));
}

/* ---- coming and going ---- */

static void session(struct gbench *b)
{
	const char *why = NULL;
	pid_t pid = supervisor();
	struct link l;
	double ns;

	if (!idle_reach(b, gbench_argument(b)))
		return;
	ns = proc_ns(pid);
	while (gbench_next(b))
		if (!why && !(why = link_open(&l, false)))
			link_close(&l);
	report_cpu(b, pid, ns);
	if (why)
		gbench_fail(b, why);
	gbench_items(b, gbench_iterations(b));
}

/* A HELLO that asks for more memory than any session may have: refused without a worker. */
static bool be_refused(const char *path)
{
	struct vgpu_msg_hello h = {
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_HELLO, 0, sizeof(h), VGPU_PROTOCOL_VERSION },
		.role = VGPU_ROLE_SHIM, .shm_size = 1ull << 60, .name = "bench",
	};
	struct vgpu_msg_refused r;
	int fd = dial(path, SOCK_SEQPACKET);
	bool refused = fd >= 0 && send(fd, &h, sizeof(h), MSG_NOSIGNAL) == sizeof(h) &&
		       recv(fd, &r, sizeof(r), 0) == sizeof(r) && r.h.type == VGPU_MSG_REFUSED;

	close(fd);
	return refused;
}

static void connection(struct gbench *b)
{
	const char *path = getenv("VGPU_SOCKET_PATH");
	pid_t pid = supervisor();
	bool ok = true;
	double ns;

	if (!idle_reach(b, gbench_argument(b)))
		return;
	ns = proc_ns(pid);
	while (gbench_next(b))
		ok = ok && be_refused(path);
	report_cpu(b, pid, ns);
	if (!ok)
		gbench_fail(b, "the mediator did not refuse");
	gbench_items(b, gbench_iterations(b));
}

/* ---- asking ---- */

/* Bytes of the answer, one line; 0: there was none. */
static size_t ask(int fd)
{
	static const char question[] = "{\"cmd\":\"status\"}\n";
	static char answer[65536];
	size_t size = 0;
	ssize_t n;

	if (send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0)
		return 0;
	do {
		n = recv(fd, answer, sizeof(answer), 0);
		if (n <= 0)
			return 0;
		size += (size_t)n;
	} while (answer[n - 1] != '\n');
	return size;
}

static void status(struct gbench *b)
{
	int fd = control();
	size_t size = fd < 0 ? 0 : 1;
	pid_t pid = supervisor();
	double ns;

	if (!idle_reach(b, gbench_argument(b)))
		return;
	ns = proc_ns(pid);
	while (gbench_next(b))
		size = size ? ask(fd) : 0;
	report_cpu(b, pid, ns);
	if (!size)
		gbench_fail(b, "no answer on control.sock beside the mediator's socket");
	gbench_figure(b, "bytes", (double)size);
	close(fd);
}

/* ---- what the idle cost ---- */

static void memory(struct gbench *b)
{
	int64_t count = gbench_argument(b);
	pid_t pid = supervisor();
	double before;

	while (gbench_next(b)) {
		if (!idle_reach(b, WARM))
			return;
		before = proc_number(pid, "smaps_rollup", "Rss:");
		if (!idle_reach(b, WARM + count))
			return;
		gbench_figure(b, "kib_each", (proc_number(pid, "smaps_rollup", "Rss:") - before) / (double)count);
	}
}

static void processor(struct gbench *b)
{
	static const char woken[] = "voluntary_ctxt_switches:";
	pid_t pid = supervisor();
	double ns, switches;

	if (!idle_reach(b, gbench_argument(b)))
		return;
	while (gbench_next(b)) {
		ns = proc_ns(pid);
		switches = proc_number(pid, "status", woken);
		nap(1000);
		gbench_figure(b, "cpu_us_a_second", (proc_ns(pid) - ns) / 1000);
		gbench_figure(b, "wakeups_a_second", proc_number(pid, "status", woken) - switches);
	}
}

/* ---- those who work ---- */

static bool answered(struct link *l)
{
	const uint64_t cookie = 1;

	link_send(l, VGPU_OP_ping, 1, &cookie, 1);
	return link_wait(l) == 0;
}

static bool burst(struct link *l)
{
	for (int i = 1; i < BURST; i++)
		link_send(l, VGPU_OP_noop, 0, NULL, 0);
	return answered(l);
}

/* A session in each of the benchmark's threads. */
static void work(struct gbench *b, bool (*turn)(struct link *l), int64_t commands)
{
	const char *why;
	bool ok = true;
	struct link l;

	if (gbench_thread(b) == 0 && !idle_reach(b, gbench_argument(b)))
		return;
	why = link_open(&l, false);
	if (why) {
		gbench_fail(b, why);
		return;
	}
	while (gbench_next_batch(b, commands))
		ok = ok && turn(&l);
	if (!ok)
		gbench_fail(b, "the session ended");
	gbench_items(b, (int64_t)l.seq);
	gbench_figure(b, "doorbells_per_1000", 1000.0 * (double)l.doorbells / (double)l.seq);
	link_close(&l);
}

static void throughput(struct gbench *b)
{
	work(b, burst, BURST);
}

static void round_trip(struct gbench *b)
{
	work(b, answered, 1);
}

/* ---- the list ---- */

static void add(const char *name, gbench_fn fn, int64_t count, int64_t iterations)
{
	const struct gbench_case c = { .args = { { "idle", count } }, .iterations = iterations };

	gbench_add_case(name, fn, &c);
}

static void add_together(const char *name, gbench_fn fn)
{
	for (int sessions = 1; sessions <= 8; sessions *= 2) {
		const struct gbench_case c = { .args = { { "idle", 0 } }, .threads = sessions };

		gbench_add_case(name, fn, &c);
	}
}

static void raise_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

int main(int argc, char **argv)
{
	raise_limit();
	/* Before there were as many sessions: a heap that has grown does not grow again. */
	add("supervisor/memory", memory, IDLE_MOST - WARM, 1);
	add_together("sessions/throughput", throughput);
	add_together("sessions/round_trip", round_trip);
	for (int64_t count = 1; count <= IDLE_MOST; count *= 10) {
		add("supervisor/throughput", throughput, count, 0);
		add("supervisor/round_trip", round_trip, count, 0);
		add("supervisor/connection", connection, count, 0);
		add("supervisor/session", session, count, 0);
		add("supervisor/status", status, count, 0);
		add("supervisor/processor", processor, count, 1);
	}
	return gbench_main(argc, argv);
}
