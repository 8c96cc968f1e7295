#!/bin/bash
# SPDX-License-Identifier: MIT
# Register mode (VGPU_BATCH=0) in a VM: programs compute right, one alone, two at once and after one that was killed in the
# middle, and every call is one doorbell and one message. Beside it the ring, where a thousand calls take next to none.
. "$(dirname "$0")/lib.sh"

calls=2000
mediator

# counts MODE: per thousand calls of the program, what this session and its VM took.
counts() {
	status | jq -r --arg mode "$1" --argjson calls "$calls" '[.vms[] | select(.transport == "pci")][-1].ended[-1].hops as $h |
		"VGPU_BATCH=\($mode): of 1000 calls \($h.guest_doorbells * 1000 / $calls) doorbells, " +
		"\($h.worker_wakes * 1000 / $calls) messages; \($h.worker_calls) of \($h.worker_commands) commands by register"'
}

# hop KEY: of the session that ended last.
hop() {
	status | jq -r "[.vms[] | select(.transport == \"pci\")][-1].ended[-1].hops.$1"
}

# run NAME COMMAND: a guest in which it runs; what it printed is in $work/NAME.
run() {
	device_guest --device-args channels=2 -- sh -c "$2" sh "$programs" "$calls" >"$work/$1" || fail "$1: exit status $?: $(cat "$work/$1")"
	cat "$work/$1"
}

# In the guest: "$1/calls" with $2 calls, and how many accesses to BAR0 trapped meanwhile (doorbells of the ring not among
# them), by the device's own counters.
# shellcheck disable=SC2016 # for the guest's shell
counted='
	for d in /sys/bus/pci/devices/*; do
		[ "$(cat "$d/vendor" "$d/device")" = "$(printf "0x1234\n0x7647")" ] && bar0=$(sed -n "1s/ .*//p" "$d/resource")
	done
	trapped() {
		echo $(($(busybox devmem $((bar0 + 0x118))) + $(busybox devmem $((bar0 + 0x120)))))
	}
	before=$(trapped)
	"$1/calls" "$2" || exit 1
	echo "of 1000 calls $((($(trapped) - before) * 1000 / $2)) trapped accesses"'

run register "export VGPU_BATCH=0
	\"\$1/vectoradd\" 1000 && \"\$1/matmul\" 20 || exit 1
	$counted"
counts 0
sent=$(hop guest_commands)
[ "$sent" -gt "$calls" ] || fail "the guest counted only $sent commands"
for key in guest_doorbells stub_doorbells stub_wakes worker_wakes worker_doorbells worker_calls worker_commands; do
	expect "$key" "$sent" "$(hop $key)"
done

run two 'export VGPU_BATCH=0
	"$1/calls" 300 & one=$!
	"$1/calls" 300 && wait $one || exit 1
	"$1/calls" 100000000 >/tmp/endless & endless=$!
	until grep -q device /tmp/endless; do
		kill -0 $endless || exit 1
		sleep 0.1
	done
	kill -KILL $endless
	"$1/vectoradd" 1000 && VGPU_BATCH=1 "$1/vectoradd" 1000'
assert_all_returned

run ring "$counted"
counts 1
expect "commands by register in ring mode" 0 "$(hop worker_calls)"
[ "$(hop guest_doorbells)" -lt $((calls / 4)) ] || fail "the ring took $(hop guest_doorbells) doorbells"
assert_all_returned
"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$work/control.sock" verify >"$work/verify" || {
	cat "$work/verify"
	fail "verify found a broken hop"
}
