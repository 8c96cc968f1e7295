#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An application of this folder in a virtual machine, with this machine's own Python environment, and each hop of the
# path that its calls took.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
Usage: tests/apps/vm.sh [--device auto|cuda|soft] [--python PROGRAM] [--mem SIZE]
                        [--timeout SECONDS] [NAME]

Boots a virtual machine that sees this machine's files, runs the application NAME
there (default: torch_train; tests/apps/run.sh --help lists them), and prints what
vgpuctl verify says of the hops. --mem is the guest's memory (default 8G).
Without KVM the guest's processor is emulated: importing PyTorch takes minutes.

Exit status: the application's, 77 if its framework is not installed; 1 if the
hops disagree.
EOF
}

device=auto python=python3 mem=8G timeout=1500 app=torch_train
while [ $# -gt 0 ]; do
	case $1 in
	--device | --python | --mem | --timeout)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see tests/apps/vm.sh --help"
		declare "${1#--}=$2"
		shift
		;;
	-h | --help) usage && exit 0 ;;
	-*) die_usage "vm.sh does not know '$1'" "see tests/apps/vm.sh --help" ;;
	*) app=$1 ;;
	esac
	shift
done
[ -f "$here/$app.py" ] || die_usage "there is no application '$app'" "see tests/apps/run.sh --help"
python=$(command -v "$python") || die "there is no $python"
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-apps.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mediator_start "$dir" --device "$device"
"$VGPU_ROOT/scripts/vm.sh" --socket "$dir/mediator.sock" --mem "$mem" --smp 4 --timeout "$timeout" \
	--device-args memory=2G --env VGPU_TEST_KERNELS="$VGPU_ROOT/tests/kernels" -- "$python" "$here/$app.py"
status=$?
say "what each hop counted"
"$VGPU_BUILD/uring-mediator/vgpuctl" --control "$dir/control.sock" verify || [ $status -ne 0 ] || status=1
[ $status -eq 0 ] || [ $status -eq 77 ] || tail -n 20 "$dir/mediator.log" >&2
exit $status
