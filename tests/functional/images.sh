#!/bin/bash
# SPDX-License-Identifier: MIT
# Hundreds of damaged module images: each is an error and nothing else, and the worker that gets them lives. NVIDIA's own
# compiler may die of one: then that session is lost, as natively the process would be, and nothing is lost for anybody
# else; the rest is tried in further processes.
. "$(dirname "$0")/lib.sh"
mediator_up
kernels=${VGPU_TEST_KERNELS:-$VGPU_ROOT/tests/kernels}
files=("$kernels"/{vector_add,saxpy,reduce,recursion,globals,matmul}.ptx)
start steady "$programs/churn" 16
steady=$started
soon 10 says steady ready || fail "the bystander did not start"
next=0 lost=0
while :; do
	"$programs/images" "$next" "${files[@]}" >>"$work/images.log" 2>&1
	code=$?
	[ $code -eq 3 ] || break
	lost=$((lost + 1))
	next=$(sed -n 's/^images: lost, go on with //p' "$work/images.log" | tail -n 1)
	kill -0 "$steady" 2>/dev/null || fail "the bystander was disturbed"
	"$programs/vectoradd" >"$work/next.log" 2>&1 || fail "the next session does not work"
done
cat "$work/images.log"
expect "exit status of images" 0 $code
read -r loaded refused unexplained < <(awk '/ loaded, / { l += $2; r += $4; u += $6 } END { print l, r, u }' "$work/images.log")
[ "$loaded" -ge ${#files[@]} ] || fail "only $loaded images loaded"
[ "$refused" -ge 100 ] || fail "only $refused images were refused"
if [ "${VGPU_TEST_DEVICE:-soft}" = soft ]; then
	expect "workers that died, images refused without a reason" "0 0" "$lost $unexplained"
	says mediator 'was killed by signal\|exited with status' && fail "a worker crashed"
fi
kill -0 "$steady" 2>/dev/null || fail "the bystander was disturbed"
kill "$steady"
"$programs/vectoradd" >"$work/next.log" 2>&1 || fail "the next program does not work"
mediator_down
