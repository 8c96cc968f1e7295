#!/bin/bash
# SPDX-License-Identifier: MIT
# Every source says its licence in the first three lines: GPL-2.0-or-later under stub/, which is
# linked with QEMU, MIT elsewhere.
. "$(dirname "$0")/files.sh"

licence() {
	case $1 in
	stub/*.c | stub/*.h) echo GPL-2.0-or-later ;;
	stub/*) echo '(GPL-2.0-or-later|MIT)' ;;
	*) echo MIT ;;
	esac
}

found=$(
	{
		sources '*.c' '*.h' '*.cc' '*.py' '*.api' '*.map' '*.cu' meson.build
		scripts
	} | while read -r f; do
		head -n 3 "$f" | grep -qE "SPDX-License-Identifier: $(licence "$f")( |\$)" || echo "$f"
	done
)
finish "$found" "these files lack the line SPDX-License-Identifier: of their folder"
