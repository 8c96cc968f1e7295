#!/bin/bash
# SPDX-License-Identifier: MIT
# overlay.sh ROOT CC: what apply.sh puts into a QEMU tree is whole: it lists each source of the core, and each of them
# compiles from the copies alone.
set -u
root=$1
shift
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/hw/misc"
touch "$tree/hw/misc/meson.build" "$tree/hw/misc/Kconfig"
"$root/stub/overlay/apply.sh" "$tree" >/dev/null || exit 1
cd "$tree/hw/misc/vgpu-stub" || exit 1
status=0
for source in "$root"/stub/core/*.c; do
	name=$(basename "$source")
	grep -qF "'$name'," meson.build || { echo "the overlay does not list $name"; status=1; }
	"$@" -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Iinclude -I. "$name" || status=1
done
exit $status
