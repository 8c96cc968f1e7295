#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev bench: every program bench_* of an optimised build, over the unix transport, against a
# mediator of its own. With --report by bench/report, which runs them and writes what they found.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<'EOF'
Usage: ./dev bench [--device auto|cuda|soft] [NAME...] [-- OPTION...]
       ./dev bench --report DIR [--quick] [--repetitions N] [--update-docs] [NAME...]
       ./dev bench --compare DIR DIR
       ./dev bench --rewrite DIR [--update-docs]
       ./dev bench --gpu [OPTION...]
       ./dev bench --vms [OPTION...]

Builds everything with optimisation into build-release/, starts a mediator, and
runs the benchmarks over the unix transport: all of them, or those named (NAME
for bench_NAME). Options after -- go to each benchmark, for example
--benchmark_filter=REGEX. On a machine without a GPU the soft device computes;
what it measures then is the path, not the computing. --as-built takes what lies
in the build folder.

--report writes a report into DIR: the results as JSON and CSV, pictures as PNG
and SVG, report.md and report.html. Each benchmark is repeated N times (9);
--quick repeats 3 times for 10 ms each, which only shows that it works.
--update-docs puts it into docs/PERFORMANCE.md, too. --rewrite makes the report
in DIR again from its raw results, which may come from another machine.
Packages that this needs are installed (packages-report.txt).

--compare says which benchmarks of the second report differ from the first, by
the medians and a Mann-Whitney U test.

With --gpu it compares this machine's driver with the mediator, operation by
operation: see ./dev bench --gpu --help. With --vms it counts what launches from
several virtual machines at once take: see ./dev bench --vms --help.

Exit status: 0 done; 1 something failed; 2 wrong usage; 3 compared, and
something is slower.
EOF
}

if [ "${1:-}" = --gpu ]; then
	shift
	exec "$VGPU_ROOT/scripts/bench-gpu.sh" "$@"
fi
if [ "${1:-}" = --vms ]; then
	shift
	exec "$VGPU_ROOT/scripts/bench-vms.sh" "$@"
fi
device=auto benches=() as_built=$VGPU_BUNDLE report='' rewrite='' compare=() repetitions=9 seconds=0.1 update=()
while [ $# -gt 0 ]; do
	case $1 in
	--device | --report | --repetitions | --rewrite | --compare)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see ./dev bench --help"
		case $1 in
		--device) device=$2 ;;
		--report) report=$2 ;;
		--repetitions) repetitions=$2 ;;
		--rewrite) rewrite=$2 ;;
		--compare)
			[ $# -gt 2 ] || die_usage "--compare needs two directories" "see ./dev bench --help"
			compare=("$2" "$3")
			shift
			;;
		esac
		shift
		;;
	--quick) repetitions=3 seconds=0.01 ;;
	--as-built) as_built=yes ;;
	--update-docs) update=(--update-docs "$VGPU_ROOT/docs/PERFORMANCE.md") ;;
	-h | --help) usage && exit 0 ;;
	--) shift && break ;;
	-*) die_usage "bench does not know '$1'" "see ./dev bench --help" ;;
	*) benches+=("$1") ;;
	esac
	shift
done
[[ $repetitions =~ ^[1-9][0-9]?$ ]] || die_usage "--repetitions: '$repetitions' is not a number from 1 to 99"
[ ${#update[@]} -eq 0 ] || [ -n "$report$rewrite" ] || die_usage "--update-docs needs --report or --rewrite"

case $device in
auto | cuda | soft) ;;
*) die_usage "--device wants auto, cuda or soft, not '$device'" ;;
esac
# Before minutes of compiling; what is a source and no benchmark is seen when all is built.
for name in ${benches+"${benches[@]}"}; do
	[ -n "$as_built" ] || [ -f "$VGPU_ROOT/bench/$name.c" ] || die_usage "there is no benchmark '$name'" "NAME is that of bench_NAME, see bench/"
done

# report_tool ARGUMENT...: bench/report with its packages.
report_tool() {
	"$(python)" "$VGPU_ROOT/bench/report" "$@"
}

if [ -n "$report$rewrite${compare[*]+yes}" ] && [ -z "$as_built" ]; then
	"$VGPU_ROOT/scripts/setup.sh" report || exit 1
fi
if [ ${#compare[@]} -gt 0 ]; then
	report_tool compare "${compare[@]}"
	exit
elif [ -n "$rewrite" ]; then
	report_tool write ${update+"${update[@]}"} "$rewrite"
	exit
fi

if [ -z "$as_built" ]; then
	VGPU_BUILD=$VGPU_ROOT/build-release
	first=(-Dbuildtype=release)
	[ ! -f "$VGPU_BUILD/build.ninja" ] || first=()
	"$VGPU_ROOT/scripts/build.sh" ${first+"${first[@]}"} || exit 1
fi
. "$VGPU_ROOT/scripts/mediator.sh"
if [ ${#benches[@]} -eq 0 ]; then
	for f in "$VGPU_BUILD"/bench/bench_*; do
		# That one has a report of its own: --gpu.
		[ "$f" != "$VGPU_BUILD/bench/bench_driver" ] || continue
		[ ! -f "$f" ] || [ ! -x "$f" ] || benches+=("$(basename "$f" | sed s/^bench_//)")
	done
fi
[ ${#benches[@]} -gt 0 ] || die "there is no benchmark in $VGPU_BUILD/bench"
for name in "${benches[@]}"; do
	[ -x "$VGPU_BUILD/bench/bench_$name" ] || die "there is no benchmark '$name'"
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-bench.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Room for a pinned GiB.
mediator_start "$dir" --device "$device" --shm-size 4G
export VGPU_SOCKET_PATH=$dir/mediator.sock VGPU_TRANSPORT=unix
library=$VGPU_BUILD/shim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
recordings=()
if [[ " ${benches[*]} " == *" replay "* ]]; then
	say "recording what bench_replay sends"
	"$VGPU_ROOT/bench/record-workloads.sh" --out "$dir/recordings" --small || exit 1
	recordings=("$dir"/recordings/*.rec)
fi

# command NAME: the words of bench_NAME, each with a tab behind it.
command_of() {
	printf '%s\t' "$VGPU_BUILD/bench/bench_$1"
	[ "$1" != replay ] || printf '%s\t' "${recordings[@]}"
}

if [ -n "$report" ]; then
	programs=()
	for name in "${benches[@]}"; do
		programs+=(--program "$(command_of "$name")")
	done
	report_tool run --out "$report" --build "$VGPU_BUILD" --revision "$(revision)" --device "$device" \
		--library-path "$library" ${update+"${update[@]}"} "${programs[@]}" -- "--benchmark_repetitions=$repetitions" \
		"--benchmark_min_time=$seconds" "$@" || exit 1
	good "$report/report.md, $report/report.html"
	exit
fi
status=0
for name in "${benches[@]}"; do
	say "bench_$name"
	IFS=$'\t' read -ra words < <(command_of "$name" && echo)
	LD_LIBRARY_PATH=$library "${words[@]}" "$@" || status=1
done
exit $status
