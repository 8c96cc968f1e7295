#!/bin/bash
# SPDX-License-Identifier: MIT
# A worker dies: its client gets an error soon, with one line that says why; others go on; the next client works.
. "$(dirname "$0")/lib.sh"
mediator_up
start victim "$programs/churn" 16
victim=$started
soon 10 says victim ready || fail "the client did not start"
worker=$(status '.vms[].sessions[0].worker_pid')
start steady "$programs/churn" 16 4
steady=$started
soon 10 says steady ready || fail "the bystander did not start"
kill -KILL "$worker"
gone() {
	! kill -0 "$victim" 2>/dev/null
}
soon 5 gone || fail "the client still waits 5 s after its worker died"
wait "$victim"
expect "the client's exit status" 2 $?
says victim 'vgpu: ' || fail "nothing said why"
wait "$steady" || fail "the bystander was disturbed"
"$programs/churn" 4 1 || fail "the next client does not work"
soon 10 status_is "$memory_used" 0 || fail "memory was left over"
mediator_down
