#!/bin/bash
# SPDX-License-Identifier: MIT
# What kernels print arrives on the program's own standard output, in order with what the program prints; a lot of it;
# nothing of it in the mediator's log, and nothing of one process with another.
. "$(dirname "$0")/lib.sh"
mediator_up
"$programs/printing" 300 >"$work/out.log" 2>"$work/err.log" || fail "the program failed"
"$programs/printing" 4 >"$work/other.log" 2>>"$work/err.log" || fail "the second program failed"
mapfile -t lines < <(grep -v '^printing:' "$work/out.log")
expect "first line" "host: one" "${lines[0]}"
expect "the kernel's first" "block 0 of 1" "${lines[1]}"
expect "its second" "   42|2a    |0000.500|device|z|1099511627776|%|5.00e-01" "${lines[2]}"
expect "then the program's" "host: many" "${lines[3]}"
expect "lines of many blocks" 300 "$(grep -c '^block [0-9]* of 300$' "$work/out.log")"
expect "each block once" 300 "$(grep '^block [0-9]* of 300$' "$work/out.log" | sort -u | wc -l)"
expect "behind them" "host: none" "${lines[604]}"
for i in 605 608 611; do
	expect "a context's kernel" "block 0 of 1" "${lines[i]}"
	expect "after its end" "host: a context less" "${lines[i + 2]}"
done
expect "last line" "host: end" "${lines[614]}"
expect "lines in all" 615 ${#lines[@]}
expect "lines of the other" 4 "$(grep -c '^block [0-9]* of 4$' "$work/other.log")"
mapfile -t errors < <(grep -A 1000 '^host: assert$' "$work/err.log" | sed '/^host: asserted$/q')
[ "${#errors[@]}" -ge 3 ] || fail "the failed assert is not named on standard error"
for line in "${errors[@]:1:${#errors[@]}-2}"; do
	[[ $line =~ faults\.cu:[0-9]+:\ .*assertion.*:\ block:\ \[0,0,0\],\ thread:\ \[3[01],0,0\]\ Assertion\ .*limit.\ failed\.$ ]] ||
		fail "not the message of an assert: $line"
done
"$programs/printing" 0 >"$work/unwaited.log" 2>&1 || fail "the program that waits for nothing failed"
grep -q 'Assertion .*limit. failed' "$work/unwaited.log" || fail "an assert that nobody waited for is not named: $(cat "$work/unwaited.log")"
! grep -q 'Assertion' "$work/out.log" || fail "the failed assert is named on standard output"
! grep -q '^block' "$work/mediator.log" || fail "the mediator's log has what kernels print"
# More than the host keeps: what fits arrives whole, and nobody waits for the rest.
"$programs/printing" 60000 >"$work/flood.log" 2>>"$work/err.log" || fail "a flood of text stops the program"
expect "the flood's last line" "host: end" "$(tail -n 1 "$work/flood.log")"
[ "$(grep -c '^block' "$work/flood.log")" -gt 10000 ] || fail "little of the flood arrived"
"$programs/printing" 60000 $((32 << 20)) >"$work/whole.log" 2>>"$work/err.log" || fail "a program that wants all of it fails"
expect "all of the flood" 60000 "$(grep -c '^block [0-9]* of 60000$' "$work/whole.log")"
mediator_down
