#!/bin/bash
# SPDX-License-Identifier: MIT
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -le 1 ] || die_usage "clean takes one option" "see ./dev clean --help"
case ${1:-} in
'')
	# The guest's kernel and QEMU's headers: only the network gives them back.
	rm -rf "$VGPU_ROOT"/build-*/
	[ ! -d "$VGPU_ROOT/build" ] ||
		find "$VGPU_ROOT/build" -mindepth 1 -maxdepth 1 ! -name download ! -name qemu-headers -exec rm -rf {} +
	;;
--all)
	rm -rf "$VGPU_ROOT"/build/ "$VGPU_ROOT"/build-*/
	;;
-h | --help)
	cat <<'EOF'
Usage: ./dev clean [--all]

Removes build/ and build-*/ of the repository, but keeps build/download (the
kernel that virtual machines boot) and build/qemu-headers. With --all they go too.
EOF
	;;
*)
	die_usage "clean does not know '$1'" "see ./dev clean --help"
	;;
esac
