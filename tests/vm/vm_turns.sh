#!/bin/bash
# SPDX-License-Identifier: MIT
# Ten processes in turn, and then two at once, on a device of two channels: none leaks a channel. Two more that load the same
# code: the second sends none of it.
. "$(dirname "$0")/lib.sh"

mediator
device_guest --device-args channels=2 -- sh -c '
	for i in 1 2 3 4 5 6 7 8 9 10; do
		"$1/vectoradd" 1000 || { echo "process $i failed"; exit 1; }
	done
	"$1/vectoradd" 5000 & first=$!
	"$1/vectoradd" 5000 || exit 1
	wait $first
	"$1/code" 2048 && "$1/code" 2048' sh "$programs"
expect "exit status of the guest" 0 $?
assert_all_returned
is sessions_total -eq 14 || fail "14 programs are not 14 sessions: $(status)"
expect "code that was not sent again" true \
	"$(status | jq '.vms[] | select(.transport == "pci").ended[-1].hops | .image_bytes == 0 and .image_bytes_spared > 2097152')"
expect "code that is kept of a VM that is gone" null "$(status | jq '.vms[] | select(.transport == "pci").images')"
