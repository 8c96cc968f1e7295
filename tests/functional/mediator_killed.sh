#!/bin/bash
# SPDX-License-Identifier: MIT
# The mediator is killed: clients get errors and do not hang, its workers go with it, and a new mediator takes over
# the same socket path although the old one left its file there.
. "$(dirname "$0")/lib.sh"
mediator_up
start victim "$programs/churn" 16
victim=$started
soon 10 says victim ready || fail "the client did not start"
worker=$(status '.vms[].sessions[0].worker_pid')
kill -KILL "$mediator_pid"
wait "$mediator_pid" 2>/dev/null
mediator_pid=
gone() {
	! kill -0 "$1" 2>/dev/null
}
soon 5 gone "$victim" || fail "the client still waits 5 s after the mediator died"
wait "$victim"
expect "the client's exit status" 2 $?
soon 5 gone "$worker" || fail "a worker outlived its mediator"
mediator_up
"$programs/churn" 4 1 || fail "a client of the new mediator does not work"
mediator_down
