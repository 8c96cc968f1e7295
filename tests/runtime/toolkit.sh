# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the tests that need a CUDA toolkit, after lib.sh: skips without one.
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
[ -n "$nvcc" ] || {
	echo "skipped: no nvcc"
	exit 77
}
# The tests that source this use it.
# shellcheck disable=SC2034
toolkit=$(dirname "$(readlink -f "$nvcc")")/..

# build NAME OPTION...: $work/NAME (of lib.sh), from what the options say.
# shellcheck disable=SC2154
build() {
	local name=$1
	shift
	"$nvcc" -o "$work/$name" "$@" >"$work/nvcc.log" 2>&1 || fail "nvcc: $(cat "$work/nvcc.log")"
}
