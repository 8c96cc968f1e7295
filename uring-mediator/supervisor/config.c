/* SPDX-License-Identifier: MIT */
/*
 * Settings: one table for the command line and the file, one parser for each
 * kind of value.  Used at start-up and for a reload, by the single thread.
 */
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vgpu/shm.h>
#include <vgpu/socket.h>

#include "config.h"
#include "log.h"

#define AT(field) offsetof(struct config, field), sizeof(((struct config *)0)->field)

enum kind { KIND_TEXT, KIND_DEVICE, KIND_MODE, KIND_COUNT, KIND_SECONDS, KIND_SIZE, KIND_UIDS, KIND_LEVEL, KIND_SWITCH,
	    KIND_PAGES, KIND_DEVICES };

struct setting {
	const char *name;
	enum kind kind;
	size_t offset, size;
	bool reload;		/* may change while running */
	const char *value;	/* its name in --help */
	const char *help;
};

static const struct setting settings[] = {
	{ "socket", KIND_TEXT, AT(socket), false, "PATH",
	  "socket for QEMU and for containers (VGPU_SOCKET_PATH, /run/vgpu/mediator.sock)" },
	{ "control", KIND_TEXT, AT(control), false, "PATH",
	  "socket for vgpuctl (control.sock beside the other one)" },
	{ "socket-mode", KIND_MODE, AT(socket_mode), false, "OCTAL", "permissions of the socket (0660)" },
	{ "socket-group", KIND_TEXT, AT(socket_group), false, "GROUP", "group of the socket" },
	{ "allow-uids", KIND_UIDS, AT(allow_uids), true, "LIST",
	  "numeric user ids that may connect, by commas (whoever the mode admits)" },
	{ "device", KIND_DEVICE, AT(device), false, "auto|cuda|soft", "what computes (auto)" },
	{ "devices", KIND_DEVICES, AT(devices), false, "LIST",
	  "GPUs offered: ordinals or UUIDs, by commas (all)" },
	{ "soft-devices", KIND_COUNT, AT(soft_devices), false, "N", "devices of the soft device, 1 to 8 (1)" },
	{ "kernel-timeout", KIND_SECONDS, AT(kernel_timeout_ms), true, "SECONDS",
	  "how long a kernel may run before its session is ended, 0 = for ever (0)" },
	{ "worker", KIND_TEXT, AT(worker), false, "PATH", "the program vgpu-worker" },
	{ "pool", KIND_COUNT, AT(pool), true, "N", "workers kept ready (2)" },
	{ "max-sessions", KIND_COUNT, AT(max_sessions), true, "N", "sessions at once (1024)" },
	{ "max-sessions-vm", KIND_COUNT, AT(max_sessions_vm), true, "N", "sessions at once of each VM (64)" },
	{ "memory-limit", KIND_SIZE, AT(memory_limit), true, "SIZE",
	  "device memory of a session, 0 = no limit (0)" },
	{ "huge-pages", KIND_PAGES, AT(huge_pages), true, "auto|never|always",
	  "reserved huge pages for shared memory without a VM (auto)" },
	{ "register-ahead", KIND_SIZE, AT(register_ahead), true, "SIZE",
	  "pinned memory of a session made usable for the device before it is asked for (64M)" },
	{ "image-store", KIND_SIZE, AT(image_store), true, "SIZE",
	  "code of each VM kept for its next processes, which need not send it again, 0 = none (512M)" },
	{ "shm-size", KIND_SIZE, AT(shm_size), true, "SIZE",
	  "shared memory of a session without a VM (1G)" },
	{ "shm-limit", KIND_SIZE, AT(shm_limit), true, "SIZE",
	  "the most shared memory that such a session may ask for (16G)" },
	{ "start-timeout", KIND_COUNT, AT(start_timeout_ms), true, "MS",
	  "how long a session or a worker may take to start (30000)" },
	{ "log-level", KIND_LEVEL, AT(log_level), true, "LEVEL",
	  "error, warning, notice, info, debug (info)" },
	{ "sqpoll", KIND_SWITCH, AT(sqpoll), false, NULL, "let a kernel thread submit I/O" },
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

struct error {
	char *text;
	size_t size;
};

static int fail(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The first error is the one that is shown. */
static int fail(struct error *e, const char *fmt, ...)
{
	va_list ap;

	if (e->text[0])
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(e->text, e->size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- values ---- */

static int parse_number(const char *text, int base, uint64_t max, uint64_t *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, base);
	return errno || *end || *value > max ? -EINVAL : 0;
}

int config_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (!*end)
		return 0;
	unit = strchr(units, *end);
	if (!unit || end[1] || *bytes > UINT64_MAX >> (10 * (unit - units + 1)))
		return -EINVAL;
	*bytes <<= 10 * (unit - units + 1);
	return 0;
}

/* Seconds with decimals, to milliseconds. */
static int parse_seconds(const char *text, uint32_t *ms)
{
	char *end;
	unsigned long n;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || n > 1000000)
		return -EINVAL;
	n *= 1000;
	if (*end == '.')
		for (unsigned int unit = 100; *++end >= '0' && *end <= '9'; unit /= 10)
			n += (unsigned long)(*end - '0') * unit;
	if (*end)
		return -EINVAL;
	*ms = (uint32_t)n;
	return 0;
}

static int parse_uids(struct config *c, const char *text)
{
	const char *at = text;

	c->allow_uid_count = 0;
	while (*at) {
		char *end;
		unsigned long uid;

		errno = 0;
		uid = strtoul(at, &end, 10);
		if (errno || end == at || uid > UINT_MAX || (*end && *end != ',') ||
		    c->allow_uid_count == CONFIG_MAX_UIDS)
			return -EINVAL;
		c->allow_uids[c->allow_uid_count++] = (uid_t)uid;
		at = *end ? end + 1 : end;
	}
	return c->allow_uid_count ? 0 : -EINVAL;	/* none would be everybody */
}

static int set_text(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (!len || len >= size)
		return -EINVAL;
	memset(to, 0, size);	/* whole fields are compared by a reload */
	memcpy(to, text, len);
	return 0;
}

static int set_device(char *to, size_t size, const char *text)
{
	if (strcmp(text, "auto") && strcmp(text, "cuda") && strcmp(text, "soft"))
		return -EINVAL;
	return set_text(to, size, text);
}

/* What the worker would refuse; which of them exist says its driver. */
static int set_devices(char *to, size_t size, const char *text)
{
	if (strcmp(text, "all") && strspn(text, "0123456789abcdefABCDEFGPU-,") != strlen(text))
		return -EINVAL;
	return set_text(to, size, text);
}

static int set_pages(enum config_pages *to, const char *text)
{
	static const char *const names[] = { "auto", "never", "always" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]))
			continue;
		*to = (enum config_pages)i;
		return 0;
	}
	return -EINVAL;
}

