#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that fault, overflow, hoard, loop and are killed, one after another, beside one that checks every byte it
# copies: that one is never disturbed, their memory is back within a second, and the next program works.
. "$(dirname "$0")/lib.sh"
mediator_options=(--pool 2 --kernel-timeout 1.5)
mediator_up
start steady "$programs/churn" 16 0
steady=$started
soon 20 says steady ready || fail "the bystander did not start"

# after WHAT: only the bystander is left, within a second, and somebody else can work.
after() {
	soon 1 status_is "$memory_used" $((16 << 20)) || fail "memory is still accounted a second after: $1"
	soon 1 status_is "$live_sessions" 1 || fail "a session is left after: $1"
	kill -0 "$steady" 2>/dev/null || fail "the bystander was disturbed by: $1"
	"$programs/vectoradd" 5000 >"$work/next.log" 2>&1 || fail "the next program does not work after: $1"
	soon 1 status_is "$live_sessions" 1 || fail "the next program's session is left after: $1"
}

# does MODE: the program sees what it should.
does() {
	"$programs/misbehave" "$1" >"$work/$1.log" 2>&1 || fail "misbehave $1: exit status $?"
	after "misbehave $1"
}

after nothing
"$programs/wild" >"$work/wild.log" 2>&1 || fail "the wild program did not see CUDA_ERROR_ILLEGAL_ADDRESS"
after "an illegal address"
does stack
does trap
does pointers
does busy
does hog
took=$(sed -n 's/.*took \([0-9]*\) MiB/\1/p' "$work/hog.log")
does hog
again=$(sed -n 's/.*took \([0-9]*\) MiB/\1/p' "$work/hog.log")
[ "$again" -ge $((took * 9 / 10)) ] || fail "the first hog got $took MiB, the second only $again"

too_long() {
	grep -c 'a kernel ran for more than.*the session is ended' "$work/mediator.log"
}
expected=0
for mode in loop free graph; do
	"$programs/misbehave" "$mode" >"$work/$mode.log" 2>&1
	status=$?
	[ "$mode" = graph ] && [ $status = 77 ] && [ "${VGPU_TEST_DEVICE:-soft}" = soft ] && continue
	expect "the exit status of misbehave $mode" 0 $status
	after "misbehave $mode"
	expected=$((expected + 1))
	says "$mode" 'a kernel ran for more than 1.500 s' || fail "misbehave $mode was not told why it ended"
	expect "lines about kernels that are too long" $expected "$(too_long)"
done

start killed "$programs/misbehave" loop
soon 20 says killed looping || fail "the looping program did not start"
kill -KILL "$started"
wait "$started" 2>/dev/null
after "a kill in mid-kernel"
expect "lines about kernels that are too long, after a kill" $expected "$(too_long)"
kill -TERM "$steady"
wait "$steady" 2>/dev/null
says steady 'churn:' && fail "the bystander complained"
mediator_down
