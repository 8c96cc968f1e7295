#!/bin/bash
# SPDX-License-Identifier: MIT
# No mediator, or a socket that is not its: the program sees a machine without a device, and one line says what to do.
. "$(dirname "$0")/lib.sh"
"$programs/churn" 1 1 >"$work/out.log" 2>&1
expect "exit status" 2 $?
says out 'CUDA_ERROR_NO_DEVICE' || fail "the error is not CUDA_ERROR_NO_DEVICE"
says out "$VGPU_SOCKET_PATH" || fail "no line names the socket that was tried"
says out 'start vgpu-mediator' || fail "no line says what to do"
mediator_up
VGPU_SOCKET_PATH=$work/control.sock "$programs/churn" 1 1 >"$work/kind.log" 2>&1
expect "exit status at a socket of another kind" 2 $?
says kind 'a socket of another kind, set VGPU_SOCKET_PATH' || fail "no line says what to do about the wrong socket"
mediator_down
