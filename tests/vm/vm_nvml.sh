#!/bin/bash
# SPDX-License-Identifier: MIT
# NVML in a guest, through the PCI device: the processes of this VM with the numbers that they have in it and their
# memory, nothing of a process on the host, no session left behind; and the conformance program.
. "$(dirname "$0")/lib.sh"
mib=$((1024 * 1024))

mediator
VGPU_SOCKET_PATH=$work/mediator.sock LD_LIBRARY_PATH=$VGPU_BUILD/shim "$programs/hold" 8 >"$work/host" 2>&1 &
pids+=($!)
soon 20 grep -q holding "$work/host" || fail "the host's program does not hold its memory: $(cat "$work/host")"
device_guest --env VGPU_TEST_NEEDS_DEVICE=1 -- sh -c '
	"$1/tests/programs/hold" 16 >/tmp/hold 2>&1 & hold=$!
	n=0
	until grep -q holding /tmp/hold; do
		n=$((n + 1))
		[ $n -lt 60 ] || { cat /tmp/hold; exit 1; }
		sleep 1
	done
	echo "holds $hold"
	"$1/tests/programs/monitor" || exit 1
	kill -KILL $hold
	"$1/tests/gpu/test_nvml" >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }' sh "$VGPU_BUILD" >"$work/out" 2>&1
status=$?
cat "$work/out"
expect "exit status of the guest" 0 $status
guest_pid=$(sed -n 's/^holds //p' "$work/out")
expect "processes of the VM" "process $guest_pid $((16 * mib))" "$(grep '^process' "$work/out")"
grep -q "^memory [0-9]* [0-9]* $((16 * mib))$" "$work/out" || fail "the memory in use is not the VM's"
kill "${pids[0]}"
assert_all_returned
