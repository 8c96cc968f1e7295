#!/bin/bash
# SPDX-License-Identifier: MIT
# NVML through the mediator: memory under the VM's limit, the processes that there are and their memory, the load, no
# worker of the pool taken for it; and nothing of what other users run.
. "$(dirname "$0")/lib.sh"
[ "${VGPU_TEST_DEVICE:-soft}" = soft ] || exit 77
chmod 755 "$work"
mediator_options=(--memory-limit 256M --allow-uids "$(id -u),65534")
mediator_up
chmod 666 "$work/mediator.sock"
mib=$((1024 * 1024))

# fact NAME: what the monitor says of it.
fact() {
	"$programs/monitor" 2>>"$work/monitor.log" | sed -n "s/^$1 //p"
}

soon 10 status_is .pool.ready 2 || fail "the pool is not full"
expect "memory, nothing in use" "$((256 * mib)) $((256 * mib)) 0" "$(fact memory)"
expect "processes, none there" "" "$(fact process)"
expect "load of nothing" 0 "$(fact load)"
expect "temperature of a processor" 3 "$(fact temperature)"
expect "ready workers" 2 "$(status .pool.ready)"
start one "$programs/hold" 16
one=$started
soon 10 says one holding || fail "the first program does not hold its memory"
expect "the program's process" "$one $((16 * mib))" "$(fact process)"
expect "memory, 16 MiB in use" "$((256 * mib)) $((240 * mib)) $((16 * mib))" "$(fact memory)"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	start other setpriv --reuid 65534 --clear-groups "$programs/hold" 8
	soon 10 says other holding || fail "another user's program does not hold its memory"
	expect "processes, one is another's" "$one $((16 * mib))" "$(fact process)"
	kill -KILL "$started"
fi
kill -KILL "$one"
soon 10 status_is "$live_sessions" 0 || fail "a session is left"
expect "processes, all gone" "" "$(fact process)"
start busy "$programs/misbehave" loop
busy() {
	[ "$(fact load)" -gt 50 ]
}
soon 10 busy || fail "the load of a busy device is $(fact load)"
kill -KILL "$started"
soon 10 status_is "$live_sessions" 0 || fail "a monitor is left"
mediator_down
