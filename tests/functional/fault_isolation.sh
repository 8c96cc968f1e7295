#!/bin/bash
# SPDX-License-Identifier: MIT
# A process whose kernel goes wild sees its error; the process beside it sees nothing, nor do later ones.
. "$(dirname "$0")/lib.sh"
mediator_up
start steady "$programs/churn" 16 5
steady=$started
soon 10 says steady ready || fail "the bystander did not start"
for _ in 1 2 3; do
	"$programs/wild" || fail "the wild program did not see CUDA_ERROR_ILLEGAL_ADDRESS"
done
wait "$steady" || fail "the bystander was disturbed"
"$programs/churn" 4 1 || fail "a later process does not work"
mediator_down
