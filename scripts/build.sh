#!/bin/bash
# SPDX-License-Identifier: MIT
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<'EOF'
Usage: ./dev build [MESON-SETUP-OPTION...]

Installs missing packages, configures (once) and compiles everything into
$VGPU_BUILD (default build/). Options given are passed to `meson setup`, for
example -Dbuildtype=release; they reconfigure an existing build.
CC and CXX choose the compilers of a build directory that does not exist yet.
EOF
}

case ${1:-} in
-h | --help) usage && exit 0 ;;
esac
[ -z "$VGPU_BUNDLE" ] || exit 0

# The device is compiled against the headers of exactly the QEMU that is installed. They come from
# its source package, once. Without them all but the device is built.
headers=$VGPU_ROOT/build/qemu-headers
prepare_headers() {
	local log=$VGPU_ROOT/build/dev-headers.log
	[ -s "$headers/stamp" ] || say "preparing the headers of the installed QEMU (once)"
	quietly "$log" "$VGPU_ROOT/stub/tools/qemu-headers.sh" "$headers" ||
		warn "no QEMU headers: the device is not built, and virtual machines do without it" \
			"the whole output is in $log; it needs the network once"
}

"$VGPU_ROOT/scripts/setup.sh" || exit 1
prepare_headers
log=$VGPU_BUILD/dev-build.log
if [ ! -f "$VGPU_BUILD/build.ninja" ]; then
	say "configuring $VGPU_BUILD"
	quietly "$VGPU_BUILD/dev-setup.log" meson setup "$VGPU_BUILD" "$VGPU_ROOT" "$@" ||
		die "meson could not configure $VGPU_BUILD" "the whole output is in $VGPU_BUILD/dev-setup.log"
elif [ $# -gt 0 ]; then
	quietly "$VGPU_BUILD/dev-setup.log" meson configure "$VGPU_BUILD" "$@" ||
		die "meson refused these options: $*" "those that it knows: meson configure $VGPU_BUILD"
fi
# The build looks for the headers when it is configured.
if [ "$headers/stamp" -nt "$VGPU_BUILD/build.ninja" ]; then
	quietly "$VGPU_BUILD/dev-setup.log" meson setup --reconfigure "$VGPU_BUILD" "$VGPU_ROOT" ||
		die "meson could not configure $VGPU_BUILD again"
fi
if ! ninja -C "$VGPU_BUILD" -n 2>/dev/null | grep -q 'no work to do'; then
	say "building $VGPU_BUILD"
fi
quietly "$log" ninja -C "$VGPU_BUILD" || die "the build failed" "the whole output is in $log"
