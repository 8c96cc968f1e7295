#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev demo: two CUDA programs inside a VM, and each hop of the path that they took.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
NAME
    dev demo - CUDA programs in a virtual machine, on the host's device

SYNOPSIS
    ./dev demo [--device auto|cuda|soft]

DESCRIPTION
    Builds everything, starts a mediator, boots a virtual machine with the
    vgpu-stub device, runs tests/programs/vectoradd and matmul in it (they
    check their results on the CPU), and prints what each hop counted
    (vgpuctl verify). Every process is ended when the demonstration is.

    --device   what computes: auto (the default) takes the host's GPU if there
               is one, and else the soft device, which is the host's CPU

EXIT STATUS
    0 if both results were right and the hops agree, else 1; 2: wrong usage.
EOF
}

device=auto
while [ $# -gt 0 ]; do
	case $1 in
	--device)
		[ $# -gt 1 ] || die_usage "--device needs a value" "see ./dev demo --help"
		device=$2
		shift
		;;
	-h | --help) usage && exit 0 ;;
	*) die_usage "demo does not know '$1'" "see ./dev demo --help" ;;
	esac
	shift
done
case $device in
auto | cuda | soft) ;;
*) die_usage "--device wants auto, cuda or soft, not '$device'" ;;
esac

"$VGPU_ROOT/scripts/build.sh" || exit 1
started=$SECONDS
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-demo.XXXXXX") || exit 1
vm_pid=
cleanup() {
	[ -z "$vm_pid" ] || { kill "$vm_pid" && wait "$vm_pid"; } 2>/dev/null
	mediator_stop
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "starting the mediator"
mediator_start "$dir" --device "$device"
say "booting the virtual machine"
programs=$VGPU_BUILD/tests/programs
export VGPU_TEST_KERNELS=$VGPU_ROOT/tests/kernels
"$VGPU_ROOT/scripts/vm.sh" --socket "$dir/mediator.sock" --timeout 120 -- \
	sh -c '"$1/vectoradd" && "$1/matmul"' sh "$programs" > >(tee "$dir/output") &
vm_pid=$!
wait "$vm_pid"
status=$?
vm_pid=
say "what each hop counted"
"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$dir/control.sock" verify || status=1
if [ $status -ne 0 ]; then
	tail -n 20 "$dir/mediator.log" >&2
	die "the demonstration failed (status $status)" "the lines above are the mediator's last"
fi
name=$(sed -n 's/^vectoradd: device "\(.*\)"$/\1/p' "$dir/output")
good "The results are right. In the virtual machine the programs saw, and on the host computed:"
good "    $name"
say "$((SECONDS - started)) s after the build"
