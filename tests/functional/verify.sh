#!/bin/bash
# SPDX-License-Identifier: MIT
# After a program ran, `vgpuctl verify` shows agreeing numbers for every hop, `status` what they cost; with no mediator it says so (status 3).
. "$(dirname "$0")/lib.sh"
mediator_up
"$programs/churn" 4 1 || fail "the program failed"
soon 10 status_is "$live_sessions" 0 || fail "the session was not ended"
ctl verify >"$work/verify.log" || fail "verify found a broken hop"
total=".vms[0].ended_total"
sent=$(status "$total.guest_commands")
[ "$sent" -gt 10 ] || fail "the guest counted only $sent commands"
expect "commands executed" "$sent" "$(status "$total.worker_commands")"
expect "replies" "$(status "$total.guest_replies")" "$(status "$total.worker_replies")"
expect "errors" 0 "$(status "$total.worker_errors")"
rate="(.doorbells_per_1000 - 1000 * .guest_doorbells / .worker_commands | fabs) < 0.001"
expect "doorbells for each thousand commands agree with their numbers" true "$(status "$total | $rate")"
rate="(.messages_per_1000 - 1000 * .worker_wakes / .worker_commands | fabs) < 0.001"
expect "messages for each thousand commands agree with their numbers" true "$(status "$total | $rate")"
refused() {
	local says=$1
	shift
	"$bin/vgpuctl" "$@" >"$work/refused.log" 2>&1
	expect "exit status of vgpuctl $*" "$wanted" $?
	says refused "$says" || fail "vgpuctl $* does not say '$says': $(cat "$work/refused.log")"
}
wanted=1
refused 'VM 77: no such VM' --control "$work/control.sock" --vm 77 status
refused 'session 999: there is no' --control "$work/control.sock" --session 999 status
wanted=2
refused 'nan: not a valid value' --control "$work/control.sock" --seconds nan trace
wanted=3
refused 'control.sock beside it' --control "$work/mediator.sock" status
mediator_down
ctl verify >/dev/null 2>&1
expect "exit status without a mediator" 3 $?
