#!/bin/bash
# SPDX-License-Identifier: MIT
# The stock QEMU binary with vgpu-stub.so preloaded: lists the device, describes its properties,
# rejects bad values and says what is accepted; refuses to migrate; a device can be unplugged.
# Other programs that inherit the preload do not notice it.
#
# usage: qemu_device.sh vgpu-stub.so
set -u
so=${1:?the preloaded object}
qemu=$(command -v qemu-system-x86_64) || { echo "qemu-system-x86_64 is not installed"; exit 77; }
[ -e "$so" ] || { echo "$so was not built"; exit 77; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

fail() {
	echo "FAILED: $*"
	failed=1
}

run() {
	timeout 60 env LD_PRELOAD="$so" "$qemu" -nodefaults -display none -M pc,accel=tcg -m 64 "$@" 2>&1
}

# expect TEXT COMMAND...: the output holds the text.
expect() {
	local text=$1 out
	shift
	out=$("$@")
	grep -qF -- "$text" <<<"$out" || fail "'$*' does not say '$text' but: $out"
}

reject() {
	local property=$1 text=$2 out
	if out=$(run -device "vgpu-stub,$property" -S -monitor none </dev/null); then
		fail "$property was accepted"
	fi
	grep -qF -- "$text" <<<"$out" || fail "$property: '$text' is not in: $out"
}

expect 'name "vgpu-stub", bus PCI' run -device help
for p in 'socket=<str>' 'vm-id=<uint32>' 'memory=<size>' 'channels=<uint32>' \
	'hugepages=<OnOffAuto>' 'vendor-id=<uint16>' 'device-id=<uint16>'; do
	expect "  $p " run -device vgpu-stub,help
done
expect '(default: /run/vgpu/mediator.sock)' run -device vgpu-stub,help

reject memory=3G 'accepted is a power of two from 64M to 64G'
reject memory=0 'accepted is a power of two from 64M to 64G'
reject memory=128G 'accepted is a power of two from 64M to 64G'
reject memory=64M,channels=17 'accepted is 1 to 16 with memory of 64M'
reject channels=65 'accepted is 1 to 64'
reject hugepages=maybe hugepages
reject vendor-id=0 'accepted is 0x0001 to 0xfffe'
reject socket= 'accepted is the path'
reject "socket=$(printf 'x%.0s' {1..108})" 'accepted is 1 to 107 bytes'
reject vm-id=many 'vm-id'
reject nonsense=1 'nonsense'

# The monitor: refused migration, unplugging (the guest's part of it is done by the reset).
monitor() {
	printf '%s\n' "$@" quit | run -device "vgpu-stub,id=v,socket=$tmp/none.sock" -monitor stdio
}
expect "State blocked by non-migratable device" monitor 'migrate "exec:cat >/dev/null"'
expect 'PCI device 1234:7647' monitor 'info pci'
out=$({ printf 'device_del v\nsystem_reset\n'; sleep 2; printf 'info pci\nquit\n'; } |
	run -device "vgpu-stub,id=v,socket=$tmp/none.sock" -monitor stdio)
grep -qF 'PCI device 8086:1237' <<<"$out" || fail "no 'info pci' after device_del: $out"
grep -qF 1234:7647 <<<"$out" && fail "the device is still there after device_del: $out"

# Programs that are not QEMU.
[ "$(LD_PRELOAD=$so ls -d / 2>&1)" = / ] || fail "ls is disturbed by the preload"
strong=$(nm -D --undefined-only "$so" | awk '$1 == "U" && $2 !~ /@/ { print $2 }')
[ -z "$strong" ] || fail "strong references to QEMU (stub/qemu/weak.h lacks them): $strong"
defined=$(nm -D --defined-only "$so")
[ -z "$defined" ] || fail "symbols that could replace those of QEMU are exported: $defined"
exit $failed
