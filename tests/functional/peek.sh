#!/bin/bash
# SPDX-License-Identifier: MIT
# Nobody reads another's device memory: not while the other lives, not after it is gone.
. "$(dirname "$0")/lib.sh"
[ "${VGPU_TEST_DEVICE:-soft}" = soft ] && mediator_options=(--memory-limit 1G)
mediator_up
[ "$(status .pool.worker_resident)" -gt $((1 << 20)) ] || fail "the status does not say what a ready worker costs"
start owner "$programs/peek" secret 64
owner=$started
soon 20 says owner 'secret at' || fail "the owner did not start"
at=$(sed -n 's/.*secret at //p' "$work/owner.log")
for how in copy load; do
	"$programs/peek" "$how" "$at" >"$work/$how.log" 2>&1 || fail "peek $how: exit status $?"
done
# Also in the middle, and just behind.
"$programs/peek" load "$((at + (32 << 20)))" >"$work/middle.log" 2>&1 || fail "peek load: exit status $?"
kill -0 "$owner" || fail "the owner was disturbed"
kill -KILL "$owner"
wait "$owner" 2>/dev/null
for _ in 1 2 3; do
	"$programs/peek" leave 512 >"$work/leave.log" 2>&1 || fail "peek leave: exit status $?"
done
"$programs/peek" scan >"$work/scan.log" 2>&1 || fail "fresh memory holds what others left"
cat "$work/scan.log"
mediator_down
