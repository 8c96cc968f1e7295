#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev fmt: clang-format on the lines that differ from the last commit. The others stay as their authors aligned them, which
# no option of clang-format describes.
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

Formats the lines of C sources that differ from the last commit, new files
included, with clang-format and .clang-format. With --check it changes nothing,
prints what would be changed, and exits with 1 if there is anything.
EOF
	exit 0
	;;
*) die_usage "fmt does not know '$1'" "see ./dev fmt --help" ;;
esac

command -v git-clang-format >/dev/null || "$VGPU_ROOT/scripts/setup.sh" || exit 1
cd "$VGPU_ROOT" || exit 1
git rev-parse --verify -q HEAD >/dev/null || die "this is no git checkout" "fmt formats what differs from the last commit"
# A file that git does not know has no changed lines: it is formatted whole.
mapfile -t new < <(git ls-files --others --exclude-standard -- '*.c' '*.h')
if [ $check -eq 0 ]; then
	[ ${#new[@]} -eq 0 ] || clang-format -i "${new[@]}" || exit 1
	# It exits with 1 when it has changed something, too.
	git clang-format --quiet --force --extensions c,h HEAD
	[ $? -le 1 ]
	exit
fi
diff=$(
	for f in "${new[@]}"; do
		clang-format "$f" | diff -u --label "$f" --label "$f, formatted" "$f" -
	done
	git clang-format --quiet --diff --extensions c,h HEAD
)
[ -n "$diff" ] || exit 0
printf '%s\n' "$diff"
die "the lines above are not formatted" "run ./dev fmt"
