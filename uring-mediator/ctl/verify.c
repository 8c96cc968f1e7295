/* SPDX-License-Identifier: MIT */
/*
 * vgpuctl verify: does the host hear the guest?  One table for each VM, the
 * counters of all hops side by side, and for every session that is behind
 * which hop saw its last call.  A session that moves is not broken, so what
 * looks stuck is looked at again before it is called so.
 */
#include <string.h>
#include <time.h>

#include "ctl.h"

#define LOOKS		5
#define PAUSE_NS	100000000L

static bool wanted(const struct ctl_options *o, struct json_object *session)
{
	return !o->session || o->session == get_number(session, "session");
}

static bool is_pci(struct json_object *vm)
{
	return !strcmp(get_text(vm, "transport"), "pci");
}

/* ---- looking again ---- */

static bool looks_broken(struct json_object *status)
{
	struct json_object *vms = get_child(status, "vms");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);
		struct json_object *list = get_child(vm, "sessions");

		for (size_t j = 0; j < json_object_array_length(list); j++) {
			struct verdict v;

			session_verdict(json_object_array_get_idx(list, j), is_pci(vm), &v);
			if (v.kind == VERDICT_BROKEN)
				return true;
		}
	}
	return false;
}

/* The status document, newer ones until nothing looks broken or enough time has passed. */
static struct json_object *look(int fd, struct json_object **first)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct json_object *s = ctl_request(fd, "status", 0, 0);

	*first = json_object_get(s);
	for (int i = 1; s && i < LOOKS && looks_broken(s); i++) {
		json_object_put(s);
		nanosleep(&pause, NULL);
		s = ctl_request(fd, "status", 0, 0);
	}
	return s;
}

/* ---- the table ---- */

static void show_table(const struct ctl_options *o, const struct counts *c)
{
	static const char *const marks[] = { [MARK_NONE] = "", [MARK_OK] = "ok", [MARK_DIFFERS] = "differs" };
	static const enum colour colours[] = {
		[MARK_NONE] = COLOUR_NONE, [MARK_OK] = COLOUR_GOOD, [MARK_DIFFERS] = COLOUR_NOTE,
	};
	struct hop_row rows[HOP_ROWS];

	hops_table(c, rows);
	printf("  %-7s %-20s %14s  %-8s%s\n", "hop", "what", "count", "", "compared with");
	for (size_t i = 0; i < HOP_ROWS; i++) {
		const struct hop_row *r = &rows[i];

		printf("  %-7s %-20s %14s", r->hop, r->what, r->known ? show_count(r->count) : "-");
		if (r->with[0])
			printf("  %s%-8s%s%s", colour_on(o, colours[r->mark]), marks[r->mark],
			       colour_off(o), r->with);
		printf("\n");
	}
}

static void show_wrapped(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column && column + 1 + word > 74) {
			printf("\n");
			column = 0;
		}
		printf("%s%.*s", column ? " " : "    ", (int)word, text);
		column += word + (column ? 1 : 0);
		text += word;
		text += strspn(text, " ");
	}
	printf("\n");
}

static void show_verdict(const struct ctl_options *o, struct json_object *s, const struct verdict *v)
{
	static const char *const names[] = {
		[VERDICT_IDLE] = "idle", [VERDICT_FINE] = "fine", [VERDICT_NOTE] = "note",
		[VERDICT_BROKEN] = "BROKEN",
	};
	static const enum colour colours[] = {
		[VERDICT_IDLE] = COLOUR_NOTE, [VERDICT_FINE] = COLOUR_GOOD, [VERDICT_NOTE] = COLOUR_NOTE,
		[VERDICT_BROKEN] = COLOUR_BAD,
	};

	printf("\n  %s%s%s  session %llu, '%s' pid %llu, VGPU_BATCH %s, %s %s %s\n",
	       colour_on(o, colours[v->kind]), names[v->kind], colour_off(o),
	       (unsigned long long)get_number(s, "session"), get_text(s, "name"),
	       (unsigned long long)get_number(s, "pid"), show_batch(s),
	       get_text(s, "state"), strcmp(get_text(s, "state"), "ended") ? "for" : "after",
	       show_time(get_number(s, "uptime_ms")));
	show_wrapped(v->text);
}

/* ---- a VM ---- */

struct tally {
	struct counts counts;
	uint32_t sessions;
	bool broken;
};

/* A session that moved since the first look is on its way, whatever it looked like. */
static void forgive_moving(struct json_object *first, struct json_object *s, struct verdict *v)
{
	struct json_object *before = status_session(first, get_number(s, "session"));

	if (v->kind == VERDICT_BROKEN && (!before || session_moved(before, s))) {
		v->kind = VERDICT_NOTE;
		snprintf(v->text, sizeof(v->text), "commands are on their way; look again.");
	}
}

static void add_session(struct tally *t, struct json_object *s, bool pci)
{
	struct counts c;

	counts_read(&c, get_child(s, "hops"), pci);
	counts_add(&t->counts, &c);
	t->sessions++;
}

