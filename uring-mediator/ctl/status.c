/* SPDX-License-Identifier: MIT */
/* vgpuctl status and kill. */
#include <string.h>

#include "ctl.h"

struct json_object *status_session(struct json_object *status, uint64_t id)
{
	struct json_object *vms = get_child(status, "vms");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *list = get_child(json_object_array_get_idx(vms, i), "sessions");

		for (size_t j = 0; j < json_object_array_length(list); j++) {
			struct json_object *s = json_object_array_get_idx(list, j);

			if (get_number(s, "session") == id)
				return s;
		}
	}
	return NULL;
}

struct json_object *status_vm(struct json_object *status, uint64_t id)
{
	struct json_object *vms = get_child(status, "vms");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);

		if (get_number(vm, "vm_id") == id)
			return vm;
	}
	return NULL;
}

static void show_device(struct json_object *status)
{
	struct json_object *d = get_child(status, "device");
	struct json_object *p = get_child(status, "pool");
	const char *failure = get_text(p, "last_failure");

	if (get_flag(d, "known"))
		printf("device      %s '%s', %s of them, driver API %s (--device %s)\n", get_text(d, "backend"),
		       get_text(d, "name"), show_count(get_number(d, "count")),
		       show_driver(get_number(d, "driver")), get_text(d, "asked"));
	else
		printf("device      not known yet: no worker has been ready (--device %s)\n",
		       get_text(d, "asked"));
	printf("pool        %s ready, %s starting, target %s\n", show_count(get_number(p, "ready")),
	       show_count(get_number(p, "starting")), show_count(get_number(p, "target")));
	if (get_number(p, "worker_resident"))
		printf("            a ready worker has %s of the host's memory\n",
		       show_bytes(get_number(p, "worker_resident")));
	if (failure[0])
		printf("            %s starts failed in a row, the last: %s\n",
		       show_count(get_number(p, "failures")), failure);
}

static void show_session(const struct ctl_options *o, struct json_object *s)
{
	struct json_object *h = get_child(s, "hops");
	const char *state = get_text(s, "state");
	uint64_t limit = get_number(s, "memory_limit");
	enum colour c = strcmp(state, "running") ? COLOUR_NOTE : COLOUR_GOOD;

	if (o->session && o->session != get_number(s, "session"))
		return;
	printf("  %7llu %-15.15s %7llu %s%-8s%s %8s/%-8s %12s  %s\n",
	       (unsigned long long)get_number(s, "session"), get_text(s, "name"),
	       (unsigned long long)get_number(s, "pid"), colour_on(o, c), state, colour_off(o),
	       show_bytes(get_number(s, "memory_used")), limit ? show_bytes(limit) : "no limit",
	       show_count(get_number(h, "worker_commands")), show_batch(s));
}

/* The economy of the way: what was published, what it took to have it executed, and what waiting for it took. */
static void show_way(const struct ctl_options *o, struct json_object *s)
{
	struct json_object *h = get_child(s, "hops");

	if (o->session && o->session != get_number(s, "session"))
		return;
	printf("  %7llu %12s %10s %10s %10s %10s %12s %10s %11s %11s\n", (unsigned long long)get_number(s, "session"),
	       show_count(get_number(h, "guest_commands")), show_count(get_number(h, "guest_doorbells")),
	       get_flag(h, "stub_known") ? show_count(get_number(h, "stub_wakes")) : "-",
	       show_count(get_number(h, "worker_wakes")), show_count(get_number(h, "worker_sleeps")),
	       show_count(get_number(h, "worker_polls")), show_count(get_number(h, "worker_fences")),
	       get_text(h, "doorbells_per_1000"), get_text(h, "messages_per_1000"));
}

static void show_sessions(const struct ctl_options *o, struct json_object *sessions)
{
	size_t n = json_object_array_length(sessions);

	if (!n) {
		printf("  no sessions now\n");
		return;
	}
	printf("  session process             pid state      memory/limit         commands  batch\n");
	for (size_t i = 0; i < n; i++)
		show_session(o, json_object_array_get_idx(sessions, i));
	printf("  session    published  doorbells   messages    wakeups     sleeps        polls     fences bells/1,000 wakes/1,000\n");
	for (size_t i = 0; i < n; i++)
		show_way(o, json_object_array_get_idx(sessions, i));
}