static int set_switch(bool *to, const char *text)
{
	*to = !strcmp(text, "yes");
	return *to || !strcmp(text, "no") ? 0 : -EINVAL;
}

static int set_value(struct config *c, const struct setting *s, const char *text)
{
	void *field = (char *)c + s->offset;
	uint64_t n;
	int ret = 0;

	switch (s->kind) {
	case KIND_TEXT:
		return set_text(field, s->size, text);
	case KIND_DEVICE:
		return set_device(field, s->size, text);
	case KIND_MODE:
		ret = parse_number(text, 8, 0777, &n);
		if (!ret)
			*(mode_t *)field = (mode_t)n;
		return ret;
	case KIND_COUNT:
		ret = parse_number(text, 10, 1000000, &n);
		if (!ret)
			*(uint32_t *)field = (uint32_t)n;
		return ret;
	case KIND_SECONDS:
		return parse_seconds(text, field);
	case KIND_SIZE:
		return config_parse_size(text, field);
	case KIND_UIDS:
		return parse_uids(c, text);
	case KIND_LEVEL:
		*(int *)field = vgpu_log_level_parse(text);
		return *(int *)field < 0 ? -EINVAL : 0;
	case KIND_SWITCH:
		return set_switch(field, text);
	case KIND_PAGES:
		return set_pages(field, text);
	case KIND_DEVICES:
		return set_devices(field, s->size, text);
	}
	return -EINVAL;
}

static const char *kind_wants(const struct setting *s)
{
	static const char *const wants[] = {
		[KIND_TEXT] = "a text that is not empty and not too long",
		[KIND_DEVICE] = "auto, cuda or soft",
		[KIND_MODE] = "an octal mode such as 0660",
		[KIND_COUNT] = "a number up to 1000000",
		[KIND_SECONDS] = "seconds up to 1000000, such as 30 or 0.5",
		[KIND_SIZE] = "a size such as 64M or 2G",
		[KIND_UIDS] = "numeric user ids separated by commas",
		[KIND_LEVEL] = "error, warning, notice, info or debug",
		[KIND_SWITCH] = "yes or no",
		[KIND_PAGES] = "auto, never or always",
		[KIND_DEVICES] = "all, or ordinals or UUIDs (GPU-...) separated by commas",
	};

	return wants[s->kind];
}

