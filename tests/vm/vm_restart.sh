#!/bin/bash
# SPDX-License-Identifier: MIT
# The mediator is killed and started again while a VM runs: the program that was running gets an
# error instead of hanging, the next one works, the VM goes on.
. "$(dirname "$0")/lib.sh"

mkdir "$work/share"
mediator
device_guest --share "$work/share" -- sh -c '
	( while "$1/vectoradd" 1000 >"$2/loop"; do touch "$2/running"; done 2>"$2/error"
	  touch "$2/noticed" ) &
	n=0
	until [ -e "$2/again" ]; do
		n=$((n + 1))
		[ $n -lt 900 ] || exit 1
		sleep 0.1
	done
	wait
	n=0
	until timeout 30 "$1/vectoradd" 1000; do
		n=$((n + 1))
		[ $n -lt 60 ] || { echo "it never found the new mediator"; exit 1; }
		sleep 0.5
	done' sh "$programs" "$work/share" &
vm=$!
pids+=("$vm")
soon 90 test -e "$work/share/running" || fail "no program ran"
kill -KILL "$mediator_pid"
wait "$mediator_pid" 2>/dev/null
soon 60 test -e "$work/share/noticed" || fail "the program did not notice that the mediator died"
grep -q CUDA_ERROR "$work/share/error" || fail "no clear error: $(cat "$work/share/error")"
mediator
touch "$work/share/again"
wait $vm
expect "exit status of the guest" 0 $?
assert_all_returned
