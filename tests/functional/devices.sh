#!/bin/bash
# SPDX-License-Identifier: MIT
# Which devices a program sees: those that the mediator offers, chosen from by CUDA_VISIBLE_DEVICES. And a pool of none.
. "$(dirname "$0")/lib.sh"
[ "${VGPU_TEST_DEVICE:-soft}" = soft ] || exit 77
"$bin/vgpu-mediator" --socket "$work/mediator.sock" --control "$work/control.sock" --device soft --soft-devices 3 \
	--pool 0 >>"$work/mediator.log" 2>&1 </dev/null &
mediator_pid=$!
soon 10 status_is .pool.target 0 || fail "the mediator does not answer"
expect "devices in the log" 0 "$(grep -c 'device ready' "$work/mediator.log")"

# seen LIST: the devices that a program sees, on one line.
seen() {
	CUDA_VISIBLE_DEVICES=$1 "$programs/devices" 2>"$work/seen.log" | tr '\n' ' '
}

mapfile -t all < <("$programs/devices")
expect "number of devices" 3 ${#all[@]}
expect "devices by vgpuctl" 3 "$(status .device.count)"
expect "ready workers of a pool of 0" 0 "$(status .pool.ready)"
a=${all[0]} b=${all[1]} c=${all[2]}
expect "2,0" "$c $a " "$(seen 2,0)"
expect "one" "$b " "$(seen 1)"
expect "by UUID" "$b $a " "$(seen "$b,$a")"
expect "until the first that does not exist" "$c " "$(seen 2,7,0)"
expect "until the first that makes no sense" "$a $b " "$(seen 0,1,x,2)"
expect "none" "" "$(seen -1)"
says seen CUDA_ERROR_NO_DEVICE || fail "no device is another error"
expect "twice the same" "" "$(seen 1,1)"
start none env CUDA_VISIBLE_DEVICES=-1 "$programs/devices" stay
soon 10 says none 'cuInit: 100' || fail "cuInit without a device"
soon 5 status_is "$live_sessions" 0 || fail "a program without a device keeps a worker"
kill "$started"
# The beginning of a UUID that only one device has.
prefix() {
	local i
	for ((i = 5; i <= ${#1}; i++)); do
		[ "$(printf '%s\n' "${all[@]}" | grep -c "^${1:0:i}")" = 1 ] && echo "${1:0:i}" && return
	done
}
expect "by the beginning of a UUID" "$c " "$(seen "$(prefix "$c")")"
soon 10 status_is "$live_sessions" 0 || fail "a session is left"
soon 10 status_is .pool.ready 0 || fail "a pool of 0 keeps workers"
mediator_down
