#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What a ready worker costs: memory of the GPU (nvidia-smi), memory of the host (its own share, PSS, of all its
# processes' pages) and the time until it is ready, for pools of several sizes.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
Usage: tests/gpu/worker_cost.sh [--device cuda|soft] [--json FILE] [POOL...]

Starts a mediator with a pool of POOL workers (default: 1 2 4 8), one size after
another, and prints what each worker takes on the average.
Exit status: 0, 1 if a pool did not fill, 77 without a GPU.
EOF
}

device=cuda json='' pools=()
while [ $# -gt 0 ]; do
	case $1 in
	--device | --json)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see tests/gpu/worker_cost.sh --help"
		declare "${1#--}=$2"
		shift
		;;
	-h | --help) usage && exit 0 ;;
	*)
		[[ $1 =~ ^[1-9][0-9]?$ ]] || die_usage "'$1' is not a size of a pool from 1 to 99"
		pools+=("$1")
		;;
	esac
	shift
done
[ ${#pools[@]} -gt 0 ] || pools=(1 2 4 8)
if [ "$device" = cuda ] && [ ! -e /dev/nvidiactl ]; then
	say "there is no NVIDIA GPU on this machine: skipped"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-cost.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# MiB of the first GPU in use; 0 where there is none.
gpu_used() {
	nvidia-smi --id=0 --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null || echo 0
}

ready() {
	"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$dir/control.sock" --json status 2>/dev/null | jq .pool.ready
}

# KiB of the mediator's workers without the one that answers NVML, a shared page counted in parts.
workers_pss() {
	local p
	for p in $(pgrep -P "$mediator_pid"); do
		grep -qz -- --monitor "/proc/$p/cmdline" && continue
		sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$p/smaps_rollup"
	done | awk '{ sum += $1 } END { print sum + 0 }'
}

printf '%6s %16s %18s %14s\n' workers 'GPU MiB each' 'host MiB each' 'all ready, ms'
for pool in "${pools[@]}"; do
	before=$(gpu_used)
	start=$(date +%s%N)
	mediator_start "$dir" --device "$device" --pool "$pool"
	for ((n = 0; n < 600; n++)); do
		[ "$(ready)" != "$pool" ] || break
		sleep 0.05
	done
	if [ "$(ready)" != "$pool" ]; then
		mediator_stop
		die "the pool of $pool did not fill in 30 s" "$(tail -n 3 "$dir/mediator.log")"
	fi
	took=$((($(date +%s%N) - start) / 1000000))
	jq -n --argjson workers "$pool" --argjson gpu "$(($(gpu_used) - before))" --argjson host "$(workers_pss)" \
		--argjson ms $took '{workers: $workers, gpu_mib: ($gpu / $workers), host_mib: ($host / 1024 / $workers), ready_ms: $ms}'
	mediator_stop
done | tee "$dir/cost.json" | jq -r '[.workers, .gpu_mib, .host_mib, .ready_ms] | @tsv' |
	awk '{ printf "%6d %16.1f %18.1f %14d\n", $1, $2, $3, $4 }'
status=${PIPESTATUS[0]}
[ -z "$json" ] || jq -s . "$dir/cost.json" >"$json"
exit "$status"
