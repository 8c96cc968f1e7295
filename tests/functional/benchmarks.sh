#!/bin/bash
# SPDX-License-Identifier: MIT
# Every benchmark of libcuda.so.1 works: each of its measurements ends without an error, with a time. Small sizes and few
# handles; the figures mean nothing here.
. "$(dirname "$0")/lib.sh"
mediator_up
run() {
	local name=$1 filter=$2 least=$3
	timeout -k 5 60 "$VGPU_BUILD/bench/bench_$name" --benchmark_min_time=0.001 "--benchmark_filter=$filter" \
		--benchmark_out="$work/$name.json" --benchmark_out_format=json >"$work/$name.log" 2>&1 ||
		fail "bench_$name failed"
	expect "bench_$name: times" "true" "$(jq "[.benchmarks[] | select(.error_occurred | not) | .real_time > 0] |
		length >= $least and all" "$work/$name.json")"
	expect "bench_$name: errors" 0 "$(jq '[.benchmarks[] | select(.error_occurred)] | length' "$work/$name.json")"
	kill -0 "$mediator_pid" 2>/dev/null || fail "the mediator died under bench_$name"
}
run channel 'bytes:(64|4096)/' 8
run code 'kib:(64|1024)/' 6
run copy 'bytes:(8|64|4096|262144)/' 15
run event . 5
run growth ':10/' 48
run launch '.*(streams|processes):[12]/|synchronize' 16
run worker . 5
run query . 11
run stages ':[1-3]/' 6
[ ! -x "$VGPU_BUILD/bench/bench_allocation" ] || run allocation '_|bytes:(512|262144)/' 10
expect "latencies" "true" "$(jq '[.benchmarks[] | select(.name | startswith("event/record_and_synchronize")) |
	.p50_ns > 0 and .p50_ns <= .p99_ns and .p99_ns <= .p999_ns] | all' "$work/event.json")"
mediator_down