/* Code that the next process need not send; shown when there is some. */
static void show_images(struct json_object *vm)
{
	struct json_object *i = get_child(vm, "images");
	uint64_t spared = get_number(get_child(vm, "ended_total"), "image_bytes_spared");
	struct json_object *sessions = get_child(vm, "sessions");

	for (size_t n = 0; n < json_object_array_length(sessions); n++)
		spared += get_number(get_child(json_object_array_get_idx(sessions, n), "hops"), "image_bytes_spared");
	if (!get_number(i, "count") && !spared)
		return;
	printf("  %s images of code kept, %s", show_count(get_number(i, "count")), show_bytes(get_number(i, "bytes")));
	printf(" (at most %s); found %s times", show_bytes(get_number(i, "limit")), show_count(get_number(i, "found")));
	printf(", %s not sent again\n", show_bytes(spared));
}

static void show_vm(const struct ctl_options *o, struct json_object *vm)
{
	bool pci = !strcmp(get_text(vm, "transport"), "pci");

	if (o->vm_given && o->vm != get_number(vm, "vm_id"))
		return;
	if (pci)
		printf("\n%sVM %llu '%s'%s, %s; %s ended\n", colour_on(o, COLOUR_BOLD),
		       (unsigned long long)get_number(vm, "vm_id"), get_text(vm, "name"), colour_off(o),
		       get_flag(vm, "connected") ? "connected" : "gone",
		       show_sessions_count(get_number(vm, "ended_count")));
	else
		printf("\n%sHost and containers%s (unix transport); %s ended\n",
		       colour_on(o, COLOUR_BOLD), colour_off(o), show_sessions_count(get_number(vm, "ended_count")));
	if (get_flag(vm, "connected"))
		printf("  QEMU pid %llu, %s shared, %s channels; %s of device memory in use\n",
		       (unsigned long long)get_number(vm, "pid"), show_bytes(get_number(vm, "shm_size")),
		       show_count(get_number(vm, "channels")), show_bytes(get_number(vm, "memory_used")));
	if (get_flag(vm, "connected") && !get_flag(vm, "stub_answers"))
		printf("  %sthe stub does not answer%s\n", colour_on(o, COLOUR_BAD), colour_off(o));
	show_images(vm);
	show_sessions(o, get_child(vm, "sessions"));
}

static void show_status(const struct ctl_options *o, struct json_object *s)
{
	struct json_object *vms = get_child(s, "vms");

	printf("mediator    %s, protocol %llu.%llu, pid %llu, up %s\n", get_text(s, "version"),
	       (unsigned long long)get_number(s, "protocol_major"),
	       (unsigned long long)get_number(s, "protocol_minor"),
	       (unsigned long long)get_number(s, "pid"), show_time(get_number(s, "uptime_ms")));
	printf("socket      %s\n", get_text(s, "socket"));
	show_device(s);
	printf("sessions    %s now (at most %s), %s so far, %s refused; %s protocol violations\n",
	       show_count(get_number(s, "session_count")), show_count(get_number(s, "max_sessions")),
	       show_count(get_number(s, "sessions_total")), show_count(get_number(s, "sessions_refused")),
	       show_count(get_number(s, "violations")));
	for (size_t i = 0; i < json_object_array_length(vms); i++)
		show_vm(o, json_object_array_get_idx(vms, i));
}

/* Does what --vm and --session ask for exist? If not, it is said. */
static bool chosen_exists(const struct ctl_options *o, struct json_object *s)
{
	if (o->vm_given && !status_vm(s, o->vm))
		fprintf(stderr, "vgpuctl: VM %u: no such VM has reached the mediator\n", o->vm);
	else if (o->session && !status_session(s, o->session))
		fprintf(stderr, "vgpuctl: session %u: there is no such session now\n", o->session);
	else
		return true;
	return false;
}

int ctl_status(int fd, const struct ctl_options *o)
{
	struct json_object *s = ctl_request(fd, "status", 0, 0);
	int ret = CTL_FINE;

	if (!s)
		return CTL_NO_MEDIATOR;
	if (o->json)
		puts(json_object_to_json_string_ext(s, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!chosen_exists(o, s))
		ret = CTL_BROKEN;
	else
		show_status(o, s);
	json_object_put(s);
	return ret;
}

int ctl_kill(int fd, const struct ctl_options *o)
{
	struct json_object *a = ctl_request(fd, "kill", o->session, 0);
	const char *error;
	int ret;

	if (!a)
		return CTL_NO_MEDIATOR;
	error = ctl_error(a);
	if (error)
		fprintf(stderr, "vgpuctl: session %u: %s\n", o->session, error);
	ret = error ? CTL_BROKEN : CTL_FINE;
	json_object_put(a);
	return ret;
}
