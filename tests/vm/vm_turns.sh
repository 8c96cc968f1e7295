#!/bin/bash
# SPDX-License-Identifier: MIT
# Ten processes in turn, and then two at once, on a device of two channels: none leaks a channel.
. "$(dirname "$0")/lib.sh"

mediator
device_guest --device-args channels=2 -- sh -c '
	for i in 1 2 3 4 5 6 7 8 9 10; do
		"$1/vectoradd" 1000 || { echo "process $i failed"; exit 1; }
	done
	"$1/vectoradd" 5000 & first=$!
	"$1/vectoradd" 5000 || exit 1
	wait $first' sh "$programs"
expect "exit status of the guest" 0 $?
assert_all_returned
is sessions_total -eq 12 || fail "12 programs are not 12 sessions: $(status)"
