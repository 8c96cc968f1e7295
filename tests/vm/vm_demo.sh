#!/bin/bash
# SPDX-License-Identifier: MIT
# The demonstration succeeds, says what computed, and leaves no process and no file behind.
. "$(dirname "$0")/lib.sh"

export TMPDIR=$work
"$VGPU_ROOT/dev" demo --device soft >"$work/out" 2>"$work/err" || {
	cat "$work/out" "$work/err"
	fail "the demonstration failed"
}
grep -q '^vectoradd: right: 100000 elements' "$work/out" || fail "vectoradd gave no right result"
grep -q '^matmul: right: 10000 elements' "$work/out" || fail "matmul gave no right result"
name=$(sed -n 's/^vectoradd: device "\(.*\)"$/\1/p' "$work/out")
[ -n "$name" ] && grep -qF "    $name" "$work/err" || fail "it does not say which device computed"
seconds=$(sed -n 's/^==> \([0-9]*\) s after the build$/\1/p' "$work/err")
[ "${seconds:-999}" -lt 60 ] || fail "it took $seconds s"
left=$(find "$work" -name 'vgpu-*')
[ -z "$left" ] || fail "it left behind: $left"
! pgrep -f -- "$work/vgpu-demo" >/dev/null || fail "a process of it still runs"
