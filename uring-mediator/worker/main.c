/* SPDX-License-Identifier: MIT */
/*
 * vgpu-worker: one process, one guest process.  Started by the supervisor with its control socket as descriptor 3 and
 * its stats page as 4 (common/control.h), it opens the device, says READY, waits for a session, serves it and exits.
 * A guest that cannot live with this process's addresses is given back, and the worker waits for another.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach.h"
#include "confine.h"
#include "device.h"
#include "io.h"
#include "log.h"
#include "loop.h"
#include "monitor.h"
#include "output.h"
#include "session.h"

struct options {
	enum vgpu_device_choice device;
	const char *devices;
	uint64_t soft_devices;
	uint64_t kernel_timeout_ms;	/* 0: none */
	bool monitor;
};

static const char usage[] =
	"Usage: vgpu-worker [OPTION]...\n"
	"Serves one guest process; started by vgpu-mediator, never by hand.\n\n"
	"  --device auto|cuda|soft  where to compute (auto: cuda if there is a GPU)\n"
	"  --devices LIST|all       which GPUs, by number or UUID, separated by commas\n"
	"  --soft-devices N         devices of the soft device (1)\n"
	"  --kernel-timeout MS      end the session when a kernel runs for longer; 0: never (0)\n"
	"  --monitor                open no device: answer what NVML asks\n"
	"  --log-level LEVEL        error, warning, notice, info, debug\n"
	"  --help\n";

