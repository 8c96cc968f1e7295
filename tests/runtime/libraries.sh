#!/bin/bash
# SPDX-License-Identifier: MIT
# libraries.sh: NVRTC and cuFFT on the shim. Skipped without a CUDA toolkit that has them.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
for library in nvrtc cufft; do
	[ -e "$toolkit/lib64/lib$library.so" ] || {
		echo "skipped: the toolkit has no $library"
		exit 77
	}
done
build libraries -arch=compute_80 "$(dirname "$0")/libraries.cu" -lnvrtc -lcufft -lcuda "-L$toolkit/lib64/stubs"
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$toolkit/lib64
mediator_up
timeout 120 "$work/libraries" || fail "the program's exit status is $?"
mediator_down
