#!/bin/bash
# SPDX-License-Identifier: MIT
# graph.sh: builds a program that captures and replays graphs with nvcc, and runs it on the shim.
# Skipped without a CUDA toolkit.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
build program -cudart static -arch=compute_80 "$(dirname "$0")/graph.cu"
mediator_up
timeout 60 "$work/program" || fail "the program's exit status is $?"
mediator_down
