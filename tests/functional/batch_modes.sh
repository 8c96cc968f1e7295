#!/bin/bash
# SPDX-License-Identifier: MIT
# VGPU_BATCH in each of its modes: the program computes right, `vgpuctl status` names the mode and VGPU_BATCH_USEC, and in
# register mode every command is one call, one doorbell and one message.
. "$(dirname "$0")/lib.sh"
mediator_up

# mode VALUE USEC TABLE: what status shows of a session with VGPU_BATCH=VALUE.
mode() {
	VGPU_BATCH=$1 VGPU_BATCH_USEC=70 start "hold$1" "$programs/hold" 1
	soon 10 says "hold$1" holding || fail "VGPU_BATCH=$1 does not work"
	expect "batch of $1" "$1" "$(status '.vms[0].sessions[0].batch')"
	expect "batch_usec of $1" "$2" "$(status '.vms[0].sessions[0].batch_usec')"
	ctl status | grep -q "running .* $3\$" || fail "the table does not say '$3': $(ctl status)"
	kill "$started"
	wait "$started" 2>/dev/null
	soon 10 status_is "$live_sessions" 0 || fail "the session was not ended"
	expect "batch of the ended one" "$1 $2" "$(status '.vms[0].ended[-1] | "\(.batch) \(.batch_usec)"')"
}
mode 0 0 '0 (register)'
mode 1 0 1
mode 32 70 '32 or 70 us'

VGPU_BATCH=0 "$programs/vectoradd" || fail "vectoradd in register mode"
soon 10 status_is "$live_sessions" 0 || fail "the session was not ended"
hops='.vms[0].ended[-1].hops'
calls=$(status "$hops.guest_commands")
[ "$calls" -gt 10 ] || fail "the guest counted only $calls commands"
for key in guest_doorbells worker_wakes worker_doorbells worker_calls worker_commands; do
	expect "$key" "$calls" "$(status "$hops.$key")"
done
expect "messages for each thousand commands" 1000 "$(status "$hops.messages_per_1000 | floor")"
"$programs/vectoradd" || fail "vectoradd in ring mode"
soon 10 status_is "$live_sessions" 0 || fail "the session was not ended"
expect "calls by register in ring mode" 0 "$(status "$hops.worker_calls")"
ctl verify >"$work/verify.log" || fail "verify found a broken hop"
mediator_down
