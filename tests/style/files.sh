# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the style tests: the tree under test and lists of its files. $1 is the tree.

tree=${1:?the tree to check}
cd "$tree" || exit 1

# sources PATTERN...: files of the tree with these names, none of a build or of git.
sources() {
	local args=() p
	for p in "$@"; do
		args+=(-o -name "$p")
	done
	find . \( -name .git -o -name 'build' -o -name 'build-*' -o -name __pycache__ \) -prune -o \
		-type f \( "${args[@]:1}" \) -print | sed 's|^\./||' | sort
}

scripts() {
	{
		sources '*.sh'
		ls -d dev .ci/run 2>/dev/null
	} | sort -u
}

# finish FINDINGS MESSAGE: the test's verdict.
finish() {
	[ -n "$1" ] || exit 0
	printf '%s\n%s\n' "$1" "$2"
	exit 1
}
