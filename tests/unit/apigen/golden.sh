#!/bin/bash
# SPDX-License-Identifier: MIT
# The generator writes what the golden files hold, the same on every run, and what it writes compiles.
# usage: golden.sh SOURCE_ROOT CC...     UPDATE=1 rewrites the golden files
set -eu
root=$1
shift
here=$root/tests/unit/apigen
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
files='cuda_api.h cuda_names.h driver_table.h driver_table.c wire.h shim_calls.c shim_hand.h shim_unsupported.c shim_exports.map
	proc_table.h proc_table.c worker_dispatch.c worker_hand.h op_names.h op_names.c errors.h errors.c api.dict coverage.md'

generate() {
	mkdir -p "$1"
	for f in $files; do only+=(--only "$f"); done
	(cd "$here" && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/include PYTHONHASHSEED=$2 \
		python3 -m apigen --out "$1" "${only[@]}" sample.api)
}

generate "$out/gen" 1
generate "$out/again" 2
diff -r "$out/gen" "$out/again" || { echo "two runs differ"; exit 1; }
if [ -n "${UPDATE:-}" ]; then
	for f in $files; do cp "$out/gen/$f" "$here/golden/$f.golden"; done
fi
for f in $files; do
	diff -u "$here/golden/$f.golden" "$out/gen/$f" || { echo "$f differs from its golden file"; exit 1; }
done
for f in "$out"/gen/*.c; do
	"$@" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Werror -Wno-switch -fsyntax-only \
		-I"$out" -I"$root" -I"$root/include" -I"$root/uring-mediator" "$f"
done
