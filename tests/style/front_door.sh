#!/bin/bash
# SPDX-License-Identifier: MIT
# ./dev from any directory: help for each command, status 2 for wrong usage, no colour off a
# terminal; and setup asks nothing of apt or root when no package is missing.
set -u
dev=${1:?the tree to check}/dev
cd / || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

wrong() {
	echo "$*"
	bad=1
}

for cmd in setup build demo test vm bench bundle fmt clean; do
	"$dev" $cmd --help >"$tmp/out" 2>"$tmp/err" || wrong "$cmd --help fails"
	[ -s "$tmp/out" ] && [ ! -s "$tmp/err" ] || wrong "$cmd --help does not print its help"
	"$dev" --help | grep -q "^    $cmd " || wrong "--help does not name $cmd"
	[ $cmd = build ] && continue	# passes what it does not know to meson
	"$dev" $cmd --no-such-option >"$tmp/out" 2>"$tmp/err"
	[ $? -eq 2 ] || wrong "$cmd accepts --no-such-option"
	[ -s "$tmp/err" ] || wrong "$cmd does not say what is wrong with --no-such-option"
done
# Told at once, not when all is built.
for usage in 'bench no_such_benchmark' 'bench --device gpu' 'clean --all stray' 'setup report stray' 'fmt --check stray'; do
	# shellcheck disable=SC2086 # a list of words
	timeout 5 "$dev" $usage >"$tmp/out" 2>"$tmp/err"
	[ $? -eq 2 ] && [ -s "$tmp/err" ] || wrong "'$usage' is not refused"
done
"$dev" nonsense 2>"$tmp/err"
[ $? -eq 2 ] && grep -q "unknown command 'nonsense'" "$tmp/err" || wrong "an unknown command passes"
! grep -q $'\e' "$tmp/err" || wrong "colour without a terminal"

for tool in apt-get apt-cache sudo; do
	printf '#!/bin/sh\necho %s "$@" >>%s\nexit 1\n' $tool "$tmp/calls" >"$tmp/$tool"
	chmod +x "$tmp/$tool"
done
PATH=$tmp:$PATH "$dev" setup 2>"$tmp/err"
case $?:$(cat "$tmp/calls" 2>/dev/null) in
0:) ;;
0:*) wrong "setup used apt with nothing missing: $(cat "$tmp/calls")" ;;
*) grep -q 'installing packages:' "$tmp/err" || wrong "setup: $(cat "$tmp/err")" ;;
esac
exit $bad
