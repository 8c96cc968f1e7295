#!/bin/bash
# SPDX-License-Identifier: MIT
# No C file has more than 800 lines, no function more than 80, from its { to its } at the
# beginning of a line.
. "$(dirname "$0")/files.sh"

found=$(sources '*.c' '*.h' '*.cc' | xargs -r -d '\n' awk '
	FNR == 1 { open = 0 }
	FNR == 801 { print FILENAME ": more than 800 lines" }
	/^\{/ { open = FNR }
	/^}/ && open {
		if (FNR - open - 1 > 80)
			print FILENAME ":" open ": a function of " FNR - open - 1 " lines"
		open = 0
	}')
finish "$found" "split by noun or by step: docs/HACKING.md"
