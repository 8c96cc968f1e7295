#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev bench --vms: launches from several virtual machines at once against one mediator. Where the guests run under TCG the
# times are the emulator's; what counts is how many doorbells and messages a thousand commands take.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
Usage: ./dev bench --vms [LIST] [--json FILE] [--as-built]

Boots as many virtual machines at once as each number of LIST says (1,2,4), lets
each launch empty kernels on the soft device (bench_launch), and prints for each
number: launches a second of all together, and doorbells of the guests and
socket messages to workers for each thousand commands. --json writes that as
Google Benchmark does. --as-built takes what lies in the build folder.

Exit status: 0 measured; 1 something broke; 2 wrong usage.
EOF
}

list=1,2,4 json='' as_built=$VGPU_BUNDLE
while [ $# -gt 0 ]; do
	case $1 in
	--json)
		[ $# -gt 1 ] || die_usage "--json needs a value" "see ./dev bench --vms --help"
		json=$2
		shift
		;;
	--as-built) as_built=yes ;;
	-h | --help) usage && exit 0 ;;
	-*) die_usage "bench --vms does not know '$1'" "see ./dev bench --vms --help" ;;
	*) list=$1 ;;
	esac
	shift
done
[[ $list =~ ^[1-8](,[1-8])*$ ]] || die_usage "'$list' is no list of numbers from 1 to 8"
if [ -z "$as_built" ]; then
	VGPU_BUILD=$VGPU_ROOT/build-release
	first=(-Dbuildtype=release)
	[ ! -f "$VGPU_BUILD/build.ninja" ] || first=()
	"$VGPU_ROOT/scripts/build.sh" ${first+"${first[@]}"} || exit 1
fi
bench=$VGPU_BUILD/bench/bench_launch
[ -x "$bench" ] || die "there is no $bench" "Google Benchmark is missing: run ./dev setup"
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-bench.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# machines N: that many at once; what each printed is in $dir/N.I.json.
machines() {
	local n=$1 i pids=()
	for ((i = 0; i < n; i++)); do
		"$VGPU_ROOT/dev" vm --socket "$dir/mediator.sock" --device-args channels=2 --timeout 300 -- \
			"$bench" --benchmark_filter='ten_sustained/streams:1/real_time$' --benchmark_min_time=2 \
			--benchmark_format=json >"$dir/$n.$i.json" 2>"$dir/$n.$i.log" &
		pids+=($!)
	done
	for ((i = 0; i < n; i++)); do
		wait "${pids[i]}" || { cat "$dir/$n.$i.log" >&2; die "machine $((i + 1)) of $n failed"; }
	done
}

# counted N: the sum over machines and their sessions, as a benchmark of Google Benchmark's JSON.
counted() {
	"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$dir/control.sock" --json status |
		jq -c --argjson n "$1" --slurpfile guests <(cat "$dir/$1".*.json) '
		[.vms[] | select(.transport == "pci").ended[].hops] as $hops
		| ($hops | map(.guest_commands) | add) as $commands
		| ([$guests[].benchmarks[].items_per_second] | add) as $rate
		| { name: "vms/launch/vms:\($n)", run_name: "vms/launch/vms:\($n)", run_type: "iteration", repetitions: 1,
		    repetition_index: 0, threads: 1, iterations: $commands, real_time: (1e9 / $rate), cpu_time: 0,
		    time_unit: "ns", items_per_second: $rate,
		    doorbells_per_1000: (1000 * ($hops | map(.guest_doorbells) | add) / $commands),
		    messages_per_1000: (1000 * ($hops | map(.worker_wakes) | add) / $commands) }'
}

printf '%-6s %14s %14s %22s %21s\n' VMs launches/s commands 'doorbells/1000 cmds' 'messages/1000 cmds'
for n in ${list//,/ }; do
	mediator_start "$dir" --device soft
	machines "$n"
	counted "$n" >>"$dir/results" || die "the mediator's counters cannot be read"
	mediator_stop
	tail -n 1 "$dir/results" | jq -r '[(.name | sub(".*:"; "")), .items_per_second, .iterations, .doorbells_per_1000,
		.messages_per_1000] | @tsv' |
		awk -F '\t' '{ printf "%-6s %14.0f %14d %22.3f %21.3f\n", $1, $2, $3, $4, $5 }'
done
[ -z "$json" ] || jq -s '{context: {executable: "bench-vms.sh"}, benchmarks: .}' "$dir/results" >"$json"
