#!/bin/bash
# SPDX-License-Identifier: MIT
# A trace of a program that copies and computes in two streams: a file that parses, a row for each stream of the device,
# on each the work in the order of the stream, and kernels and copies with times that make sense.
. "$(dirname "$0")/lib.sh"
mediator_up
# What vgpuctl cannot write it has not said.
ctl status >/dev/full 2>"$work/full.log"
expect "vgpuctl's exit status on a full disk" 1 $?
ctl trace --seconds 0 --chrome /dev/full 2>"$work/full.log"
expect "the status of a trace on a full disk" 1 $?
grep -q 'not be written whole' "$work/full.log" || fail "a trace that was lost is said to be written"
# Recording is on from the moment when somebody asks, and the worker must know it.
ctl trace --seconds 8 --chrome "$work/trace.json" 2>"$work/trace.log" &
tracer=$!
sleep 0.5
"$VGPU_BUILD/bench/bench_driver" --quick overlap >"$work/bench.log" 2>&1 || fail "the program failed"
wait $tracer || fail "vgpuctl trace failed"
is() {
	expect "$1" "$2" "$(jq -c "$3" "$work/trace.json")"
}
device='[.[] | select(.cat == "device")]'
is "it is a trace" true 'length > 50 and all(.[]; .ph and .name and (.pid | type == "number"))'
is "rows have names" true '[.[] | select(.ph == "M") | .args.name // empty] |
	any(startswith("session ")) and any(startswith("guest thread ")) and any(. == "worker") and
	(map(select(startswith("device stream "))) | length >= 2)'
# Three passes over four pieces: one to warm up, two that count.
is "kernels with device times" 12 "$device | map(select(.name == \"launch\")) | length"
is "pieces on their way in, with device times" 12 "$device | map(select(.name == \"memcpy_h2d_arena\")) | length"
is "pieces on their way out, with device times" 12 "$device | map(select(.name == \"memcpy_d2h_arena\")) | length"
is "streams with kernels" 2 "$device | map(select(.name == \"launch\")) | group_by(.tid) | length"
is "each stream does one thing after another" true "$device | group_by(.tid) | all(.[]; sort_by(.args.seq) |
	[.[1:], .[:-1]] | transpose | all(.[]; .[0].ts >= .[1].ts + .[1].dur - 5))"
is "nothing ends before it begins, and kernels take time" true "$device |
	all(.[]; .dur >= 0) and all(.[] | select(.name == \"launch\"); .dur > 0)"
is "the device begins after the worker has the command" true "(map(select(.cat == \"worker\")) |
	map({key: (.args.seq | tostring), value: .ts}) | from_entries) as \$taken | $device |
	all(.[]; .ts > \$taken[.args.seq | tostring] - 2000)"
mediator_down
