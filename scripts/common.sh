# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What every script of ./dev shares: where things are, how to speak to the user.
# Sourced, never run. Messages go to stderr, so that stdout carries results only.

VGPU_ROOT=${VGPU_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
VGPU_BUILD=${VGPU_BUILD:-$VGPU_ROOT/build}
case $VGPU_BUILD in
/*) ;;
*) VGPU_BUILD=$PWD/$VGPU_BUILD ;;
esac
export VGPU_ROOT VGPU_BUILD
# In an unpacked bundle (bundle.sh) all is built, and the tools that the other machine may lack lie in host/.
# shellcheck disable=SC2034
VGPU_BUNDLE=
if [ -d "$VGPU_ROOT/host" ]; then
	# shellcheck disable=SC2034
	VGPU_BUNDLE=yes
	PATH=$VGPU_ROOT/host/bin:$PATH
fi

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
	c_bold=$'\e[1m' c_red=$'\e[31m' c_green=$'\e[32m' c_off=$'\e[0m'
else
	c_bold='' c_red='' c_green='' c_off=''
fi

say() {
	printf '%s==>%s %s\n' "$c_bold" "$c_off" "$*" >&2
}

good() {
	printf '%s%s%s\n' "$c_green" "$*" "$c_off" >&2
}

# warn MESSAGE [NEXT STEP]
warn() {
	printf '%serror:%s %s\n' "$c_red" "$c_off" "$1" >&2
	[ $# -lt 2 ] || printf '       %s\n' "$2" >&2
}

# A script whose status 1 means something else sets die_status.
die() {
	warn "$@"
	exit "${die_status:-1}"
}

die_usage() {
	warn "$@"
	exit 2
}

# The revision of this tree, for those who read a result later; a bundle has it in a file.
revision() {
	cat "$VGPU_ROOT/host/revision" 2>/dev/null || git -C "$VGPU_ROOT" describe --always --dirty 2>/dev/null || echo unknown
}

# The Python that Debian's modules are installed for, if there is one.
python() {
	[ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3
}

# Run a command with its output in a file; show the file's end only if it fails.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 && return 0
	# Without the lines of ninja that tell of success.
	grep -vE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 40 | cut -c 1-400 >&2
	return 1
}

# One shell word that reads back as exactly this string.
quote() {
	local q=\'\\\'\'
	printf "'%s'" "${1//\'/$q}"
}
