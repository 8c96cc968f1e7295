#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev bundle: one relocatable tarball of everything, for a machine that has an NVIDIA driver and no package
# registry. It is a pruned copy of this tree with its build folder, so that every script in it works as it does here,
# plus host/: QEMU, a few tools, and the shared libraries that these and our programs need beyond the C library.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$VGPU_ROOT/scripts/kernel.sh"

usage() {
	cat <<'EOF'
Usage: ./dev bundle [--out FILE]

Builds everything with optimisation and packs mediator, worker, vgpuctl, the
guest library, the device with its QEMU, a guest kernel, tests and benchmarks
into one tarball (default: build/vgpu-bundle.tar.gz). On the other machine,
which needs an x86-64 Linux with glibc 2.36 or newer:

    tar xf vgpu-bundle.tar.gz && vgpu/tests/gpu/run.sh --out results
EOF
}

out=$VGPU_ROOT/build/vgpu-bundle.tar.gz
while [ $# -gt 0 ]; do
	case $1 in
	--out)
		[ $# -gt 1 ] || die_usage "--out needs a file" "see ./dev bundle --help"
		out=$2
		shift
		;;
	-h | --help) usage && exit 0 ;;
	*) die_usage "bundle does not know '$1'" "see ./dev bundle --help" ;;
	esac
	shift
done

VGPU_BUILD=$VGPU_ROOT/build-release
first=(-Dbuildtype=release)
[ ! -f "$VGPU_BUILD/build.ninja" ] || first=()
"$VGPU_ROOT/scripts/build.sh" ${first+"${first[@]}"} || exit 1
kernel_fetch || die "there is no guest kernel"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-bundle.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
to=$tmp/vgpu
host=$to/host

# Every ELF file that the build made to be run or loaded, at its place.
copy_build() {
	local f
	(cd "$VGPU_BUILD" && find . -type f \( -perm -u+x -o -name '*.so*' \) ! -name '*.o' ! -path '*/meson-*') |
		while read -r f; do
			[ "$(head -c 4 "$VGPU_BUILD/$f" | tail -c 3)" = ELF ] || continue
			mkdir -p "$to/build/$(dirname "$f")"
			cp "$VGPU_BUILD/$f" "$to/build/$f"
			strip --strip-debug "$to/build/$f"
		done
	find "$VGPU_BUILD/shim" -name 'libcuda.so*' -type l -exec cp -P {} "$to/build/shim/" \;
	find "$VGPU_BUILD/shim/nvml" -name 'libnvidia-ml.so*' -type l -exec cp -P {} "$to/build/shim/nvml/" \;
}

copy_tree() {
	mkdir -p "$to/build/download" "$host/bin" "$host/lib" "$host/share"
	(cd "$VGPU_ROOT" && tar -c dev scripts docs README.md tests bench/report bench/record-workloads.sh) | tar -x -C "$to"
	revision >"$host/revision"
	cp -r "$kernel_dir" "$to/build/download/"
}

copy_host() {
	local tool
	for tool in qemu-system-x86_64 busybox jq; do
		cp "$(readlink -f "$(command -v $tool)")" "$host/bin/$tool" || die "there is no $tool"
	done
	mkdir -p "$host/share/qemu" "$host/share/seabios" "$host/lib/x86_64-linux-gnu/qemu"
	cp -L /usr/share/seabios/bios-256k.bin "$host/share/seabios/"
	cp -L /usr/share/qemu/{pvh,linuxboot_dma,kvmvapic}.bin "$host/share/qemu/"
	cp /usr/lib/x86_64-linux-gnu/qemu/accel-*.so "$host/lib/x86_64-linux-gnu/qemu/" 2>/dev/null
}

# What the C library's own package brings is the other machine's business.
foreign() {
	ldd "$1" 2>/dev/null | awk '$3 ~ /^\// { print $3 }' |
		grep -Ev '/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux.*|libgcc_s|libstdc\+\+|libcuda)\.so'
}

copy_libraries() {
	local f lib
	find "$to/build" "$host" -type f | while read -r f; do
		foreign "$f"
	done | sort -u | while read -r lib; do
		cp -L "$lib" "$host/lib/$(basename "$lib")"
	done
	# The $ is the loader's to expand, not the shell's.
	# shellcheck disable=SC2016
	local origin='$ORIGIN'
	find "$host/lib" -maxdepth 1 -name '*.so*' -exec patchelf --set-rpath "$origin" {} \;
	find "$host/lib/x86_64-linux-gnu/qemu" -name '*.so' -exec patchelf --set-rpath "$origin/../.." {} \;
	patchelf --set-rpath "$origin/../lib" "$host/bin/qemu-system-x86_64" "$host/bin/jq"
	find "$to/build" -type f ! -path '*/download/*' | while read -r f; do
		patchelf --set-rpath "$origin/$(realpath --relative-to="$(dirname "$f")" "$host/lib")" "$f"
	done
}

say "packing"
copy_tree
copy_build
copy_host
copy_libraries
tar -C "$tmp" -czf "$out" vgpu || die "could not write $out"
good "$out: $(du -h "$out" | cut -f 1)"
