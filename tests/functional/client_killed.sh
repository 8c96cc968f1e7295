#!/bin/bash
# SPDX-License-Identifier: MIT
# Clients are killed in the middle of their copies, again and again: everything they held comes back.
. "$(dirname "$0")/lib.sh"
mediator_up
descriptors() {
	find "/proc/$mediator_pid/fd" -mindepth 1 2>/dev/null | wc -l
}
round() {
	start victim "$programs/churn" 64
	soon 10 says victim ready || fail "the client did not start"
	soon 10 status_is "$memory_used" $((64 << 20)) || fail "the memory of the client is not accounted"
	kill -KILL "$started"
	wait "$started" 2>/dev/null
	soon 10 status_is "$memory_used" 0 || fail "memory of a killed client is still accounted"
	soon 10 status_is "$live_sessions" 0 || fail "the session of a killed client is left"
	soon 10 status_is '.pool.ready == .pool.target' true || fail "the pool was not filled again"
}
round
before=$(descriptors)
for _ in 1 2 3 4 5; do
	round
done
as_before() {
	[ "$(descriptors)" -le "$before" ]
}
soon 10 as_before || fail "the mediator has $(descriptors) descriptors, not $before"
mediator_down
