#!/bin/bash
# SPDX-License-Identifier: MIT
# Pinned memory is registered before it is asked for: where there is time between requests none has to wait, and with
# register-ahead = 0 each of them does.
. "$(dirname "$0")/lib.sh"

# counters: "AHEAD LATE" of the session that runs.
counters() {
	status '[.vms[].sessions[] | select(.ran) | "\(.pinned_ahead) \(.pinned_late)"][0]'
}

# asked N: as many registrations were asked for, as counted by the worker.
asked() {
	local ahead late
	read -r ahead late <<<"$(counters)"
	[ "${ahead:-0}" != null ] && [ $((${ahead:-0} + ${late:-0})) -ge "$1" ]
}

export VGPU_COPY_THREADS=1
mediator_up
start pinned "$programs/pinned" 8 12 100
soon 10 asked 4 || fail "no registrations are counted: $(counters)"
read -r ahead late <<<"$(counters)"
[ "$ahead" -gt "$late" ] || fail "of $((ahead + late)) registrations only $ahead were ahead"
wait "$started" || fail "pinned memory that was registered ahead is not right"
mediator_down

mediator_options=(--register-ahead 0)
mediator_up
start pinned "$programs/pinned" 8 12 100
soon 10 asked 4 || fail "no registrations are counted: $(counters)"
read -r ahead late <<<"$(counters)"
expect "registrations ahead where none are wanted" 0 "$ahead"
wait "$started" || fail "pinned memory is not right"
mediator_down
