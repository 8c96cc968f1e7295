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

"$VGPU_ROOT/scripts/setup.sh" || exit 1
log=$VGPU_BUILD/dev-build.log
if [ ! -f "$VGPU_BUILD/build.ninja" ]; then
	say "configuring $VGPU_BUILD"
	quietly "$VGPU_BUILD/dev-setup.log" meson setup "$VGPU_BUILD" "$VGPU_ROOT" "$@" ||
		die "meson could not configure $VGPU_BUILD" "the whole output is in $VGPU_BUILD/dev-setup.log"
elif [ $# -gt 0 ]; then
	quietly "$VGPU_BUILD/dev-setup.log" meson configure "$VGPU_BUILD" "$@" ||
		die "meson refused these options: $*"
fi
if ! ninja -C "$VGPU_BUILD" -n 2>/dev/null | grep -q 'no work to do'; then
	say "building $VGPU_BUILD"
fi
quietly "$log" ninja -C "$VGPU_BUILD" || die "the build failed" "the whole output is in $log"
