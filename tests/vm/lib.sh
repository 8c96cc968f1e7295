# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the tests in a VM. A test is skipped (77) only on a machine that has no QEMU or can
# have no guest kernel; whatever is broken fails it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
VGPU_ROOT=$(cd "$here/../.." && pwd)
. "$VGPU_ROOT/scripts/common.sh"
. "$VGPU_ROOT/tests/lib.sh"
. "$VGPU_ROOT/scripts/kernel.sh"
. "$VGPU_ROOT/scripts/mediator.sh"
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
	[ -z "$mediator_pid" ] || mediator_stop
	if [ $status -ne 0 ] && [ -f "$work/mediator.log" ]; then
		tail -n 40 "$work/mediator.log" >&2
	fi
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

guest() {
	"$VGPU_ROOT/dev" vm --timeout "${VGPU_GUEST_SECONDS:-120}" "$@"
}

# ---- with a mediator ----

# shellcheck disable=SC2034 # used by the tests
programs=$VGPU_BUILD/tests/programs

# The soft device, so that the test means the same on every machine, unless another one is asked for.
mediator() {
	mediator_start "$work" --device "${VGPU_TEST_DEVICE:-soft}" --log-level info
}

# device_guest OPTION... -- COMMAND...: a guest with the device, connected to that mediator.
device_guest() {
	guest --socket "$work/mediator.sock" "$@"
}

status() {
	"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$work/control.sock" status --json
}

# number KEY: the sum of this key's values over the mediator's whole status.
number() {
	status | grep -oE "\"$1\": ?[0-9]+" | awk -F: '{ sum += $2 } END { print sum + 0 }'
}

# is KEY TEST-OPERATOR NUMBER, for soon.
is() {
	test "$(number "$1")" "$2" "$3"
}

# Nothing of any guest is left: no session, no device memory.
assert_all_returned() {
	soon 10 is session_count -eq 0 || fail "sessions are left: $(status)"
	soon 10 is memory_used -eq 0 || fail "device memory is left: $(status)"
}
