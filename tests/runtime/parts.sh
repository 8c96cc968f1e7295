#!/bin/bash
# SPDX-License-Identifier: MIT
# parts.sh: programs whose parts are linked when they are loaded: from PTX alone, and beside machine code that was
# linked when they were built. Skipped without a CUDA toolkit.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
here=$(dirname "$0")
mediator_up
for arch in compute_80 sm_80; do
	build "$arch" -rdc=true "-arch=$arch" "$here/parts.cu" "$here/part.cu"
	timeout 60 "$work/$arch" >"$work/$arch.log" || fail "$arch: the program's exit status is $?"
	grep -qx 'called 32 times' "$work/$arch.log" || fail "$arch: what a part's kernel printed did not arrive"
done
mediator_down
