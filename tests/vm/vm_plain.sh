#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest without the device: exit status, both outputs byte for byte, working directory, quoting,
# environment, standard input, a writable layer that leaves the host alone, death by signal,
# time-out.
. "$(dirname "$0")/lib.sh"

marker=$work/marker.$$
data=$work/data
head -c 300000 /dev/urandom >"$data"

guest --plain --stdin --env "GREETING=a b" -- sh -c '
	cat; cat >&2 "$1"; [ "$GREETING" = "a b" ] || exit 1
	[ "$PWD" = "$2" ] || exit 2
	echo lost >"$3" && [ -s "$3" ] || exit 3
	echo ok >/dev/stderr || exit 4
	exit 42' sh "$data" "$PWD" "$marker" <"$data" >"$work/out" 2>"$work/err"
expect "exit status" 42 $?
echo ok >>"$work/expected.tail"
cat "$data" "$work/expected.tail" >"$work/expected.err"
cmp "$data" "$work/out" || fail "standard output is not what the guest wrote"
cmp "$work/expected.err" "$work/err" || fail "standard error is not what the guest wrote"
[ ! -e "$marker" ] || fail "the guest wrote to the host's file system"

guest --plain --share "$work" -- sh -c 'echo kept >"$1"; kill -TERM $$' sh "$marker"
expect "status of a command that a signal ended" 143 $?
[ "$(cat "$marker")" = kept ] || fail "what the guest wrote to the shared folder is not there"

guest --plain --timeout 12 -- sleep 100 2>"$work/err"
expect "status after the time-out" 124 $?
grep -q 'was ended after 12 s' "$work/err" || fail "nothing says that time ran out"

guest --plain -- /no/such/command 2>/dev/null
expect "status of a command that does not exist" 127 $?

mkdir -p "$work/half/stub" && : >"$work/half/stub/vgpu-stub.so"
VGPU_BUILD=$work/half guest --accel tcg -- true 2>"$work/err"
expect "status where there is no mediator to start" 125 $?
grep -q 'run ./dev build' "$work/err" || fail "nothing says what to do about it: $(cat "$work/err")"
