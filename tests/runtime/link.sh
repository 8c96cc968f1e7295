#!/bin/bash
# SPDX-License-Identifier: MIT
# link.sh: a program links, at run time, what NVRTC compiled with an object, an archive, a fat binary and the device
# runtime of the toolkit. Skipped without a CUDA toolkit that has NVRTC.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
[ -e "$toolkit/lib64/libnvrtc.so" ] || {
	echo "skipped: the toolkit has no nvrtc"
	exit 77
}
# part NAME BODY: $work/NAME.cu, a function from_NAME.
part() {
	echo "__device__ int from_$1(int i) { return $2; }" >"$work/$1.cu"
}
part object 'i + 1'
part archive '2 * i'
part fatbin 'i * i'
ptx=(-rdc=true -gencode "arch=compute_80,code=compute_80")
build object.o "${ptx[@]}" -c "$work/object.cu"
build archive.o "${ptx[@]}" -c "$work/archive.cu"
build archive.a -lib "$work/archive.o"
build fatbin.fatbin "${ptx[@]}" -fatbin "$work/fatbin.cu"
build link "$(dirname "$0")/link.cu" -lnvrtc -lcuda "-L$toolkit/lib64/stubs"
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$toolkit/lib64
mediator_up
timeout 120 "$work/link" "$work/object.o" "$work/archive.a" "$work/fatbin.fatbin" "$toolkit/lib64/libcudadevrt.a" ||
	fail "the program's exit status is $?"
mediator_down
