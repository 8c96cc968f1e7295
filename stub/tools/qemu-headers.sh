#!/bin/bash
# SPDX-License-Identifier: MIT
#
# qemu-headers.sh OUTDIR: the headers that stub/qemu needs, of exactly the
# QEMU that is installed.  Debian's source package of that version is fetched
# and configured with everything optional off; only headers are generated, no
# object is compiled.  What is kept is in OUTDIR:
#
#	include/ generated/ version.h stamp
#
# A second run finds the stamp and does nothing.  Results are also kept in
# $VGPU_CACHE_DIR (default: ~/.cache/vgpu), so that another build folder needs
# no network.  $VGPU_QEMU names another program than qemu-system-x86_64.
# The machine's package sources are read, never changed.
set -euo pipefail

qemu=${VGPU_QEMU:-qemu-system-x86_64}
say() { echo "qemu-headers: $*"; }
die() { echo "qemu-headers: $*" >&2; exit 1; }

[ $# = 1 ] || die "usage: qemu-headers.sh OUTDIR"
case $1 in
-h|--help) sed -n '4,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
-*) die "unknown option $1; usage: qemu-headers.sh OUTDIR" ;;
esac

find_version() {
	command -v "$qemu" >/dev/null || die "$qemu is not installed (Debian: qemu-system-x86)"
	local binary package
	binary=$(readlink -f "$(command -v "$qemu")")
	package=$(dpkg-query -S "$binary" 2>/dev/null | head -n1 | cut -d: -f1) ||
		die "$binary does not come from a Debian package; use stub/overlay with your QEMU's source"
	[ -n "$package" ] ||
		die "$binary does not come from a Debian package; use stub/overlay with your QEMU's source"
	source_name=$(dpkg-query -W -f '${source:Package}' "$package")
	source_version=$(dpkg-query -W -f '${source:Version}' "$package")
}

# A sources list of deb-src entries, derived from the machine's own deb ones.
write_sources() {
	local f
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		sed 's/^Types:.*/Types: deb-src/' "$f"
		echo
	done >"$work/apt/all.sources"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] || continue
		sed -n 's/^deb\(-src\)\{0,1\}[[:space:]]/deb-src /p' "$f"
	done | sort -u >"$work/apt/all.list"
	# Third parties (one-suite repositories without a Debian component) have no QEMU.
	awk 'BEGIN { RS = ""; ORS = "\n\n" } /(^|\n)Components:[^\n]*main/ && /debian/' \
		"$work/apt/all.sources" >"$work/apt/parts/debian.sources"
	grep -E 'debian' "$work/apt/all.list" >"$work/apt/parts/debian.list" || true
	[ -s "$work/apt/parts/debian.sources" ] || rm -f "$work/apt/parts/debian.sources"
	[ -s "$work/apt/parts/debian.list" ] || rm -f "$work/apt/parts/debian.list"
	[ -n "$(ls "$work/apt/parts")" ] || die "no Debian package sources found in /etc/apt"
}

apt_here() {
	apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/parts" \
		-o Dir::State::lists="$work/apt/lists" -o Dir::Cache::srcpkgcache= \
		-o Dir::Cache::pkgcache= -o APT::Sandbox::User= "$@"
}

fetch() {
	say "fetching the source of $source_name $source_version (24 MB)"
	mkdir -p "$work/apt/lists/partial" "$work/apt/parts"
	write_sources
	apt_here update >"$work/apt.log" 2>&1 ||
		{ tail -n5 "$work/apt.log" >&2; die "apt-get update failed: is the network reachable?"; }
	(cd "$work" && apt_here source --download-only "$source_name=$source_version") \
		>>"$work/apt.log" 2>&1 ||
		{ tail -n5 "$work/apt.log" >&2
		  die "Debian's archive does not hold $source_name $source_version: upgrade QEMU (apt-get install --only-upgrade qemu-system-x86) and run again"; }
	say "unpacking"
	dpkg-source --no-check -x "$work"/*.dsc "$work/source" >"$work/unpack.log" 2>&1 ||
		{ tail -n5 "$work/unpack.log" >&2; die "dpkg-source failed"; }
}

configure() {
	say "configuring (about 15 s)"
	mkdir "$work/build"
	(cd "$work/build" && ../source/configure --target-list=x86_64-softmmu \
		--without-default-features --without-default-devices --enable-kvm \
		--enable-fdt=system --disable-docs --disable-tools --disable-werror) \
		>"$work/configure.log" 2>&1 ||
		{ grep -E 'ERROR|not found' "$work/configure.log" | tail -n5 >&2
		  die "QEMU's configure failed; missing Debian packages are named above (packages.txt lists what is needed)"; }
	ninja -C "$work/build" config-poison.h qapi/qapi-builtin-types.h >"$work/ninja.log" 2>&1 ||
		{ tail -n5 "$work/ninja.log" >&2; die "generating headers failed"; }
}

collect() {
	local out=$1 version
	version=$(cat "$work/source/VERSION")
	mkdir -p "$out/generated/qapi"
	cp -r "$work/source/include" "$out/include"
	cp "$work"/build/config-host.h "$work"/build/config-poison.h "$out/generated/"
	cp "$work"/build/qapi/*.h "$out/generated/qapi/"
	cat >"$out/version.h" <<EOF
/* The QEMU that these headers belong to. */
#define VGPU_QEMU_VERSION "$version"
#define VGPU_QEMU_MAJOR $(echo "$version" | cut -d. -f1)
#define VGPU_QEMU_MINOR $(echo "$version" | cut -d. -f2)
EOF
	echo "$stamp" >"$out/stamp"
}

# Replace folder $2 by $1 as nearly at once as a shell can.
put() {
	mkdir -p "$(dirname "$2")"
	rm -rf "$2.new"
	cp -r "$1" "$2.new"
	rm -rf "$2"
	mv "$2.new" "$2"
}

find_version
out=$1
stamp="format 1 $source_name $source_version"
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
	say "$out is up to date ($source_version)"
	exit 0
fi
cache=${VGPU_CACHE_DIR:-${HOME:-/nonexistent}/.cache/vgpu}/qemu-headers-${source_version//[^A-Za-z0-9.+~-]/_}
if [ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ]; then
	put "$cache" "$out"
	say "taken from $cache"
	exit 0
fi
for tool in apt-get dpkg-source patch ninja pkg-config python3; do
	command -v $tool >/dev/null || die "$tool is missing (packages.txt lists what is needed)"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-qemu-headers.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch
configure
collect "$work/result"
put "$work/result" "$out"
mkdir -p "$(dirname "$cache")" 2>/dev/null && put "$work/result" "$cache" ||
	say "no cache: $cache cannot be written"
say "done: headers of QEMU $source_version in $out"
