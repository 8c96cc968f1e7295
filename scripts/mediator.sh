# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Starting and stopping a mediator of one's own. Sourced by vm.sh and demo.sh after common.sh.

mediator_pid=

# mediator_start DIR [OPTION...]: its sockets are DIR/mediator.sock and DIR/control.sock, its log
# is DIR/mediator.log. Returns when it listens.
mediator_start() {
	local dir=$1 n=0 bin=$VGPU_BUILD/uring-mediator/vgpu-mediator
	shift
	[ -x "$bin" ] || die "there is no $bin" "run ./dev build"
	rm -f "$dir/mediator.sock"
	"$bin" --socket "$dir/mediator.sock" --control "$dir/control.sock" "$@" >>"$dir/mediator.log" 2>&1 </dev/null &
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
