#!/bin/bash
# SPDX-License-Identifier: MIT
# The comparison of a driver with the mediator works and is complete; our own library stands in for the driver. The
# figures mean nothing here.
. "$(dirname "$0")/lib.sh"
compare=$VGPU_ROOT/scripts/bench-gpu.sh
"$compare" --as-built --quick --rounds 2 --processes 1,2,3 --baseline "$VGPU_BUILD/shim" --device soft --out "$work/out" \
	>"$work/bench.log" 2>&1 || fail "the comparison failed"
json=$work/out/bench-gpu.json
names=$("$VGPU_BUILD/bench/bench_driver" --help | sed '1,/^Names:/d')
[ "$(wc -w <<<"$names")" -gt 15 ] || fail "bench_driver names too few operations"
for name in $names; do
	samples=4
	[ "$name" != init ] || samples=6	# three processes in each round
	expect "$name: complete" "[$samples,$samples,true]" "$(jq -c --arg name "$name" '.operations[] |
		select(.name == $name) | [(.native.samples | length), (.mediated.samples | length), .ratio > 0]' "$json")"
done
expect "bounds" 16 "$(jq '[.operations[] | select(.wanted != null and .met != null)] | length' "$json")"
expect "several processes" '[[2,true],[3,true]]' "$(jq -c --argjson n $(($(wc -w <<<"$names") - 1)) '[.together[] |
	[.processes, ((.operations | length) == $n and (.operations | all(.native.median > 0 and .mediated.median > 0)))]]' "$json")"
# Three tables; processes that only initialise are in the first.
expect "lines of the tables" $((3 * $(wc -w <<<"$names") - 2)) "$(grep -c ' \.\. ' <(tail -n +6 "$work/out/bench-gpu.txt"))"
expect "trace" '[8,16,2,true]' "$(jq -c '.trace | [.kernels, .copies, .streams, .kernel_us > 0]' "$json")"
"$VGPU_BUILD/bench/bench_driver" no-such-name 2>/dev/null
expect "status for wrong usage" 2 $?
"$VGPU_BUILD/bench/bench_driver" --library "$work/none.so" --quick 2>/dev/null
expect "status without a driver" 77 $?
