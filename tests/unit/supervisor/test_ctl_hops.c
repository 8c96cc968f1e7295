/* SPDX-License-Identifier: MIT */
/* Verdicts of vgpuctl verify: which hop is named for which numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl.h"

static void expect(const char *session, bool pci, enum verdict_kind kind, const char *says)
{
	struct json_object *o = json_tokener_parse(session);
	struct verdict v;

	assert_non_null(o);
	session_verdict(o, pci, &v);
	if (v.kind != kind || !strstr(v.text, says))
		fail_msg("%s: kind %d, '%s' instead of kind %d, '%s'", session, v.kind, v.text, kind, says);
	json_object_put(o);
}

#define LIVE(consumer, hops) "{\"state\":\"running\",\"consumer\":" #consumer ",\"last_seq\":9,\"hops\":{" hops "}}"
#define BEHIND "\"guest_commands\":10,\"worker_commands\":9,\"guest_doorbells\":4,"

static void the_hop_is_named(void **state)
{
	(void)state;
	expect(LIVE(0, "\"guest_commands\":0"), true, VERDICT_IDLE, "no command yet");
	expect(LIVE(0, "\"guest_commands\":10,\"worker_commands\":10"), true, VERDICT_FINE, "whole way");
	expect(LIVE(0, BEHIND "\"stub_known\":false"), true, VERDICT_BROKEN, "stub does not answer");
	expect(LIVE(0, BEHIND "\"stub_known\":true,\"stub_doorbells\":3"), true, VERDICT_BROKEN, "the stub saw 3");
	expect(LIVE(0, BEHIND "\"stub_known\":true,\"stub_doorbells\":4,\"stub_wakes_failed\":1"), true,
	       VERDICT_BROKEN, "could not send 1");
	expect(LIVE(0, BEHIND "\"stub_known\":true,\"stub_doorbells\":4,\"stub_wakes\":4,\"worker_wakes\":2"), true,
	       VERDICT_BROKEN, "the worker received 2");
	expect(LIVE(0, BEHIND "\"stub_known\":true,\"stub_doorbells\":4,\"stub_wakes\":4,\"worker_wakes\":4"), true,
	       VERDICT_BROKEN, "did not ring");
	expect(LIVE(0, BEHIND "\"worker_wakes\":4"), false, VERDICT_BROKEN, "did not ring");
	expect(LIVE(0, BEHIND "\"worker_wakes\":4"), false, VERDICT_BROKEN, "does VGPU_BATCH hold");
	expect("{\"state\":\"running\",\"consumer\":0,\"batch\":0,\"hops\":{" BEHIND "\"worker_wakes\":9}}", false,
	       VERDICT_BROKEN, "1 commands are of register mode under way");
	expect(LIVE(2, BEHIND "\"worker_wakes\":4"), false, VERDICT_NOTE, "busy after call 9");
	expect("{\"state\":\"waiting\",\"hops\":{}}", true, VERDICT_NOTE, "waits for a worker");
}

static void ended_sessions_are_judged(void **state)
{
	(void)state;
	expect("{\"state\":\"ended\",\"error\":8,\"hops\":{\"guest_commands\":3,\"worker_commands\":3}}", true,
	       VERDICT_FINE, "whole way");
	expect("{\"state\":\"ended\",\"error\":8,\"hops\":{\"guest_commands\":3,\"worker_commands\":2}}", true,
	       VERDICT_NOTE, "1 commands not executed");
	expect("{\"state\":\"ended\",\"error\":6,\"text\":\"killed\",\"last_seq\":2,\"hops\":{}}", true,
	       VERDICT_BROKEN, "killed");
}

static void rows_are_compared(void **state)
{
	struct counts c = { .pci = true, .stub_known = true, .guest_commands = 5, .commands = 5,
			    .guest_doorbells = 3, .stub_doorbells = 3, .doorbells = 3, .stub_wakes = 2,
			    .wakes = 2, .replies = 1, .guest_replies = 1, .fences = 4, .guest_fences = 3 };
	struct hop_row r[HOP_ROWS];

	(void)state;
	hops_table(&c, r);
	for (size_t i = 0; i < HOP_ROWS; i++)
		assert_int_not_equal(r[i].mark, MARK_DIFFERS);
	c.wakes = 1;
	c.commands = 4;
	c.guest_fences = 5;
	hops_table(&c, r);
	assert_int_equal(r[4].mark, MARK_DIFFERS);
	assert_int_equal(r[6].mark, MARK_DIFFERS);
	assert_int_equal(r[10].mark, MARK_DIFFERS);
	c.stub_known = false;
	hops_table(&c, r);
	assert_false(r[2].known);
	assert_false(r[3].known);
}

static void numbers_are_readable(void **state)
{
	(void)state;
	assert_string_equal(show_count(0), "0");
	assert_string_equal(show_count(999), "999");
	assert_string_equal(show_count(1234567), "1,234,567");
	assert_string_equal(show_count(UINT64_MAX), "18,446,744,073,709,551,615");
	assert_string_equal(show_bytes(1536), "1.5 KiB");
	assert_string_equal(show_bytes(UINT64_MAX), "16 EiB");
	assert_string_equal(show_driver(13000), "13.0");
	assert_string_equal(show_driver(12040), "12.4");
	assert_string_equal(show_time(1500), "1.5 s");
	assert_string_equal(show_time(90061000), "1 d 1 h");
	assert_string_equal(show_sessions_count(1), "1 session");
	assert_string_equal(show_op(0), "operation 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hop_is_named),
		cmocka_unit_test(ended_sessions_are_judged),
		cmocka_unit_test(rows_are_compared),
		cmocka_unit_test(numbers_are_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
