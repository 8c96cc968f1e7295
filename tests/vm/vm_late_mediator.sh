#!/bin/bash
# SPDX-License-Identifier: MIT
# A mediator that starts later than the VM is found; until then a program gets a clear error, soon.
. "$(dirname "$0")/lib.sh"

mkdir "$work/share"
device_guest --share "$work/share" -- sh -c '
	if timeout 30 "$1/vectoradd" 1000 2>"$2/first"; then
		echo "it computed without a mediator"; exit 1
	fi
	[ $? -ne 124 ] || { echo "it hangs without a mediator"; exit 1; }
	touch "$2/failed"
	n=0
	until timeout 30 "$1/vectoradd" 1000; do
		n=$((n + 1))
		[ $n -lt 60 ] || { echo "it never found the mediator"; exit 1; }
		sleep 0.5
	done' sh "$programs" "$work/share" &
vm=$!
pids+=("$vm")
soon 90 test -e "$work/share/failed" || fail "the first program did not fail in time"
grep -q CUDA_ERROR "$work/share/first" || fail "no clear error: $(cat "$work/share/first")"
mediator
wait $vm
expect "exit status of the guest" 0 $?
assert_all_returned
