#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev bench --gpu: bench_driver on the machine's driver and through a mediator over the unix transport, in turns within
# one run, because figures of different runs do not compare.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
Usage: ./dev bench --gpu [--out DIR] [--rounds N] [--processes LIST] [--quick]
                         [--baseline DIR] [--device cuda|soft] [--as-built]
                         [--update-docs]

Measures operations of the CUDA driver API on this machine's driver and through
a mediator, alternating, and prints medians with their spread, the ratio, and
the ratio that is wanted. Writes the table as DIR/bench-gpu.txt, all samples with
machine, GPU and versions as DIR/bench-gpu.json, and a trace of copies under
kernels as DIR/overlap-trace.json (default: bench-gpu/ in the build folder).
Then several processes at once, native beside mediated: LIST says how many
(1,2,4), and a figure is the time of one operation of any of them. Takes less
than two minutes. --quick only tries whether it works. --baseline DIR compares
with the libcuda.so.1 in DIR instead of the driver's. --as-built takes what lies
in the build folder; else everything is built with optimisation first.
--update-docs writes the table into docs/PERFORMANCE.md;
./dev bench --gpu --update-docs-from FILE does that with the bench-gpu.json of
another machine, and measures nothing.

Exit status: 0 measured, whatever the figures; 1 something broke; 2 wrong usage;
77 there is no GPU here.
EOF
}

# exec_update FILE: its table goes into docs/PERFORMANCE.md.
exec_update() {
	exec "$(python)" "$VGPU_ROOT/bench/report" gpu --update-docs "$VGPU_ROOT/docs/PERFORMANCE.md" "$1"
}

out='' update='' rounds=3 processes=1,2,4 baseline='' device=cuda as_built=$VGPU_BUNDLE options=()
while [ $# -gt 0 ]; do
	case $1 in
	--out | --rounds | --processes | --baseline | --device | --update-docs-from)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see ./dev bench --gpu --help"
		case $1 in
		--out) out=$2 ;;
		--rounds) rounds=$2 ;;
		--processes) processes=$2 ;;
		--baseline) baseline=$2 ;;
		--device) device=$2 ;;
		--update-docs-from) exec_update "$2" ;;
		esac
		shift
		;;
	--quick) options+=(--quick) ;;
	--as-built) as_built=yes ;;
	--update-docs) update=yes ;;
	-h | --help) usage && exit 0 ;;
	*) die_usage "bench --gpu does not know '$1'" "see ./dev bench --gpu --help" ;;
	esac
	shift
done
[[ $rounds =~ ^[1-9][0-9]?$ ]] || die_usage "--rounds: '$rounds' is not a number from 1 to 99"
[[ $processes =~ ^([1-9]|1[0-6])(,([1-9]|1[0-6]))*$ ]] || die_usage "--processes: '$processes' is no list of numbers from 1 to 16"
if [ -z "$baseline" ] && [ ! -e /dev/nvidiactl ]; then
	say "there is no NVIDIA GPU on this machine: skipped"
	exit 77
fi
if [ -z "$as_built" ]; then
	VGPU_BUILD=$VGPU_ROOT/build-release
	first=(-Dbuildtype=release)
	[ ! -f "$VGPU_BUILD/build.ninja" ] || first=()
	"$VGPU_ROOT/scripts/build.sh" ${first+"${first[@]}"} || exit 1
fi
command -v jq >/dev/null || die "there is no jq" "run ./dev setup"
out=${out:-$VGPU_BUILD/bench-gpu}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-bench.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The workers that start would disturb what is measured: until the pool is full.
pool_full() {
	local n=0
	until "$VGPU_BUILD/uring-mediator/vgpuctl" --control "$dir/control.sock" --json status 2>/dev/null |
		jq -e '.pool.ready > 0 and .pool.ready >= .pool.target' >/dev/null; do
		n=$((n + 1))
		[ $n -lt 300 ] || die "the mediator has no workers" "$(tail -n 3 "$dir/mediator.log")"
		sleep 0.1
	done
}

# driver PATH OPTION...: bench_driver with the libcuda.so.1 of that folder, or the loader's.
driver() {
	local path=$1
	shift
	env "LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+${path:+:}$LD_LIBRARY_PATH}" "VGPU_SOCKET_PATH=$dir/mediator.sock" \
		VGPU_TRANSPORT=unix timeout -k 5 120 "$VGPU_BUILD/bench/bench_driver" ${options+"${options[@]}"} "$@"
}

# measure KIND ROUND PATH OPTION...: one run, into $dir/KIND.ROUND.json.
measure() {
	local name=$1.$2 path=$3
	shift 3
	pool_full
	driver "$path" --json "$dir/$name.json" "$@" >"$dir/$name.log" 2>&1 ||
		{ cat "$dir/$name.log" "$dir/mediator.log" >&2; die "$name: bench_driver failed"; }
}

# several N: a run of each side with N processes at once.
several() {
	say "$1 processes at once"
	measure native_together "$1" "$baseline" --init-processes 0 --processes "$1"
	measure mediated_together "$1" "$VGPU_BUILD/shim" --init-processes 0 --processes "$1"
}

