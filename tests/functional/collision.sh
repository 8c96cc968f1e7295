#!/bin/bash
# SPDX-License-Identifier: MIT
# The guest process already uses addresses that the worker's driver wants: another worker serves it.
. "$(dirname "$0")/lib.sh"
mediator_options=(--pool 3)
mediator_up
VGPU_TEST_OCCUPY=largest VGPU_LOG=info "$programs/churn" 4 1 >"$work/out.log" 2>&1 || fail "the client failed"
says out 'in use' || fail "the client did not meet the collision"
mediator_down
