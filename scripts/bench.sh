#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev bench: every program bench_* of an optimised build, over the unix transport, against a
# mediator of its own.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<'EOF'
Usage: ./dev bench [--device auto|cuda|soft] [NAME...] [-- OPTION...]
       ./dev bench --gpu [OPTION...]

Builds everything with optimisation into build-release/, starts a mediator, and
runs the benchmarks over the unix transport: all of them, or those named (NAME
for bench_NAME). Options after -- go to each benchmark, for example
--benchmark_filter=REGEX. On a machine without a GPU the soft device computes;
what it measures then is the path, not the computing.

With --gpu it compares this machine's driver with the mediator, operation by
operation: see ./dev bench --gpu --help.
EOF
}

if [ "${1:-}" = --gpu ]; then
	shift
	exec "$VGPU_ROOT/scripts/bench-gpu.sh" "$@"
fi
device=auto
benches=()
while [ $# -gt 0 ]; do
	case $1 in
	--device)
		[ $# -gt 1 ] || die_usage "--device needs a value" "see ./dev bench --help"
		device=$2
		shift
		;;
	-h | --help) usage && exit 0 ;;
	--) shift && break ;;
	-*) die_usage "bench does not know '$1'" "see ./dev bench --help" ;;
	*) benches+=("$1") ;;
	esac
	shift
done

[ -n "$VGPU_BUNDLE" ] || VGPU_BUILD=$VGPU_ROOT/build-release
. "$VGPU_ROOT/scripts/mediator.sh"
first=(-Dbuildtype=release)
[ ! -f "$VGPU_BUILD/build.ninja" ] || first=()
"$VGPU_ROOT/scripts/build.sh" ${first+"${first[@]}"} || exit 1
if [ ${#benches[@]} -eq 0 ]; then
	for f in "$VGPU_BUILD"/bench/bench_*; do
		# That one has a report of its own: --gpu.
		[ "$f" != "$VGPU_BUILD/bench/bench_driver" ] || continue
		[ ! -f "$f" ] || [ ! -x "$f" ] || benches+=("$(basename "$f" | sed s/^bench_//)")
	done
fi
[ ${#benches[@]} -gt 0 ] || die "there is no benchmark in $VGPU_BUILD/bench"

dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-bench.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mediator_start "$dir" --device "$device"
status=0
for name in "${benches[@]}"; do
	[ -x "$VGPU_BUILD/bench/bench_$name" ] || die "there is no benchmark '$name'"
	say "bench_$name"
	env "VGPU_SOCKET_PATH=$dir/mediator.sock" VGPU_TRANSPORT=unix \
		"LD_LIBRARY_PATH=$VGPU_BUILD/shim" "$VGPU_BUILD/bench/bench_$name" "$@" || status=1
done
exit $status
