#!/bin/bash
# SPDX-License-Identifier: MIT
# Every source says its licence in the first three lines: GPL-2.0-or-later under stub/, which is
# linked with QEMU, MIT elsewhere.
. "$(dirname "$0")/files.sh"

found=$(
	{
		sources '*.c' '*.h' '*.cc' '*.py' '*.api' '*.map' '*.cu' meson.build
		scripts
	} | xargs -r -d '\n' awk '
		function wanted(file) {
			if (file !~ /^stub\//)
				return "MIT"
			return file ~ /\.[ch]$/ ? "GPL-2.0-or-later" : "(GPL-2.0-or-later|MIT)"
		}
		FNR == 1 {
			if (file && !found)
				print file
			file = FILENAME
			found = 0
		}
		FNR <= 3 && $0 ~ "SPDX-License-Identifier: " wanted(FILENAME) "( |$)" { found = 1 }
		FNR == 3 { nextfile }
		END {
			if (file && !found)
				print file
		}'
)
finish "$found" "these files lack the line SPDX-License-Identifier: of their folder"
