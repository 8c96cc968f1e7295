#!/bin/bash
# SPDX-License-Identifier: MIT
# Code is sent once: the second process that loads it, and the third, send none of it and compute right. What no device of
# the host could run is not sent at all. Where it is not kept
# (switched off, too large, pushed out, another user's) everybody sends it, and computes right.
. "$(dirname "$0")/lib.sh"
kib=$((6 << 10))

# code NAME KIB [SEED [TIMES]]: returns when its session is over.
code() {
	local name=$1
	shift
	"$programs/code" "$@" >"$work/$name.log" 2>&1 || fail "code $*: exit status $?"
	soon 10 status_is "$live_sessions" 0 || fail "the session of $name is left over"
}

# of KEY: a counter of the session that ended last.
of() {
	status ".vms[] | select(.transport == \"unix\").ended[-1].hops.$1"
}

# images KEY: of what is kept.
images() {
	status ".vms[] | select(.transport == \"unix\").images.$1"
}

sent_all() {
	[ "$(of image_bytes)" -gt $(($2 << 10)) ] || fail "$1: only $(of image_bytes) bytes of code were sent"
	expect "$1: code spared" 0 "$(of image_bytes_spared)"
}

sent_none() {
	expect "$1: code sent" 0 "$(of image_bytes)"
	[ "$(of image_bytes_spared)" -gt $(($2 << 10)) ] || fail "$1: only $(of image_bytes_spared) bytes of code were spared"
}

mediator_up
code first $kib
sent_all first $kib
expect "images kept" 1 "$(images count)"
code second $kib
sent_none second $kib
code another $kib 2
sent_all another $kib
code first_again $kib
sent_none first_again $kib
expect "images kept" 2 "$(images count)"
# Below the size that is worth a question.
code small 16
sent_all small 16
expect "images kept" 2 "$(images count)"
# For devices of another generation.
code others $kib 1 1 7
[ "$(of image_bytes)" -lt 4096 ] || fail "$(of image_bytes) bytes were sent, most of them for other devices"
expect "images kept" 2 "$(images count)"
ctl status >"$work/status.log"
says status '2 images of code kept.*not sent again' || fail "status does not tell: $(cat "$work/status.log")"
ctl verify >"$work/verify.log" || fail "verify: exit status $?"
expect "verify: code known" "$(status '.vms[].ended_total.image_bytes_spared')" \
	"$(tr -d , <"$work/verify.log" | awk '/code known bytes/ { print $5 }')"
# At once: each is right, whoever was first; what two have sent is kept once.
for i in 1 2 3 4; do
	start "at_once$i" "$programs/code" $kib 3 2
done
for p in "${pids[@]}"; do
	wait "$p" || fail "a process of four failed"
done
soon 10 status_is "$live_sessions" 0 || fail "a session is left over"
expect "images kept" 3 "$(images count)"
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$work"
	chmod 666 "$work/mediator.sock"
	setpriv --reuid 65534 --clear-groups "$programs/code" $kib >"$work/user.log" 2>&1 || fail "another user's process failed"
	soon 10 status_is "$live_sessions" 0
	sent_all "another user" $kib
	setpriv --reuid 65534 --clear-groups "$programs/code" $kib >"$work/user.log" 2>&1 || fail "another user's process failed"
	soon 10 status_is "$live_sessions" 0
	sent_none "the same user" $kib
fi
mediator_down

# Room for one of them, and not for a larger.
mediator_options=(--image-store 7M)
mediator_up
code first $kib
code another $kib 2
code first_again $kib
sent_all first_again $kib
expect "images dropped" 2 "$(images dropped)"
code large $((8 << 10))
code large_again $((8 << 10))
sent_all large_again $((8 << 10))
code still_there $kib
sent_none still_there $kib
mediator_down

mediator_options=(--image-store 0)
mediator_up
code first $kib
code second $kib
sent_all second $kib
expect "images kept" 0 "$(images count)"
mediator_down
