#!/bin/bash
# SPDX-License-Identifier: MIT
# The stock nvidia-smi prints its table through the mediator: the same devices as natively, and of the processes only
# those that the mediator serves. On a machine with a GPU and nvidia-smi; skipped elsewhere.
. "$(dirname "$0")/lib.sh"
[ "${VGPU_TEST_DEVICE:-soft}" = cuda ] && command -v nvidia-smi >/dev/null || exit 77
LD_LIBRARY_PATH=$host_path nvidia-smi -L >"$work/native.log" 2>&1 || exit 77
mediator_up
nvidia-smi -L >"$work/list.log" 2>"$work/said.log" || fail "nvidia-smi -L: $(cat "$work/said.log" "$work/list.log")"
expect "devices" "$(cat "$work/native.log")" "$(cat "$work/list.log")"
nvidia-smi >"$work/table.log" 2>>"$work/said.log" || fail "nvidia-smi: $(cat "$work/said.log" "$work/table.log")"
grep -q 'Driver Version' "$work/table.log" || fail "no table: $(cat "$work/table.log")"
nvidia-smi -q >"$work/all.log" 2>>"$work/said.log" || fail "nvidia-smi -q: $(tail -n 5 "$work/said.log" "$work/all.log")"
grep -q 'Product Name' "$work/all.log" || fail "no devices: $(cat "$work/all.log")"
expect "what the library says of a healthy run" "" "$(cat "$work/said.log")"
start one "$programs/hold" 16
soon 10 says one holding || fail "the program does not hold its memory"
expect "processes" "$started" "$(nvidia-smi --query-compute-apps=pid --format=csv,noheader)"
mediator_down
