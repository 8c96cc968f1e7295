#!/bin/bash
# SPDX-License-Identifier: MIT
# A program that is recorded runs as before, and its recording, sent again, gives the same results; what cannot be written
# does not disturb the program, and what cannot be replayed is refused with a reason.
. "$(dirname "$0")/lib.sh"
replay=$VGPU_BUILD/bench/bench_replay
mediator_up

# record NAME VARIABLE=VALUE... -- PROGRAM ARGUMENT...: into $work/NAME.rec.
record() {
	local name=$1 settings=()
	shift
	while [ "$1" != -- ]; do
		settings+=("$1")
		shift
	done
	shift
	env "VGPU_RECORD=$work/$name.rec" ${settings+"${settings[@]}"} "$@" >"$work/$name.log" 2>&1 || fail "$name, recorded: it fails"
}

# refused FILE TEXT
refused() {
	local said
	said=$("$replay" --check "$1" 2>&1) && fail "replaying $1 succeeds"
	grep -q "^bench_replay: $1: .*$2" <<<"$said" || fail "replaying $1: wanted '$2', got: $said"
}

for name in vectoradd matmul; do
	record $name VGPU_RECORD_DATA=all -- "$programs/$name"
	says $name 'right:' || fail "$name, recorded: wrong results"
	"$replay" --check "$work/$name.rec" >"$work/replay.log" 2>&1 || fail "$name: $(cat "$work/replay.log")"
	grep -q ' 1 launches, [1-9][0-9]* results compared' "$work/replay.log" || fail "$name: $(cat "$work/replay.log")"
	"$replay" --check --paced "$work/$name.rec" >"$work/replay.log" 2>&1 || fail "$name, paced: $(cat "$work/replay.log")"
done
"$(python)" "$VGPU_ROOT/tests/functional/tamper.py" "$work/matmul.rec" "$work/tampered.rec" || fail "there is no result to change"
refused "$work/tampered.rec" 'result 1 .* is not what it was'

# Without data the stream is the same, and nothing is compared.
record none VGPU_RECORD_DATA=none -- "$programs/vectoradd"
[ "$(stat -c %s "$work/none.rec")" -lt "$(stat -c %s "$work/vectoradd.rec")" ] || fail "data are recorded that were not asked for"
"$replay" --check "$work/none.rec" >"$work/replay.log" 2>&1 || fail "without data: $(cat "$work/replay.log")"
grep -q ' 0 results compared' "$work/replay.log" || fail "without data: $(cat "$work/replay.log")"

# In register mode the stream is the same.
record register VGPU_BATCH=0 VGPU_RECORD_DATA=all -- "$programs/vectoradd"
"$replay" --check "$work/register.rec" >"$work/replay.log" 2>&1 || fail "register mode: $(cat "$work/replay.log")"

# As a benchmark.
"$replay" "$work/matmul.rec" --benchmark_min_time=0.01 --benchmark_format=json >"$work/bench.json" 2>"$work/bench.log" ||
	fail "it does not measure"
expect "figures" '["replay/full/matmul/manual_time",true,true]' "$(jq -c '.benchmarks[0] |
	[.name, .items_per_second > 0, .of_recorded > 0]' "$work/bench.json")"

# A program beside its replay, as a table. There is no other driver here: ours stands for the machine's, too.
"$VGPU_ROOT/bench/record-workloads.sh" --out "$work/table" --device soft sh -c "'$programs/vectoradd' && echo replayed 20.5 ms" \
	>"$work/table.log" 2>&1 || fail "no table of replays: $(tail -n 5 "$work/table.log")"
expect "program's line" 1 "$(grep -cE '^replayed +20.500 +20.500 +1.000$' "$work/table/replay.txt")"
expect "replay's line" 1 "$(grep -cE '^replay/full/workload-[0-9]+/manual_time( +[0-9.]+){2} +20.5 +[0-9.]+$' "$work/table/replay.txt")"

# %p, and two processes with one file.
record 'many-%p' -- "$programs/vectoradd"
[ -n "$(find "$work" -name 'many-[0-9]*.rec')" ] || fail "%p is not the number of the process"
start holder env "VGPU_RECORD=$work/shared.rec" "$programs/hold"
soon 20 says holder holding || fail "nothing holds the file"
record shared -- "$programs/vectoradd"
says shared 'error.*VGPU_RECORD.*busy' || fail "a second process takes the file of the first"

# What cannot be written.
for file in "$work/none/x.rec" /dev/full; do
	VGPU_RECORD=$file VGPU_RECORD_DATA=all "$programs/vectoradd" >"$work/full.log" 2>&1 || fail "$file: the program fails"
	says full 'right:' || fail "$file: wrong results"
	expect "$file: lines" 1 "$(grep -c "VGPU_RECORD: .*'$file'.*the program goes on" "$work/full.log")"
done

# What is no recording, or not all of one.
good=$work/matmul.rec
refused "$work/nowhere.rec" 'cannot be opened'
refused "$work/mediator.log" 'not a recording'
head -c 1000 "$good" >"$work/cut.rec"
refused "$work/cut.rec" 'not whole'
head -c -8 "$good" >"$work/cut.rec"
refused "$work/cut.rec" 'not whole'
{ head -c 30000 "$good" && printf 'xx' && tail -c +30003 "$good"; } >"$work/bad.rec"
refused "$work/bad.rec" 'damaged'
"$replay" 2>/dev/null
expect "status for wrong usage" 2 $?
mediator_down
