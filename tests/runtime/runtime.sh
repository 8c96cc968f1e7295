#!/bin/bash
# SPDX-License-Identifier: MIT
# runtime.sh static|shared: builds a program with nvcc, with the cudart linked in or beside it, and runs it on the shim.
# Skipped without a CUDA toolkit.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
build program -cudart "$1" -arch=compute_80 "$(dirname "$0")/runtime.cu"
if [ "$1" = shared ]; then
	LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$toolkit/lib64
fi
mediator_up
timeout 60 "$work/program" || fail "the program's exit status is $?"
replay=$VGPU_BUILD/bench/bench_replay
if [ -x "$replay" ]; then
	VGPU_RECORD=$work/program.rec VGPU_RECORD_DATA=all timeout 60 "$work/program" || fail "recorded, its exit status is $?"
	timeout 60 "$replay" --check "$work/program.rec" || fail "its recording cannot be sent again"
fi
mediator_down
