#!/bin/bash
# SPDX-License-Identifier: MIT
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

check=0
[ $# -le 1 ] || die_usage "fmt takes one option" "see ./dev fmt --help"
case ${1:-} in
'') ;;
--check) check=1 ;;
-h | --help)
	cat <<'EOF'
Usage: ./dev fmt [--check]

Formats every C source of the repository with clang-format and .clang-format.
With --check it changes nothing, names the files that differ, and exits with 1
if there are any.
EOF
	exit 0
	;;
*) die_usage "fmt does not know '$1'" "see ./dev fmt --help" ;;
esac

command -v clang-format >/dev/null || "$VGPU_ROOT/scripts/setup.sh" || exit 1
cd "$VGPU_ROOT" || exit 1
mapfile -t files < <(find bench include shim stub tests uring-mediator -name '*.[ch]' | sort)
[ ${#files[@]} -gt 0 ] || exit 0
if [ $check -eq 0 ]; then
	clang-format -i "${files[@]}"
	exit
fi
bad=0
for f in "${files[@]}"; do
	if ! clang-format "$f" | cmp -s - "$f"; then
		echo "$f"
		bad=1
	fi
done
[ $bad -eq 0 ] || die "the files above are not formatted" "run ./dev fmt"