static int parse_device(const char *text, enum vgpu_device_choice *choice)
{
	static const char *const names[] = { "auto", "cuda", "soft" };

	for (int i = 0; i < 3; i++) {
		if (!strcmp(text, names[i])) {
			*choice = (enum vgpu_device_choice)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_devices(const char *text)
{
	/* Ordinals, or UUIDs: "GPU-" and hexadecimal digits; the driver itself says what exists. */
	return text[0] && strspn(text, "0123456789abcdefABCDEFgGpPuUlL-,") == strlen(text) ? 0 : -EINVAL;
}

static int parse_number(const char *text, unsigned long least, unsigned long most, uint64_t *value)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n < least || n > most)
		return -EINVAL;
	*value = n;
	return 0;
}

static int parse_level(const char *text)
{
	int level = vgpu_log_level_parse(text);

	if (level < 0)
		return level;
	vgpu_log_set_level(level);
	return 0;
}

static int set_option(struct options *o, int c, const char *arg)
{
	switch (c) {
	case 'd':
		return parse_device(arg, &o->device);
	case 'n':
		o->devices = arg;
		return parse_devices(arg);
	case 's':
		return parse_number(arg, 1, 8, &o->soft_devices);
	case 't':
		return parse_number(arg, 0, 1000000000, &o->kernel_timeout_ms);
	case 'm':
		o->monitor = true;
		return 0;
	case 'l':
		return parse_level(arg);
	default:
		return -EINVAL;
	}
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "device", required_argument, NULL, 'd' },   { "devices", required_argument, NULL, 'n' },
		{ "soft-devices", required_argument, NULL, 's' },
		{ "kernel-timeout", required_argument, NULL, 't' },
		{ "monitor", no_argument, NULL, 'm' },
		{ "log-level", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (c == '?' || set_option(o, c, optarg)) {
			if (c != '?')
				fprintf(stderr, "vgpu-worker: option with unusable value '%s'; see --help\n", optarg);
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

static struct vgpu_worker_stats *map_stats(void)
{
	void *p = mmap(NULL, sizeof(struct vgpu_worker_stats), PROT_READ | PROT_WRITE, MAP_SHARED,
		       VGPU_WORKER_STATS_FD, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int send_ready(struct vgpu_io *io, const struct vgpu_device *d)
{
	struct vgpu_ctl_ready m = {
		.backend = d->backend, .device_count = d->count, .driver_version = d->driver_version,
		.range_count = d->range_count,
	};

	vgpu_msg_init(&m.h, VGPU_CTL_READY, sizeof(m));
	memcpy(m.ranges, d->ranges, sizeof(m.ranges));
	memcpy(m.device_name, d->name, sizeof(m.device_name));
	return vgpu_msg_send(io->control, &m.h, NULL, 0);
}

/* Serve the attached session to its end. */
static void serve(struct vgpu_session *s, struct vgpu_io *io, const struct options *o)
{
	enum vgpu_host_error error;
	char why[160];

	s->io = io;
	vgpu_io_note(io, VGPU_CTL_ATTACHED, VGPU_HOST_OK, "");
	if (o->kernel_timeout_ms)
		vgpu_timeout_start(s, io->control, o->kernel_timeout_ms * 1000000);
	vgpu_log(VGPU_LOG_INFO, NULL, "session begins, arena at %p", (void *)s->base);
	error = vgpu_loop_run(s, io, why, sizeof(why));
	vgpu_log(error == VGPU_HOST_PROTOCOL ? VGPU_LOG_WARNING : VGPU_LOG_INFO, NULL, "session ends: %s", why);
	vgpu_attach_end(s, error, why);
	vgpu_io_note(io, VGPU_CTL_ENDED, error, why);
}

static void set_ids(const struct vgpu_ctl_attach *a)
{
	struct vgpu_log_ids ids = { .has_vm = true, .vm_id = a->vm_id, .session = a->session };

	vgpu_log_set_ids(&ids);
}

/* One ATTACH. True: the guest went elsewhere, wait for another. */
static bool session(struct vgpu_device *device, struct vgpu_worker_stats *stats, struct vgpu_io *io,
		    const struct options *o)
{
	struct vgpu_session *s = vgpu_session_new(device, stats);
	enum vgpu_host_error error = VGPU_HOST_WORKER_DIED;
	char why[160] = "out of memory";
	int ret = s ? vgpu_io_watch(io, io->attach_fds[1], io->attach.wake_kind, io->attach.channel) : -ENOMEM;

	set_ids(&io->attach);
	if (device->monitor)
		device->monitor->memory_limit = io->attach.memory_limit;
	atomic_store(&stats->trace, io->attach.trace);
	if (!ret)
		ret = vgpu_attach(s, io, &io->attach, io->attach_fds[0], &error, why, sizeof(why));
	close(io->attach_fds[0]);
	if (!ret)
		serve(s, io, o);
	vgpu_io_unwatch(io);
	close(io->attach_fds[1]);
	if (ret == -EADDRINUSE)
		vgpu_io_note(io, VGPU_CTL_CONFLICT, VGPU_HOST_ADDRESS, "addresses are in use in the guest process");
	else if (ret)
		vgpu_io_note(io, VGPU_CTL_ENDED, error, why);
	if (ret && ret != -EADDRINUSE)
		vgpu_log(VGPU_LOG_WARNING, NULL, "no session: %s", why);
	vgpu_session_free(s);
	return ret == -EADDRINUSE;
}

static int work(struct vgpu_device *device, struct vgpu_worker_stats *stats, struct vgpu_io *io,
		const struct options *o)
{
	if (send_ready(io, device))
		return 1;
	while (!io->control_closed && !io->detach && !io->broken[0]) {
		if (vgpu_io_wait(io, -1))
			return 1;
		if (!io->attach_came)
			continue;
		io->attach_came = false;
		if (!session(device, stats, io, o))
			return 0;
	}
	if (io->broken[0])
		vgpu_log(VGPU_LOG_ERROR, NULL, "control socket: %s", io->broken);
	return 0;
}

static int open_device(struct vgpu_device *device, struct vgpu_io *io, const struct options *o, char *why, size_t size)
{
	static struct vgpu_monitor monitor;

	if (!o->monitor)
		return vgpu_device_open(device, io->stats, o->device, o->devices, (unsigned int)o->soft_devices, why, size);
	monitor.io = io;
	return vgpu_monitor_open(&monitor, device, o->device, o->devices, (unsigned int)o->soft_devices, why, size);
}

int main(int argc, char **argv)
{
	struct options o = { .device = VGPU_DEVICE_AUTO, .devices = "all", .soft_devices = 1 };
	static struct vgpu_device device;
	struct vgpu_worker_stats *stats;
	static struct vgpu_io io;
	char why[160];
	int ret;

	vgpu_log_init("worker", VGPU_LOG_INFO);
	if (parse_options(argc, argv, &o))
		return 2;
	if (o.device != VGPU_DEVICE_SOFT && !o.monitor)	/* that one reserves a place of its own */
		vgpu_maps_prepare(argv);
	stats = map_stats();
	if (!stats) {
		fprintf(stderr, "vgpu-worker: no stats page on descriptor %d; vgpu-mediator starts this program\n",
			VGPU_WORKER_STATS_FD);
		return 2;
	}
	vgpu_confine_descriptors(VGPU_WORKER_STATS_FD + 1);
	if (vgpu_output_catch()) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "no memory for what kernels print");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	ret = vgpu_io_init(&io, VGPU_WORKER_CONTROL_FD, stats);
	if (ret < 0) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "no io_uring: %s", strerror(-ret));
		return 1;
	}
	if (open_device(&device, &io, &o, why, sizeof(why)) ||
	    vgpu_confine(why, sizeof(why))) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "no device: %s", why);
		vgpu_io_note(&io, VGPU_CTL_FAILED, VGPU_HOST_NO_DEVICE, why);
		return 1;
	}
	ret = work(&device, stats, &io, &o);
	vgpu_io_exit(&io);
	return ret;
}
