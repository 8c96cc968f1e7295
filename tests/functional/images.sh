#!/bin/bash
# SPDX-License-Identifier: MIT
# Hundreds of damaged module images: each is an error and nothing else; the worker that gets them lives.
. "$(dirname "$0")/lib.sh"
mediator_up
kernels=${VGPU_TEST_KERNELS:-$VGPU_ROOT/tests/kernels}
"$programs/images" "$kernels"/{vector_add,saxpy,reduce,recursion,globals,matmul}.ptx >"$work/images.log" 2>&1 ||
	fail "images: exit status $?"
cat "$work/images.log"
says mediator 'was killed by signal\|exited with status' && fail "a worker crashed"
"$programs/vectoradd" >"$work/next.log" 2>&1 || fail "the next program does not work"
mediator_down
