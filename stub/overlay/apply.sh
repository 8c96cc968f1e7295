#!/bin/bash
# SPDX-License-Identifier: MIT
#
# apply.sh QEMU-SOURCE: puts the device vgpu-stub into a QEMU source tree, for
# those who build QEMU themselves.  It copies the sources to
# hw/misc/vgpu-stub/ and adds one line each to hw/misc/meson.build and
# hw/misc/Kconfig.  Running it again brings the copies up to date.
set -euo pipefail

die() { echo "apply.sh: $*" >&2; exit 1; }

case ${1:-} in
'') die "usage: apply.sh QEMU-SOURCE" ;;
-h | --help) sed -n '4,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
qemu=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
misc=$qemu/hw/misc
if ! [ -f "$misc/meson.build" ] || ! [ -f "$misc/Kconfig" ]; then
	die "$qemu is no QEMU source tree with hw/misc"
fi

to=$misc/vgpu-stub
rm -rf "$to"
mkdir -p "$to/include/vgpu"
cp "$root"/stub/core/*.[ch] "$root/stub/qemu/vgpu_stub_qom.c" "$to/"
for h in device ring shm socket v1; do
	cp "$root/include/vgpu/$h.h" "$to/include/vgpu/"
done
cp "$root/stub/overlay/meson.build.in" "$to/meson.build"
cp "$root/stub/overlay/Kconfig" "$to/Kconfig"

# add FILE LINE: once.
add() {
	grep -qxF -- "$2" "$1" || printf '%s\n' "$2" >>"$1"
}
add "$misc/meson.build" "subdir('vgpu-stub')"
add "$misc/Kconfig" "source vgpu-stub/Kconfig"
echo "apply.sh: vgpu-stub is in $to; configure with --enable-linux-io-uring and build"
