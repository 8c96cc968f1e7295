/* SPDX-License-Identifier: MIT */
/* vgpuctl: options and commands. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vgpu/shm.h>
#include <vgpu/socket.h>

#include "ctl.h"

static const struct command {
	const char *name;
	int (*run)(int fd, const struct ctl_options *o);
	bool session_needed;
} commands[] = {
	{ "status", ctl_status, false },
	{ "verify", ctl_verify, false },
	{ "trace", ctl_trace, false },
	{ "kill", ctl_kill, true },
};

enum { OPT_CONTROL = 1000, OPT_JSON, OPT_VM, OPT_SESSION, OPT_FOLLOW, OPT_CHROME, OPT_SECONDS, OPT_HELP,
       OPT_VERSION };

static const struct option options[] = {
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "vm", required_argument, NULL, OPT_VM },
	{ "session", required_argument, NULL, OPT_SESSION },
	{ "follow", no_argument, NULL, OPT_FOLLOW },
	{ "chrome", required_argument, NULL, OPT_CHROME },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

static void show_help(void)
{
	puts("Usage: vgpuctl [OPTION]... COMMAND\n"
	     "Ask a running vgpu-mediator.\n\n"
	     "  status          mediator, device, VMs and sessions\n"
	     "  verify          what each hop counted, and which one is broken if one is\n"
	     "  trace           calls as they are executed\n"
	     "  kill SESSION    end a session\n\n"
	     "  --control PATH  the mediator's control socket\n"
	     "                  (beside VGPU_SOCKET_PATH, else " VGPU_DEFAULT_CONTROL ")\n"
	     "  --vm N, --session N\n"
	     "                  only this VM, only this session\n"
	     "  --json          the mediator's answer as JSON\n"
	     "  --seconds S     trace: how long to collect (2)\n"
	     "  --follow        trace: until interrupted\n"
	     "  --chrome FILE   trace: write FILE for chrome://tracing instead\n"
	     "  --help, --version\n\n"
	     "Exit status: 0 fine, 1 a hop is broken or the request failed, 2 usage,\n"
	     "3 no mediator. See vgpuctl(1).");
}

static int parse_u32(const char *text, uint32_t *n)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || v > UINT32_MAX)
		return -EINVAL;
	*n = (uint32_t)v;
	return 0;
}

static int parse_seconds(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end == text || *end || !(*seconds >= 0 && *seconds <= 1e6) ? -EINVAL : 0;	/* a NaN neither */
}

/* 0, or -EINVAL for a value that makes no sense. */
static int take_option(struct ctl_options *o, int opt, const char *value)
{
	switch (opt) {
	case OPT_CONTROL:
		o->control = value;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_VM:
		o->vm_given = true;
		return parse_u32(value, &o->vm);
	case OPT_SESSION:
		return parse_u32(value, &o->session);
	case OPT_FOLLOW:
		o->follow = true;
		return 0;
	case OPT_CHROME:
		o->chrome = value;
		return 0;
	case OPT_SECONDS:
		return parse_seconds(value, &o->seconds);
	}
	return -EINVAL;
}

static const char *default_control(void)
{
	static char path[PATH_MAX];
	const char *env = getenv("VGPU_SOCKET_PATH");
	const char *slash = env ? strrchr(env, '/') : NULL;

	if (!env || !env[0])
		return VGPU_DEFAULT_CONTROL;
	snprintf(path, sizeof(path), "%.*scontrol.sock", slash ? (int)(slash - env) + 1 : 0, env);
	return path;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int usage(const char *text, const char *what)
{
	fprintf(stderr, "vgpuctl: %s%s%s (see --help)\n", what, what[0] ? ": " : "", text);
	return CTL_USAGE;
}

static int run(const struct command *c, const struct ctl_options *o)
{
	int fd = ctl_connect(o->control);
	int ret;

	if (fd < 0)
		return CTL_NO_MEDIATOR;
	ret = c->run(fd, o);
	close(fd);
	/* Half an answer is none, whatever it said. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "vgpuctl: the answer could not be written\n");
		ret = CTL_BROKEN;
	}
	return ret;
}

/* What follows the options: the command and, for kill, the session. */
static int operands(int argc, char **argv, struct ctl_options *o)
{
	const struct command *c;

	if (!argc)
		return usage("which command?", "");
	c = find_command(argv[0]);
	if (!c)
		return usage("no such command", argv[0]);
	if (c->session_needed && argc == 2 && parse_u32(argv[1], &o->session))
		return usage("not a session number", argv[1]);
	if (argc > (c->session_needed ? 2 : 1))
		return usage("one argument too many", argv[argc - 1]);
	if (c->session_needed && !o->session)
		return usage("which session?", argv[0]);
	return run(c, o);
}

int main(int argc, char **argv)
{
	struct ctl_options o = { .control = default_control(), .seconds = 2 };
	const char *no_color = getenv("NO_COLOR");
	int opt;

	o.colour = isatty(STDOUT_FILENO) && !(no_color && no_color[0]);
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			show_help();
			return CTL_FINE;
		}
		if (opt == OPT_VERSION) {
			printf("vgpuctl %s (protocol %u.%u)\n", VGPU_VERSION, VGPU_PROTOCOL_MAJOR,
			       VGPU_PROTOCOL_MINOR);
			return CTL_FINE;
		}
		if (opt == '?')
			return usage("no such option, or its value is missing", argv[optind - 1]);
		if (take_option(&o, opt, optarg))
			return usage("not a valid value", optarg);
	}
	return operands(argc - optind, argv + optind, &o);
}
