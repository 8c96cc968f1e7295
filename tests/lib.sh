# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What every test in shell says and waits with. Sourced by functional/lib.sh and vm/lib.sh.

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# expect WHAT WANTED GOT
expect() {
	[ "$2" = "$3" ] || fail "$1: wanted $2, got $3"
}

# soon SECONDS COMMAND...: the command becomes true within that time.
soon() {
	local n=$(($1 * 10))
	shift
	until "$@"; do
		n=$((n - 1))
		[ $n -gt 0 ] || return 1
		sleep 0.1
	done
}
