#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest process that is killed while it holds device memory gives back its channel and its
# memory; the next process works. The device has two channels, so a leak of one cannot hide.
. "$(dirname "$0")/lib.sh"

mediator
device_guest --device-args channels=2 -- sh -c '
	for i in 1 2 3 4 5 6 7 8; do
		"$1/hold" 16 >/tmp/hold & pid=$!
		n=0
		until grep -q holding /tmp/hold; do
			n=$((n + 1))
			[ $n -lt 300 ] || { echo "hold does not get there"; exit 1; }
			kill -0 $pid || { echo "hold ended"; exit 1; }
			sleep 0.1
		done
		kill -KILL $pid
		wait $pid
		: >/tmp/hold
		"$1/vectoradd" 1000 || exit 1
	done' sh "$programs"
expect "exit status of the guest" 0 $?
assert_all_returned
is sessions_total -ge 16 || fail "the mediator saw fewer sessions than programs: $(status)"