/* ---- the file ---- */

struct file_reader {
	struct config *config;
	struct error *error;
	char problem[512];
};

static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (!strcmp(settings[i].name, name))
			return &settings[i];
	return NULL;
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein distance of two short names. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[64], n = (unsigned int)strlen(b);

	if (n >= 64)
		return UINT_MAX;
	for (unsigned int j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned int i = 1; a[i - 1]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= n; j++) {
			unsigned int up = row[j];

			row[j] = min3(row[j] + 1, row[j - 1] + 1,
				      diagonal + (a[i - 1] != b[j - 1]));
			diagonal = up;
		}
	}
	return row[n];
}

static const char *nearest(const char *name)
{
	const char *best = NULL;
	unsigned int least = 4;

	for (size_t i = 0; i < SETTINGS; i++) {
		unsigned int d = distance(name, settings[i].name);

		if (d < least) {
			least = d;
			best = settings[i].name;
		}
	}
	return best;
}

static int unknown_key(struct file_reader *r, const char *name)
{
	const char *near = nearest(name);

	snprintf(r->problem, sizeof(r->problem), "unknown key '%s'%s%s%s", name,
		 near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	return 0;
}

static int unusable_value(struct file_reader *r, const struct setting *s, const char *value)
{
	snprintf(r->problem, sizeof(r->problem), "%s = %s: must be %s", s->name, value, kind_wants(s));
	return 0;
}

static struct config_vm *vm_entry(struct config *c, uint32_t vm_id)
{
	for (uint32_t i = 0; i < c->vm_count; i++)
		if (c->vms[i].vm_id == vm_id)
			return &c->vms[i];
	if (c->vm_count == CONFIG_MAX_VMS)
		return NULL;
	c->vms[c->vm_count] = (struct config_vm){ .vm_id = vm_id };
	return &c->vms[c->vm_count++];
}

static int file_vm_value(struct file_reader *r, const char *section, const char *name,
			 const char *value)
{
	struct config_vm *vm;
	uint64_t id, n = 0;

	if (parse_number(section + 3, 10, UINT32_MAX, &id) || !(vm = vm_entry(r->config, (uint32_t)id))) {
		snprintf(r->problem, sizeof(r->problem), "section [%s]: not a VM number, or too many", section);
		return 0;
	}
	if (!strcmp(name, "max-sessions")) {
		if (!parse_number(value, 10, 1000000, &n)) {
			vm->max_sessions = (uint32_t)n;
			return 1;
		}
	} else if (!strcmp(name, "memory-limit")) {
		if (!config_parse_size(value, &vm->memory_limit))
			return 1;
	} else {
		snprintf(r->problem, sizeof(r->problem),
			 "unknown key '%s': those of a VM are max-sessions and memory-limit", name);
		return 0;
	}
	return unusable_value(r, find_setting(name), value);
}

/* inih: 1 = fine, 0 = error in this line. */
static int file_value(void *user, const char *section, const char *name, const char *value)
{
	struct file_reader *r = user;
	const struct setting *s;

	if (r->problem[0])
		return 0;
	if (!strncmp(section, "vm ", 3))
		return file_vm_value(r, section, name, value);
	if (strcmp(section, "mediator")) {
		if (section[0])
			snprintf(r->problem, sizeof(r->problem),
				 "section [%s]: the sections are [mediator] and [vm N]", section);
		else
			snprintf(r->problem, sizeof(r->problem), "'%s' stands before any section, such as [mediator]", name);
		return 0;
	}
	s = find_setting(name);
	if (!s)
		return unknown_key(r, name);
	return set_value(r->config, s, value) ? unusable_value(r, s, value) : 1;
}

static int read_file(struct config *c, struct error *e)
{
	struct file_reader r = { .config = c, .error = e };
	FILE *f = fopen(c->file, "re");
	int line, error;

	if (!f)
		return fail(e, "%s: %s", c->file, strerror(errno));
	line = ini_parse_file(f, file_value, &r);
	/* A folder opens and has no lines. */
	error = ferror(f) ? errno : 0;
	fclose(f);
	if (error)
		return fail(e, "%s: %s", c->file, strerror(error));
	if (!line)
		return 0;
	return fail(e, "%s:%d: %s", c->file, line,
		    r.problem[0] ? r.problem : "neither [section], key = value nor comment");
}

/* ---- the command line ---- */

enum { OPT_CONFIG = 1000, OPT_HELP, OPT_VERSION, OPT_SETTING };

static void make_options(struct option *o)
{
	for (size_t i = 0; i < SETTINGS; i++)
		*o++ = (struct option){ settings[i].name,
					settings[i].kind == KIND_SWITCH ? no_argument : required_argument,
					NULL, OPT_SETTING + (int)i };
	*o++ = (struct option){ "config", required_argument, NULL, OPT_CONFIG };
	*o++ = (struct option){ "help", no_argument, NULL, OPT_HELP };
	*o++ = (struct option){ "version", no_argument, NULL, OPT_VERSION };
	*o = (struct option){ 0 };
}

static void show_help(void)
{
	printf("Usage: vgpu-mediator [OPTION]...\n"
	       "Serve the host's GPU to virtual machines and containers.\n\n"
	       "  --config FILE\n        settings as `key = value' below [mediator]; keys are the\n"
	       "        names of the options\n");
	for (size_t i = 0; i < SETTINGS; i++)
		printf("  --%s%s%s\n        %s\n", settings[i].name, settings[i].value ? " " : "",
		       settings[i].value ? settings[i].value : "", settings[i].help);
	printf("  --help, --version\n\n"
	       "Sizes take K, M, G or T. It stays in the foreground; SIGHUP reads the settings\n"
	       "again, SIGTERM ends it. See vgpu-mediator(8).\n");
}

/* Only --config, --help and --version: they decide what happens to the rest. */
static enum config_result first_pass(struct config *c, int argc, char **argv,
				     const struct option *options, struct error *e)
{
	int o;

	opterr = 0;
	optind = 0;
	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (o == OPT_HELP) {
			show_help();
			return CONFIG_SHOWN;
		}
		if (o == OPT_VERSION) {
			printf("vgpu-mediator %s (protocol %u.%u)\n", VGPU_VERSION,
			       VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
			return CONFIG_SHOWN;
		}
		if (o == ':' || o == '?')
			fail(e, "%s: %s (see --help)", argv[optind - 1],
			     o == ':' ? "a value is missing" : "no such option");
		else if (o == OPT_CONFIG && set_text(c->file, sizeof(c->file), optarg))
			fail(e, "--config: the path is empty or too long");
	}
	if (optind < argc)
		fail(e, "%s: there are only options (see --help)", argv[optind]);
	return e->text[0] ? CONFIG_BAD : CONFIG_RUN;
}

static int second_pass(struct config *c, int argc, char **argv, const struct option *options,
		       struct error *e)
{
	int o;

	optind = 0;
	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		const struct setting *s;

		if (o < OPT_SETTING)
			continue;
		s = &settings[o - OPT_SETTING];
		if (set_value(c, s, s->kind == KIND_SWITCH ? "yes" : optarg))
			return fail(e, "--%s %s: must be %s", s->name, optarg, kind_wants(s));
	}
	return 0;
}

