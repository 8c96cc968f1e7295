#!/bin/bash
# SPDX-License-Identifier: MIT
# life.sh: processes that begin and end with CUDA in unusual ways: many cudarts in one, loaded and unloaded, and with them
# a library of the toolkit; threads that all come first; fork, with exec and without; handlers at exit. Skipped without
# a CUDA toolkit.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
here=$(dirname "$0")
build life -arch=compute_80 "$here/life.cu" -ldl -lpthread
for n in 1 2; do
	build "part$n.so" -arch=compute_80 -shared -Xcompiler -fPIC -cudart static "-DVALUE=${n}0" "$here/life_part.cu"
done
parts=("$work/part1.so" "$work/part2.so")
libraries=("${parts[@]}")
if [ -e "$toolkit/lib64/libcufft.so" ]; then
	build fft.so -arch=compute_80 -shared -Xcompiler -fPIC -cudart static -DVALUE=30 "$here/life_fft.cu" \
		"-L$toolkit/lib64" -lcufft
	libraries+=("$work/fft.so")
	LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$toolkit/lib64
fi
mediator_up

# life MODE [PART...]
life() {
	timeout 60 "$work/life" "$@" >"$work/life.log" 2>&1 || fail "life $1: exit status $?"
}

life load "${libraries[@]}"
for _ in 1 2 3 4 5; do
	life threads
	life threads "${parts[@]}"
done
life driver
life exec
life fork
life exit
[ "$(cat "$work/life.log")" = $'CUDA works in a handler\nlast handler' ] || fail "life exit: $(cat "$work/life.log")"
soon 10 status_is '.sessions | length' 0 || fail "a session was left behind"
mediator_down
