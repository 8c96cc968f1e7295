#!/bin/bash
# SPDX-License-Identifier: MIT
# ./dev bench --report writes all that it promises, --update-docs its section, --compare finds a difference that is there
# and refuses directories that are no reports. The figures mean nothing here.
. "$(dirname "$0")/lib.sh"
"$(python)" -c 'import matplotlib, scipy' 2>/dev/null && [ -e /usr/share/benchmark/compare.py ] || {
	echo "the packages of packages-report.txt are not installed"
	exit 77
}
unset VGPU_SOCKET_PATH
bench() {
	"$VGPU_ROOT/scripts/bench.sh" --as-built --device soft "$@"
}
bench --quick --repetitions 9 --report "$work/a" ring path -- --benchmark_filter='producer_cost|throughput' \
	>"$work/a.log" 2>&1 || fail "there is no report"
grep -q '^\[2/2\] bench_path: done' "$work/a.log" || fail "no progress"
for f in report.md report.html benchmarks.csv samples.csv raw/bench_ring.json raw/bench_path.json; do
	[ -s "$work/a/$f" ] || fail "there is no $f"
done
for f in svg png; do
	[ -n "$(find "$work/a/plots" -name "ring-*.$f" -size +1k)" ] || fail "there is no picture of the ring as $f"
done
expect "what is known of the machine" '["soft",true,true]' "$(jq -c '.context.vgpu |
	[.device, (.machine.cpus > 0), (.flags.buildtype | length > 0)]' "$work/a/benchmarks.json")"
expect "programs" '["bench_path","bench_ring"]' "$(jq -c '[.benchmarks[].program] | unique' "$work/a/benchmarks.json")"
expect "repetitions" 9 "$(jq '[.benchmarks[] | select(.run_type == "iteration" and
	(.name | startswith("path/noop_throughput")))] | length' "$work/a/benchmarks.json")"
grep -q 'no-op commands executed in a second.*`path/noop_throughput' "$work/a/report.md" || fail "no figure that is wanted"

# Ten times as slow, all of it.
mkdir -p "$work/b/raw"
cp "$work/a/about.json" "$work/b/"
for f in bench_ring bench_path; do
	jq '.benchmarks[] |= (.real_time *= 10)' "$work/a/raw/$f.json" >"$work/b/raw/$f.json"
done
bench --rewrite "$work/b" || fail "a report cannot be made again from raw results"
bench --compare "$work/a" "$work/b" >"$work/compare.log"
expect "status when something is slower" 3 $?
grep -q '^path/noop_throughput.* 10\.000 .* slower$' "$work/compare.log" || fail "the difference is not seen: $(cat "$work/compare.log")"
bench --compare "$work/b" "$work/a" >"$work/compare.log"
expect "status when something is faster" 0 $?
bench --compare "$work/a" "$work/a" >"$work/compare.log"
expect "status for the same" 0 $?
grep -q ' 0 faster, 0 slower, ' "$work/compare.log" || fail "a report differs from itself"

# Odd directories.
mkdir "$work/empty" "$work/foreign"
touch "$work/foreign/letter"
for dir in none empty foreign a/report.md; do
	bench --compare "$work/a" "$work/$dir" 2>"$work/odd.log"
	expect "comparing with $dir" 1 $?
	grep -q "^error: .*$dir" "$work/odd.log" || fail "no word about $dir"
done
bench --quick --report "$work/foreign" ring 2>"$work/odd.log"
expect "a report over somebody's files" 1 $?
[ -e "$work/foreign/letter" ] || fail "somebody's file is gone"
bench --compare "$work/a" 2>/dev/null
expect "one directory" 2 $?
