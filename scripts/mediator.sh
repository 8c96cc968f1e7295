# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Starting and stopping a mediator of one's own. Sourced by vm.sh and demo.sh after common.sh.

mediator_pid=

# mediator_start DIR: the socket is DIR/mediator.sock, the log DIR/mediator.log.
mediator_start() {
	local dir=$1 n=0 bin=$VGPU_BUILD/uring-mediator/vgpu-mediator
	[ -x "$bin" ] || die "there is no $bin" "run ./dev build"
	"$bin" --socket "$dir/mediator.sock" >"$dir/mediator.log" 2>&1 </dev/null &
	mediator_pid=$!
	while [ ! -S "$dir/mediator.sock" ]; do
		n=$((n + 1))
		if ! kill -0 $mediator_pid 2>/dev/null || [ $n -gt 200 ]; then
			tail -n 20 "$dir/mediator.log" >&2
			die "the mediator did not start"
		fi
		sleep 0.05
	done
}

# Asks first; a mediator that does not end within 5 s is killed.
mediator_stop() {
	local n=0
	[ -n "$mediator_pid" ] || return 0
	kill "$mediator_pid" 2>/dev/null
	while kill -0 "$mediator_pid" 2>/dev/null && [ $n -lt 100 ]; do
		n=$((n + 1))
		sleep 0.05
	done
	kill -KILL "$mediator_pid" 2>/dev/null
	wait "$mediator_pid" 2>/dev/null
	mediator_pid=
}
