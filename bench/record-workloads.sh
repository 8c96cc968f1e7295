#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Makes the recordings that bench_replay sends: of small programs of our own, or of a program that is named, which is then
# also compared with itself on the bare driver.
set -u
given=${VGPU_BUILD:-}
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
Usage: bench/record-workloads.sh --out DIR --small
       bench/record-workloads.sh --out DIR [--device cuda|soft] COMMAND...

--small records programs of this tree into DIR/NAME.rec, through the mediator at
VGPU_SOCKET_PATH.

COMMAND is a CUDA program on a machine with a GPU, for example

    bench/record-workloads.sh --out gpt2 python3 workload.py

It is run on the machine's driver, then through a mediator of this tree, then
again and recorded, and the recordings are replayed. Its lines 'NAME NUMBER ms'
on stdout are shown side by side. A replay measures what the program does between
cuProfilerStart and cuProfilerStop (torch.cuda.profiler.start() and stop(), with a
synchronisation before each); if the program prints the time of that part as
'replayed NUMBER ms', the replay is compared with it. DIR keeps the
recordings, what the program printed, and the table (replay.txt).

Everything is taken from $VGPU_BUILD (default: build-release/).
Exit status: 0 done, whatever the figures; 1 something failed; 2 wrong usage.
EOF
}

[ -n "$VGPU_BUNDLE$given" ] || VGPU_BUILD=$VGPU_ROOT/build-release
out='' small='' device=cuda
while [ $# -gt 0 ]; do
	case $1 in
	--out | --device)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see bench/record-workloads.sh --help"
		[ "$1" = --out ] && out=$2 || device=$2
		shift
		;;
	--small) small=yes ;;
	-h | --help) usage && exit 0 ;;
	--) shift && break ;;
	-*) die_usage "record-workloads does not know '$1'" "see bench/record-workloads.sh --help" ;;
	*) break ;;
	esac
	shift
done
[ -n "$out" ] || die_usage "--out is missing" "see bench/record-workloads.sh --help"
[ -n "$small" ] || [ $# -gt 0 ] || die_usage "no program is named" "see bench/record-workloads.sh --help"
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1

# through_shim COMMAND...: with our library before all others.
through_shim() {
	LD_LIBRARY_PATH=$VGPU_BUILD/shim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} VGPU_TRANSPORT=unix "$@"
}

# record NAME COMMAND...
record() {
	local name=$1
	shift
	VGPU_RECORD=$out/$name.rec through_shim "$@" >"$out/$name.log" 2>&1 ||
		die "$1 failed while it was recorded" "$(tail -n 3 "$out/$name.log")"
}

if [ -n "$small" ]; then
	record vectoradd "$VGPU_BUILD/tests/programs/vectoradd"
	record matmul "$VGPU_BUILD/tests/programs/matmul"
	record launches "$VGPU_BUILD/bench/bench_driver" --repetitions 1 launch_10_sustained launch_4k_sustained
	record mixed "$VGPU_BUILD/bench/bench_driver" --repetitions 1 launch_sync h2d_8_sustained d2h_8 event_record alloc_free
	exit
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-record.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# NAME and NUMBER of each line 'NAME NUMBER ms'.
times() {
	awk 'NF == 3 && $3 == "ms" && $2 + 0 > 0 { print $1, $2 }' "$1" | sort -k 1,1
}

side_by_side() {
	printf '%-28s %12s %12s %8s\n' 'printed by the program' 'native, ms' 'mediated, ms' ratio
	join <(times "$out/native.txt") <(times "$out/mediated.txt") |
		awk '{ printf "%-28s %12.3f %12.3f %8.3f\n", $1, $2, $3, $3 / $2 }'
}

replays() {
	local native
	native=$(times "$out/native.txt" | awk '$1 == "replayed" { print $2 }')
	printf '\n%-28s %12s %12s %12s %8s\n' replay 'replay, ms' 'recorded, ms' 'native, ms' ratio
	"$VGPU_BUILD/bench/bench_replay" "$out"/workload-*.rec --benchmark_format=json 2>"$dir/replay.log" |
		jq -r '.benchmarks[] | [.name, .real_time / 1e6, .recorded_ns / 1e6, (.error_message // "")] | @tsv' |
		awk -F '\t' -v native="${native:-0}" '{
			if ($4 != "") { printf "%-28s %s\n", $1, $4; next }
			ratio = (native > 0) ? sprintf("%8.3f", $2 / native) : "       -"
			printf "%-28s %12.3f %12.3f %12s %s\n", $1, $2, $3, (native > 0 ? native : "-"), ratio }'
}

say "natively"
"$@" >"$out/native.txt" 2>"$out/native.err" || die "$1 fails on this machine's driver" "$(tail -n 3 "$out/native.err")"
mediator_start "$dir" --device "$device"
export VGPU_SOCKET_PATH=$dir/mediator.sock
say "through the mediator"
through_shim "$@" >"$out/mediated.txt" 2>"$out/mediated.err" || die "$1 fails" "$(tail -n 3 "$out/mediated.err")"
say "recorded"
rm -f "$out"/workload-*.rec
record workload-%p "$@"
{
	side_by_side
	replays
} | tee "$out/replay.txt"
