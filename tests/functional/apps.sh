#!/bin/bash
# SPDX-License-Identifier: MIT
# The comparison of applications works: one that needs Python alone passes, different results fail, and what is not
# installed is skipped. Our own library stands in for the driver.
. "$(dirname "$0")/lib.sh"
apps=$VGPU_ROOT/tests/apps
LD_LIBRARY_PATH=$host_path "$apps/run.sh" --baseline "$VGPU_BUILD/shim" --device soft --rounds 2 --out "$work/out" driver_ctypes \
	>"$work/run.log" 2>&1 || fail "driver_ctypes: $(cat "$work/run.log")"
says run '^1 passed, 0 failed, 0 skipped$' || fail "the summary is another one"
expect "results of driver_ctypes" 2 "$(jq '.results | length' "$work/out/driver_ctypes.mediated.2.json")"
grep -q '^| driver_ctypes | cuInit to context | [0-9.]* ([0-9.]*-[0-9.]*) |' "$work/out/times.md" ||
	fail "no table of times: $(cat "$work/out/times.md")"
jq '.results.sums = "0"' "$work/out/driver_ctypes.native.1.json" >"$work/other.json"
python3 "$apps/compare.py" --native "$work/other.json" --mediated "$work/out/driver_ctypes.mediated.2.json" >"$work/compare.log"
expect "status for different results" 1 $?
says compare 'DIFFERENT: sums' || fail "the difference is not named"
"$apps/run.sh" no_such_app 2>/dev/null
expect "status for a name that does not exist" 2 $?
for f in "$apps"/*.py; do
	python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$f" || fail "$f does not parse"
done