/* ---- all of it ---- */

static void set_defaults(struct config *c)
{
	const char *env = getenv("VGPU_SOCKET_PATH");

	*c = (struct config){
		.device = "auto", .devices = "all", .socket_mode = 0660, .pool = 2, .soft_devices = 1,
		.max_sessions = 1024, .max_sessions_vm = VGPU_MAX_CHANNELS,
		.start_timeout_ms = 30000, .shm_size = VGPU_SHM_DEFAULT_SIZE,
		.shm_limit = 16ull << 30, .register_ahead = 64ull << 20, .image_store = 512ull << 20, .log_level = VGPU_LOG_INFO,
	};
	snprintf(c->socket, sizeof(c->socket), "%s", VGPU_DEFAULT_SOCKET);
	if (env && env[0] && set_text(c->socket, sizeof(c->socket), env))
		c->socket[0] = 0;	/* too long: whatever names the socket now, it is not the default */
}

static int derive_control(struct config *c, struct error *e)
{
	static const char name[] = "control.sock";
	const char *slash = strrchr(c->socket, '/');
	int dir = slash ? (int)(slash - c->socket) + 1 : 0;

	if (c->control[0])
		return 0;
	if ((size_t)dir + sizeof(name) > sizeof(c->control))
		return fail(e, "--socket %s: too long to derive the control socket's path, give --control",
			    c->socket);
	snprintf(c->control, sizeof(c->control), "%.*s%s", dir, c->socket, name);
	return 0;
}

