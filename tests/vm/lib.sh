# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the tests in a VM. A test is skipped (77) only on a machine that has no QEMU or can
# have no guest kernel; whatever is broken fails it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
VGPU_ROOT=$(cd "$here/../.." && pwd)
. "$VGPU_ROOT/scripts/common.sh"
. "$VGPU_ROOT/scripts/kernel.sh"
unset VGPU_SOCKET_PATH

for tool in qemu-system-x86_64 busybox; do
	command -v $tool >/dev/null || { echo "skipped: there is no $tool" && exit 77; }
done
kernel_fetch || { echo "skipped: there is no guest kernel" && exit 77; }

work=$(mktemp -d)
pids=()

finish() {
	local status=$? p
	for p in ${pids+"${pids[@]}"}; do
		kill "$p" 2>/dev/null
	done
	for p in ${pids+"${pids[@]}"}; do
		wait "$p" 2>/dev/null
	done
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

guest() {
	"$VGPU_ROOT/dev" vm --timeout 120 "$@"
}

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
