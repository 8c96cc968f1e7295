# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the functional tests: a mediator of the test's own in a folder of its own, everything gone at the end.
set -u
VGPU_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$VGPU_ROOT/scripts/common.sh"
. "$VGPU_ROOT/tests/lib.sh"
bin=$VGPU_BUILD/uring-mediator
# The tests that source this use it.
# shellcheck disable=SC2034
programs=$VGPU_BUILD/tests/programs
work=$(mktemp -d)
mediator_pid=
pids=()
export VGPU_SOCKET_PATH=$work/mediator.sock VGPU_TRANSPORT=unix
# The mediator is to find the real driver.
host_path=${LD_LIBRARY_PATH:-}
export LD_LIBRARY_PATH=$VGPU_BUILD/shim:$VGPU_BUILD/shim/nvml${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

finish() {
	local status=$? p
	for p in ${pids+"${pids[@]}"} $mediator_pid; do
		kill -KILL "$p" 2>/dev/null
	done
	wait 2>/dev/null
	[ $status -eq 0 ] || [ $status -eq 77 ] || tail -n 40 "$work"/*.log >&2
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

ctl() {
	"$bin/vgpuctl" --control "$work/control.sock" "$@"
}

# status FILTER: what jq's filter says of the mediator's state.
status() {
	ctl --json status | jq -r "$1"
}

# status_is FILTER WANTED
status_is() {
	[ "$(status "$1" 2>/dev/null)" = "$2" ]
}

# mediator_up: returns when a worker is ready. $mediator_options are added to the command line.
mediator_up() {
	LD_LIBRARY_PATH=$host_path "$bin/vgpu-mediator" --socket "$work/mediator.sock" --control "$work/control.sock" \
		--device "${VGPU_TEST_DEVICE:-soft}" ${mediator_options+"${mediator_options[@]}"} >>"$work/mediator.log" 2>&1 </dev/null &
	mediator_pid=$!
	soon 20 status_is '.pool.ready > 0' true || fail "no worker became ready"
}

# Asks the mediator to end, which it must do with status 0 and without leaving its sockets.
mediator_down() {
	local code
	kill -TERM "$mediator_pid"
	wait "$mediator_pid"
	code=$?
	mediator_pid=
	expect "the mediator's exit status" 0 $code
	[ ! -e "$work/mediator.sock" ] || fail "the mediator left its socket"
}

# start NAME COMMAND...: in the background, output in $work/NAME.log; its pid is in $started.
start() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 </dev/null &
	started=$!
	pids+=("$started")
}

says() {
	grep -q "$2" "$work/$1.log" 2>/dev/null
}

# shellcheck disable=SC2034
live_sessions='[.vms[].sessions[] | select(.state != "dead")] | length'
# shellcheck disable=SC2034
memory_used='[.vms[].memory_used] | add // 0'