static void judge(const struct ctl_options *o, struct json_object *first, struct json_object *s, bool pci,
		  bool matters, struct tally *t)
{
	struct verdict v;

	session_verdict(s, pci, &v);
	if (strcmp(get_text(s, "state"), "ended"))
		forgive_moving(first, s, &v);
	if (v.kind == VERDICT_BROKEN && !matters)
		v.kind = VERDICT_NOTE;
	t->broken |= v.kind == VERDICT_BROKEN;
	show_verdict(o, s, &v);
}

/* Numbers: of one session, or of all that the VM ever had. */
static void count_vm(const struct ctl_options *o, struct json_object *vm, struct tally *t)
{
	struct json_object *lists[] = { get_child(vm, "sessions"), get_child(vm, "ended") };
	bool pci = is_pci(vm);

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < json_object_array_length(lists[k]); i++) {
			struct json_object *s = json_object_array_get_idx(lists[k], i);

			/* The total of ended sessions also covers those that are not listed any more. */
			if (wanted(o, s) && (o->session || !k))
				add_session(t, s, pci);
		}
	if (!o->session) {
		struct counts ended;

		counts_read(&ended, get_child(vm, "ended_total"), pci);
		counts_add(&t->counts, &ended);
		t->sessions += (uint32_t)get_number(vm, "ended_count");
	}
}

static void judge_vm(const struct ctl_options *o, struct json_object *first, struct json_object *vm,
		     struct tally *t)
{
	struct json_object *live = get_child(vm, "sessions"), *ended = get_child(vm, "ended");
	size_t n = json_object_array_length(ended), lives = json_object_array_length(live);

	for (size_t i = 0; i < lives; i++)
		if (wanted(o, json_object_array_get_idx(live, i)))
			judge(o, first, json_object_array_get_idx(live, i), is_pci(vm), true, t);
	/* Of those that are gone, the newest counts when nobody came after it. */
	for (size_t i = 0; i < n; i++) {
		struct json_object *s = json_object_array_get_idx(ended, i);

		if (o->session ? wanted(o, s) : i + 1 == n && !lives)
			judge(o, first, s, is_pci(vm), true, t);
	}
}

static void show_heading(const struct ctl_options *o, struct json_object *status, struct json_object *vm)
{
	struct json_object *d = get_child(status, "device");

	printf("%s", colour_on(o, COLOUR_BOLD));
	if (is_pci(vm))
		printf("VM %llu '%s'", (unsigned long long)get_number(vm, "vm_id"), get_text(vm, "name"));
	else
		printf("Host and containers (unix transport)");
	printf("%s: %s now, %s ended\n", colour_off(o),
	       show_sessions_count(json_object_array_length(get_child(vm, "sessions"))), show_count(get_number(vm, "ended_count")));
	printf("computed by the %s device '%s'\n\n", get_text(d, "backend"), get_text(d, "name"));
}

static void verify_vm(const struct ctl_options *o, struct json_object *first, struct json_object *status,
		      struct json_object *vm, uint32_t *sessions, bool *broken)
{
	struct tally t = { .counts.pci = is_pci(vm) };

	if (o->vm_given && o->vm != get_number(vm, "vm_id"))
		return;
	count_vm(o, vm, &t);
	if (!t.sessions)
		return;
	if (*sessions)
		printf("\n");
	show_heading(o, status, vm);
	show_table(o, &t.counts);
	judge_vm(o, first, vm, &t);
	*sessions += t.sessions;
	*broken |= t.broken;
}

static void show_nothing(const struct ctl_options *o, struct json_object *status)
{
	struct json_object *vms = get_child(status, "vms");
	bool connected = false;

	for (size_t i = 0; i < json_object_array_length(vms); i++)
		connected |= get_flag(json_object_array_get_idx(vms, i), "connected");
	printf("%sBROKEN%s  no such session has reached the mediator.\n", colour_on(o, COLOUR_BAD),
	       colour_off(o));
	if (o->session || o->vm_given)
		printf("    vgpuctl status lists what there is.\n");
	else if (connected)
		printf("    A stub is connected, so look in the guest: is our libcuda.so.1 the one that is\n"
		       "    loaded (VGPU_LOG=debug), does lspci show the device, may the user open it?\n");
	else
		printf("    No stub is connected: is QEMU running with -device vgpu-stub,socket=%s?\n"
		       "    Without a VM: has the program our libcuda.so.1, and this path in VGPU_SOCKET_PATH?\n",
		       get_text(status, "socket"));
}

int ctl_verify(int fd, const struct ctl_options *o)
{
	struct json_object *first, *status = look(fd, &first), *vms;
	uint32_t sessions = 0;
	bool broken = false;

	if (!status) {
		json_object_put(first);
		return CTL_NO_MEDIATOR;
	}
	if (o->json) {
		puts(json_object_to_json_string_ext(status, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
		broken = looks_broken(status);
		sessions = 1;
	} else {
		vms = get_child(status, "vms");
		for (size_t i = 0; i < json_object_array_length(vms); i++)
			verify_vm(o, first, status, json_object_array_get_idx(vms, i), &sessions, &broken);
		if (!sessions)
			show_nothing(o, status);
	}
	json_object_put(status);
	json_object_put(first);
	return broken || !sessions ? CTL_BROKEN : CTL_FINE;
}
