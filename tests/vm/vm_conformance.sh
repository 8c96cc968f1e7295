#!/bin/bash
# SPDX-License-Identifier: MIT
# The conformance programs in a guest, through the PCI device, one after another: each passes, and nothing is left.
. "$(dirname "$0")/lib.sh"

mediator
# The kernels' folder and each program's verdict travel through the guest's shell.
device_guest --env VGPU_TEST_NEEDS_DEVICE=1 --env "VGPU_TEST_KERNELS=$VGPU_ROOT/tests/kernels" -- sh -c '
	status=0
	for program in "$1"/test_*; do
		[ -f "$program" ] && [ -x "$program" ] || continue
		timeout 100 "$program" >/tmp/log 2>&1
		code=$?
		echo "${program##*/}: $code"
		[ $code = 0 ] || [ $code = 77 ] || { tail -n 20 /tmp/log; status=1; }
	done
	exit $status' sh "$VGPU_BUILD/tests/gpu" >"$work/out" 2>&1
status=$?
cat "$work/out"
expect "exit status of the guest" 0 $status
ran=$(grep -c '^test_.*: 0$' "$work/out")
[ "$ran" -ge 6 ] || fail "only $ran programs ran"
# Two processes of this one VM share memory, as those of different VMs cannot (supervisor_share).
grep -qx 'test_share: 0' "$work/out" || fail "test_share did not pass"
assert_all_returned