/* Beside our own program, in the folder that was installed (and may have been moved), else where it was to be installed. */
static void derive_worker(struct config *c)
{
	static const char *const beside[] = {
		"/vgpu-worker", "/worker/vgpu-worker", "/../libexec/vgpu/vgpu-worker",
	};
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (c->worker[0])
		return;
	self[n > 0 ? n : 0] = 0;
	if (n > 0)
		*strrchr(self, '/') = 0;
	for (size_t i = 0; n > 0 && i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(c->worker, sizeof(c->worker), "%s%s", self, beside[i]);
		if (!access(c->worker, X_OK))
			return;
	}
	snprintf(c->worker, sizeof(c->worker), "%s/vgpu-worker", VGPU_LIBEXECDIR);
}

static int check(struct config *c, struct error *e)
{
	struct vgpu_shm_geometry g;

	if (!strcmp(c->device, "soft") && strcmp(c->devices, "all"))
		return fail(e, "devices %s: this chooses GPUs; how many devices the soft device has is soft-devices",
			    c->devices);
	if (vgpu_shm_geometry(&g, c->shm_size, 1))
		return fail(e, "shm-size %llu: must be a power of two from 64M to 64G",
			    (unsigned long long)c->shm_size);
	if (!c->soft_devices || c->soft_devices > 8)
		return fail(e, "soft-devices must be from 1 to 8");
	if (c->shm_limit < c->shm_size)
		return fail(e, "shm-limit is less than shm-size");
	if (!c->max_sessions || !c->start_timeout_ms)
		return fail(e, "max-sessions and start-timeout must not be 0");
	if (!c->socket[0])
		return fail(e, "VGPU_SOCKET_PATH: the path is longer than %zu bytes", sizeof(c->socket) - 1);
	if (!strcmp(c->socket, c->control))
		return fail(e, "socket and control are the same path");
	return 0;
}

enum config_result config_load(struct config *c, int argc, char **argv, char *text, size_t text_size)
{
	struct option options[SETTINGS + 4];
	struct error e = { .text = text, .size = text_size };
	enum config_result result;

	text[0] = 0;
	set_defaults(c);
	make_options(options);
	result = first_pass(c, argc, argv, options, &e);
	if (result != CONFIG_RUN)
		return result;
	if (c->file[0] && read_file(c, &e))
		return CONFIG_BAD;
	if (second_pass(c, argc, argv, options, &e) || derive_control(c, &e))
		return CONFIG_BAD;
	derive_worker(c);
	return check(c, &e) ? CONFIG_BAD : CONFIG_RUN;
}

void config_reload(struct config *now, const struct config *next, char *names, size_t size)
{
	size_t len = 0;

	names[0] = 0;
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		char *to = (char *)now + s->offset;
		const char *from = (const char *)next + s->offset;

		if (!memcmp(to, from, s->size))
			continue;
		if (s->reload)
			memcpy(to, from, s->size);
		else if (len < size)
			len += (size_t)snprintf(names + len, size - len, "%s%s", len ? " " : "", s->name);
	}
	now->allow_uid_count = next->allow_uid_count;
	memcpy(now->vms, next->vms, sizeof(now->vms));
	now->vm_count = next->vm_count;
}

static const struct config_vm *find_vm(const struct config *c, uint32_t vm_id)
{
	for (uint32_t i = 0; i < c->vm_count; i++)
		if (c->vms[i].vm_id == vm_id)
			return &c->vms[i];
	return NULL;
}

uint32_t config_vm_sessions(const struct config *c, uint32_t vm_id)
{
	const struct config_vm *vm = find_vm(c, vm_id);

	return vm && vm->max_sessions ? vm->max_sessions : c->max_sessions_vm;
}

uint64_t config_vm_memory(const struct config *c, uint32_t vm_id)
{
	const struct config_vm *vm = find_vm(c, vm_id);

	return vm && vm->memory_limit ? vm->memory_limit : c->memory_limit;
}

bool config_uid_allowed(const struct config *c, uid_t uid)
{
	if (!c->allow_uid_count)
		return true;
	for (uint32_t i = 0; i < c->allow_uid_count; i++)
		if (c->allow_uids[i] == uid)
			return true;
	return false;
}
