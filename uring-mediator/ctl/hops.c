/* SPDX-License-Identifier: MIT */
/*
 * What the hops' counters say: side by side for people, and as a verdict.
 * Pure functions of the status document.
 *
 * The path is whole when every command that the guest published was
 * executed.  Doorbells and messages are only needed by a worker that sleeps,
 * so their numbers explain where a call got stuck, but a difference there
 * breaks nothing by itself.
 */
#include <stdarg.h>
#include <string.h>

#include <vgpu/ring.h>
#include <vgpu/shm.h>

#include "ctl.h"

void counts_read(struct counts *c, struct json_object *hops, bool pci)
{
	*c = (struct counts){
		.pci = pci,
		.stub_known = get_flag(hops, "stub_known"),
		.guest_commands = get_number(hops, "guest_commands"),
		.guest_doorbells = get_number(hops, "guest_doorbells"),
		.guest_replies = get_number(hops, "guest_replies"),
		.guest_fences = get_number(hops, "guest_fences"),
		.stub_doorbells = get_number(hops, "stub_doorbells"),
		.stub_wakes = get_number(hops, "stub_wakes"),
		.stub_wakes_failed = get_number(hops, "stub_wakes_failed"),
		.wakes = get_number(hops, "worker_wakes"),
		.doorbells = get_number(hops, "worker_doorbells"),
		.commands = get_number(hops, "worker_commands"),
		.replies = get_number(hops, "worker_replies"),
		.fences = get_number(hops, "worker_fences"),
		.wake_gaps = get_number(hops, "worker_wake_gaps"),
		.image_bytes = get_number(hops, "image_bytes"),
		.image_bytes_spared = get_number(hops, "image_bytes_spared"),
	};
}

void counts_add(struct counts *to, const struct counts *from)
{
	to->pci |= from->pci;
	to->stub_known |= from->stub_known;
	to->guest_commands += from->guest_commands;
	to->guest_doorbells += from->guest_doorbells;
	to->guest_replies += from->guest_replies;
	to->guest_fences += from->guest_fences;
	to->stub_doorbells += from->stub_doorbells;
	to->stub_wakes += from->stub_wakes;
	to->stub_wakes_failed += from->stub_wakes_failed;
	to->wakes += from->wakes;
	to->doorbells += from->doorbells;
	to->commands += from->commands;
	to->replies += from->replies;
	to->fences += from->fences;
	to->wake_gaps += from->wake_gaps;
	to->image_bytes += from->image_bytes;
	to->image_bytes_spared += from->image_bytes_spared;
}

static enum mark equal(uint64_t a, uint64_t b)
{
	return a == b ? MARK_OK : MARK_DIFFERS;
}

static enum mark at_most(uint64_t a, uint64_t b)
{
	return a <= b ? MARK_OK : MARK_DIFFERS;
}

static struct hop_row row(const char *hop, const char *what, uint64_t count)
{
	return (struct hop_row){ .hop = hop, .what = what, .with = "", .known = true, .count = count };
}

static struct hop_row compared(const char *hop, const char *what, uint64_t count, const char *with,
			       enum mark mark)
{
	struct hop_row r = row(hop, what, count);

	r.with = with;
	r.mark = mark;
	return r;
}

static struct hop_row absent(struct hop_row r, const char *why)
{
	r.known = false;
	r.mark = MARK_NONE;
	r.with = why;
	return r;
}

void hops_table(const struct counts *c, struct hop_row r[HOP_ROWS])
{
	const char *no_stub = c->pci ? "the stub has not answered" : "no VM, no stub: the guest wakes the worker itself";
	bool stub = c->pci && c->stub_known;

	r[0] = row("guest", "commands published", c->guest_commands);
	r[1] = row("guest", "doorbells written", c->guest_doorbells);
	r[2] = compared("stub", "doorbells seen", c->stub_doorbells, "doorbells written",
			equal(c->stub_doorbells, c->guest_doorbells));
	r[3] = compared("stub", "messages sent", c->stub_wakes, "at most doorbells seen",
			at_most(c->stub_wakes, c->stub_doorbells));
	r[4] = stub ? compared("worker", "messages received", c->wakes, "messages sent",
			       equal(c->wakes, c->stub_wakes)) :
		      compared("worker", "wake-ups received", c->wakes, "at most doorbells written",
			       at_most(c->wakes, c->guest_doorbells));
	r[5] = compared("worker", "doorbells in them", c->doorbells, "doorbells written",
			equal(c->doorbells, c->guest_doorbells));
	r[6] = compared("worker", "commands executed", c->commands, "commands published",
			equal(c->commands, c->guest_commands));
	r[7] = row("worker", "replies sent", c->replies);
	r[8] = compared("guest", "replies received", c->guest_replies, "replies sent",
			equal(c->guest_replies, c->replies));
	r[9] = row("device", "fences written", c->fences);
	r[10] = compared("guest", "fences returned", c->guest_fences, "at most fences written",
			 at_most(c->guest_fences, c->fences));
	r[11] = row("worker", "code received, bytes", c->image_bytes);
	r[12] = row("worker", "code known, bytes", c->image_bytes_spared);
	if (!stub) {
		r[2] = absent(r[2], no_stub);
		r[3] = absent(r[3], "");
	}
}

