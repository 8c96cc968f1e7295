#!/bin/bash
# SPDX-License-Identifier: MIT
# When QEMU is killed, everything that its guest's programs held comes back, and the mediator
# serves the next VM.
. "$(dirname "$0")/lib.sh"

mediator
device_guest --dir "$work/vm" -- "$programs/hold" 32 >"$work/out" 2>"$work/err" &
vm=$!
pids+=("$vm")
soon 60 grep -q holding "$work/out" || fail "the guest's program does not get there: $(cat "$work/err")"
is session_count -eq 1 || fail "there is not one session: $(status)"
is memory_used -ge $((32 << 20)) || fail "the memory of the guest is not accounted: $(status)"
kill -KILL "$(cat "$work/vm/qemu.pid")" || fail "QEMU cannot be killed"
assert_all_returned
wait $vm
expect "exit status when the guest died" 125 $?
device_guest -- "$programs/vectoradd" 1000 || fail "the next VM does not work"
assert_all_returned
