#!/bin/bash
# SPDX-License-Identifier: MIT
# life.sh: processes that begin and end with CUDA in unusual ways: many cudarts in one, loaded and unloaded; threads that
# all come first; fork and exec; handlers at exit. Skipped without a CUDA toolkit.
. "$(dirname "$0")/../functional/lib.sh"
. "$(dirname "$0")/toolkit.sh"
here=$(dirname "$0")
build life -arch=compute_80 "$here/life.cu" -ldl -lpthread
for n in 1 2; do
	build "part$n.so" -arch=compute_80 -shared -Xcompiler -fPIC -cudart static "-DVALUE=${n}0" "$here/life_part.cu"
done
mediator_up

# life MODE [PART...]
life() {
	timeout 60 "$work/life" "$@" >"$work/life.log" 2>&1 || fail "life $1: exit status $?"
}

life load "$work/part1.so" "$work/part2.so"
for _ in 1 2 3 4 5; do
	life threads
done
life exec
life exit
[ "$(cat "$work/life.log")" = $'CUDA works in a handler\nlast handler' ] || fail "life exit: $(cat "$work/life.log")"
soon 10 status_is '.sessions | length' 0 || fail "a session was left behind"
mediator_down