/* ---- verdict ---- */

static void say(struct verdict *v, enum verdict_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct verdict *v, enum verdict_kind kind, const char *fmt, ...)
{
	va_list ap;

	v->kind = kind;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}

static unsigned long long ull(uint64_t n)
{
	return (unsigned long long)n;
}

/* Commands lie in the ring, or a call of register mode is on its way, and the worker sleeps: where did the doorbell stay? */
static void stuck_asleep(const struct counts *c, bool registers, struct verdict *v)
{
	uint64_t left = c->guest_commands - c->commands;
	const char *where = registers ? "of register mode under way" : "in the ring";

	if (c->pci && !c->stub_known)
		say(v, VERDICT_BROKEN,
		    "the guest saw the last call, the worker sleeps with %llu commands %s and the "
		    "stub does not answer. Look at QEMU's own log; is its process stopped?", ull(left), where);
	else if (c->pci && c->stub_doorbells < c->guest_doorbells)
		say(v, VERDICT_BROKEN,
		    "the guest saw the last call: it wrote %llu doorbells, the stub saw %llu. The stub's thread "
		    "does not reap its eventfd, or the guest wrote to another device: compare lspci in the "
		    "guest with -device vgpu-stub.", ull(c->guest_doorbells), ull(c->stub_doorbells));
	else if (c->pci && c->stub_wakes_failed)
		say(v, VERDICT_BROKEN,
		    "the stub saw the last call but could not send %llu messages to the worker. See the "
		    "stub's lines in QEMU's log; the session must be reopened.", ull(c->stub_wakes_failed));
	else if (c->pci && c->wakes < c->stub_wakes)
		say(v, VERDICT_BROKEN,
		    "the stub saw the last call: it sent %llu messages, the worker received %llu. The worker "
		    "does not read its wake socket; end the session with vgpuctl kill.",
		    ull(c->stub_wakes), ull(c->wakes));
	else
		say(v, VERDICT_BROKEN,
		    "the guest saw the last call: %llu commands are %s, the worker sleeps, and no "
		    "doorbell is on its way. The guest's process did not ring: is it stopped%s?", ull(left), where,
		    registers ? "" : ", or does VGPU_BATCH hold its doorbell back");
}

static bool in_register_mode(struct json_object *s)
{
	return get_child(s, "batch") && !get_number(s, "batch");
}

static void live_behind(struct json_object *s, const struct counts *c, struct verdict *v)
{
	if (get_number(s, "consumer") == VGPU_CONSUMER_ASLEEP)
		stuck_asleep(c, in_register_mode(s), v);
	else
		say(v, VERDICT_NOTE,
		    "the worker has %llu commands before it and is busy after call %llu (%s).",
		    ull(c->guest_commands - c->commands), ull(get_number(s, "last_seq")),
		    show_op((uint32_t)get_number(s, "last_op")));
}

static void ended_verdict(struct json_object *s, const struct counts *c, struct verdict *v)
{
	uint64_t error = get_number(s, "error");

	if (error != VGPU_HOST_CLOSED)
		say(v, VERDICT_BROKEN, "the worker saw the last call, %llu (%s); the session ended: %s.",
		    ull(get_number(s, "last_seq")), show_op((uint32_t)get_number(s, "last_op")),
		    get_text(s, "text"));
	else if (c->guest_commands > c->commands)
		say(v, VERDICT_NOTE,
		    "the session ended with %llu commands not executed: the process went without waiting "
		    "for them.", ull(c->guest_commands - c->commands));
	else
		say(v, VERDICT_FINE, "every call went the whole way; the last was %llu (%s).",
		    ull(get_number(s, "last_seq")), show_op((uint32_t)get_number(s, "last_op")));
}

void session_verdict(struct json_object *s, bool pci, struct verdict *v)
{
	const char *state = get_text(s, "state");
	struct counts c;

	counts_read(&c, get_child(s, "hops"), pci);
	if (!strcmp(state, "ended"))
		ended_verdict(s, &c, v);
	else if (!strcmp(state, "waiting"))
		say(v, VERDICT_NOTE, "the session waits for a worker; see the pool in vgpuctl status.");
	else if (!strcmp(state, "starting"))
		say(v, VERDICT_NOTE, "worker and guest are agreeing on addresses.");
	else if (!c.guest_commands)
		say(v, VERDICT_IDLE, "the session is open; the guest has published no command yet.");
	else if (c.commands < c.guest_commands)
		live_behind(s, &c, v);
	else if (c.wake_gaps)
		say(v, VERDICT_NOTE, "every call went the whole way, but %llu messages of the stub were lost.",
		    ull(c.wake_gaps));
	else
		say(v, VERDICT_FINE, "every call went the whole way; the last was %llu (%s).",
		    ull(get_number(s, "last_seq")), show_op((uint32_t)get_number(s, "last_op")));
}

bool session_moved(struct json_object *before, struct json_object *after)
{
	struct json_object *a = get_child(before, "hops"), *b = get_child(after, "hops");

	return get_number(before, "session") != get_number(after, "session") ||
	       get_number(a, "worker_commands") != get_number(b, "worker_commands") ||
	       get_number(a, "guest_commands") != get_number(b, "guest_commands");
}