# A trace of the copies and kernels of two streams, and what it shows, as JSON.
traced() {
	pool_full
	"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$dir/control.sock" --seconds 5 --chrome "$out/overlap-trace.json" \
		trace 2>"$dir/trace.log" &
	local tracer=$!
	sleep 0.3
	driver "$VGPU_BUILD/shim" --repetitions 1 overlap >"$dir/overlap.log" 2>&1 ||
		{ cat "$dir/overlap.log" >&2; die "bench_driver failed while it was traced"; }
	wait $tracer || die "vgpuctl trace failed" "$(cat "$dir/trace.log")"
	jq -f "$VGPU_ROOT/scripts/overlap.jq" "$out/overlap-trace.json"
}

# What the reader of the figures has to know of this machine.
about() {
	jq -n --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" --arg cpus "$(nproc)" \
		--arg kernel "$(uname -r)" --arg load "$(cut -d ' ' -f 1 /proc/loadavg)" \
		--arg memory "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)" \
		--arg driver "$(sed -n 's/^NVRM version: *//p' /proc/driver/nvidia/version 2>/dev/null)" \
		--arg gpus "$(nvidia-smi -L 2>/dev/null | sed 's/ (UUID.*//')" \
		--arg vgpu "$("$VGPU_BUILD/uring-mediator/vgpuctl" --version)" --arg date "$(date -u +%FT%TZ)" \
		--arg revision "$(revision)" '{
			date: $date, vgpu: $vgpu, revision: $revision, transport: "unix",
			machine: {cpu: $cpu, cpus: ($cpus | tonumber), memory_kib: ($memory | tonumber), kernel: $kernel,
				  load_before: ($load | tonumber)},
			gpus: ($gpus | split("\n")), driver: $driver
		}'
}

# rows: operations as JSON, as lines of the table.
rows() {
	jq -r '.[] | [.title, .native.median, .native.min, .native.max, .mediated.median, .mediated.min,
		.mediated.max, .ratio, .wanted // "-", (if .met == null then "" elif .met then "met" else "MISSED" end)] | @tsv
		' | awk -F '\t' '
		function figure(x) { return sprintf(x < 100 ? "%.3f" : "%.0f", x) }
		function side(a, b, c) { return sprintf("%9s (%s .. %s)", figure(a), figure(b), figure(c)) }
		BEGIN { printf "%-47s %-31s %-31s %6s %6s\n", "operation", "   native", "   mediated", "ratio", "wanted" }
		{ printf "%-47s %-31s %-31s %6.3f %6s %s\n", $1, side($2, $3, $4), side($5, $6, $7), $8, $9, $10 }'
}

table() {
	local n
	jq -r '"\(.device), CUDA \(.cuda / 1000 | floor).\(.cuda % 1000 / 10 | floor), driver: \(.driver)",
		"\(.machine.cpu), \(.machine.cpus) CPUs, Linux \(.machine.kernel), \(.vgpu) (\(.revision)), unix transport",
		"\(.rounds) rounds of \(.repetitions) repetitions, in turns; median (least .. most), microseconds",
		"large: \(.large_bytes / 1048576) MiB; pieces: \(.pieces) of \(.piece_bytes / 1024) KiB, kernel of \(.overlap_loops) rounds"
		' "$out/bench-gpu.json"
	echo
	jq '.operations' "$out/bench-gpu.json" | rows
	for n in $(jq '.together[].processes' "$out/bench-gpu.json"); do
		printf '\n%s processes at once: the time of one operation of any of them\n\n' "$n"
		jq --argjson n "$n" '.together[] | select(.processes == $n) | .operations' "$out/bench-gpu.json" | rows
	done
	echo
	jq -r '.trace | "Traced: \(.copies) copies, \(.kernels) kernels in \(.streams) streams; " +
		(if .copy_us > 0 then "\(100 * .copy_under_kernels_us / .copy_us | floor) % of the copies\u0027 time, " +
		"their waiting included, lies under kernels of the other stream" else "no device times" end)
		' "$out/bench-gpu.json"
}

about=$(about) || exit 1
mediator_start "$dir" --device "$device"
for ((i = 0; i < rounds; i++)); do
	say "round $((i + 1)) of $rounds: native"
	measure native "$i" "$baseline" --init-processes 3
	# All that follow compute what the first one chose.
	[ "$i" -gt 0 ] || options+=(--overlap-loops "$(jq .overlap_loops "$dir/native.0.json")")
	say "round $((i + 1)) of $rounds: mediated"
	measure mediated "$i" "$VGPU_BUILD/shim" --init-processes 3
done
# One alone is measured by now.
for n in ${processes//,/ }; do
	[ "$n" = 1 ] || several "$n"
done
trace=$(traced) || exit 1
shopt -s nullglob
jq -n --argjson about "$about" --argjson trace "$trace" --slurpfile native <(cat "$dir"/native.*.json) \
	--slurpfile mediated <(cat "$dir"/mediated.*.json) \
	--slurpfile native_together <(cat "$dir"/native_together.*.json </dev/null) \
	--slurpfile mediated_together <(cat "$dir"/mediated_together.*.json </dev/null) -f "$VGPU_ROOT/scripts/bench-gpu.jq" >"$out/bench-gpu.json" ||
	die "the reports cannot be joined"
table | tee "$out/bench-gpu.txt"
[ -z "$update" ] || exec_update "$out/bench-gpu.json"
