#!/bin/bash
# SPDX-License-Identifier: MIT
# Two processes at once: both compute right, each in a session and a worker of its own.
. "$(dirname "$0")/lib.sh"
mediator_up
start a "$programs/churn" 16 8
a=$started
start b "$programs/churn" 24 8
b=$started
soon 10 says a ready || fail "a did not start"
soon 10 says b ready || fail "b did not start"
soon 10 status_is "$live_sessions" 2 || fail "there are not two sessions"
expect "workers" 2 "$(status '[.vms[].sessions[].worker_pid] | unique | length')"
expect "memory of both" $((40 << 20)) "$(status "$memory_used")"
wait "$a" || fail "a failed"
wait "$b" || fail "b failed"
soon 10 status_is "$live_sessions" 0 || fail "a session was left over"
expect "memory at the end" 0 "$(status "$memory_used")"
mediator_down
