#!/bin/bash
# SPDX-License-Identifier: MIT
# with-mediator.sh PROGRAM [ARGUMENT...]: starts a mediator with the soft device (VGPU_TEST_DEVICE names another),
# runs the program against it over the unix transport, and gives the program's exit status.
# The mediator must outlive the program and end cleanly.
. "$(dirname "$0")/lib.sh"
mediator_up
export VGPU_TEST_NEEDS_DEVICE=1
"$@"
status=$?
kill -0 "$mediator_pid" 2>/dev/null || fail "the mediator died"
mediator_down
exit $status
