#!/bin/bash
# SPDX-License-Identifier: MIT
# managed.sh: a program with __managed__ variables, with either kind of cudart. Skipped without a CUDA toolkit.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
mediator_up
for kind in static shared; do
	build managed -arch=compute_80 -cudart "$kind" "$(dirname "$0")/managed.cu" -Xlinker "-rpath=$toolkit/lib64"
	timeout 60 "$work/managed" >"$work/managed.log" 2>&1 || fail "$kind: exit status $?: $(cat "$work/managed.log")"
done
mediator_down
