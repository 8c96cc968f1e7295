# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The guest's kernel and initramfs. Sourced by vm.sh after common.sh.
#
# The kernel is Debian's, downloaded once into build/download and never installed: neither the
# host's /boot nor root is needed. It is linux-image-amd64 because the "cloud" flavour lacks 9p.

kernel_dir=$VGPU_ROOT/build/download/guest-kernel
# In loading order: a module comes after those that it depends on.
guest_modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
	virtio_console netfs fscache 9pnet 9p 9pnet_virtio overlay"

kernel_present() {
	[ -f "$kernel_dir/image" ] && [ -f "$kernel_dir/version" ]
}

# kernel_package [APT-OPTION...]: the newest real package behind linux-image-amd64.
kernel_package() {
	apt-cache "$@" depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# kernel_download DIR [APT-OPTION...]
kernel_download() {
	local dir=$1 pkg
	shift
	pkg=$(kernel_package "$@")
	[ -n "$pkg" ] && (cd "$dir" && apt-get "$@" download "$pkg") >"$dir/log" 2>&1
}

# The machine's own package index may be absent or old, and refreshing it needs root: then a
# private index, which this user owns, is fetched instead.
kernel_download_fresh() {
	local dir=$1 lists=$1/lists opts
	mkdir -p "$lists/partial" "$dir/cache/archives/partial"
	opts=(-o "Dir::State::lists=$lists" -o "Dir::Cache=$dir/cache")
	apt-get "${opts[@]}" update >"$dir/log" 2>&1 && kernel_download "$dir" "${opts[@]}"
}

# kernel_image BZIMAGE OUT: the kernel itself, unpacked here once, since a guest under TCG would
# need two seconds for it at each boot. QEMU starts an ELF file directly (PVH). A kernel that is
# not packed by xz stays as it is.
kernel_image() {
	local offset
	offset=$(LC_ALL=C grep -aobP '\xFD7zXZ\x00' "$1" | head -n 1 | cut -d: -f1)
	if [ -n "$offset" ]; then
		tail -c "+$((offset + 1))" "$1" | xz -dcq --single-stream >"$2" 2>/dev/null
	fi
	[ "$(head -c 4 "$2" 2>/dev/null)" = $'\x7fELF' ] || cp "$1" "$2"
}

# Keep of the package only what a guest needs: the kernel and a dozen modules.
kernel_unpack() {
	local deb=$1 dir=$2 out=$2/kernel names m
	names=('./boot/vmlinuz-*')
	for m in $guest_modules; do
		names+=("*/$m.ko*")
	done
	mkdir -p "$dir/root" "$out" &&
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/root" --wildcards "${names[@]}" 2>/dev/null
	kernel_image "$dir"/root/boot/vmlinuz-* "$out/image" 2>/dev/null || return 1
	find "$dir/root" -name '*.ko*' -exec cp {} "$out/" \;
	basename "$dir"/root/boot/vmlinuz-* | sed 's/^vmlinuz-//' >"$out/version"
	[ -f "$out/9p.ko" ] && [ -f "$out/virtio_pci.ko" ]
}

# Downloads into a directory of its own, then moves it in place whole.
kernel_fetch() {
	local tmp
	kernel_present && return 0
	say "downloading the guest's kernel (Debian's linux-image-amd64, 70 MB, once)"
	mkdir -p "$VGPU_ROOT/build/download"
	tmp=$(mktemp -d "$VGPU_ROOT/build/download/new.XXXXXX") || return 1
	if ! kernel_download "$tmp" && ! kernel_download_fresh "$tmp"; then
		tail -n 20 "$tmp/log" >&2
		rm -rf "$tmp"
		return 1
	fi
	if kernel_unpack "$tmp"/linux-image-*.deb "$tmp"; then
		mv -T "$tmp/kernel" "$kernel_dir" 2>/dev/null || kernel_present
	fi
	rm -rf "$tmp"
	kernel_present
}

# initramfs_make FILE: busybox, the modules and guest-init.sh as /init.
initramfs_make() {
	local file=$1 tmp m busybox
	busybox=$(command -v busybox) || return 1
	tmp=$(mktemp -d) || return 1
	mkdir -p "$tmp/bin" "$tmp/modules" "$tmp/proc" "$tmp/sys" "$tmp/dev" "$tmp/newroot"
	cp "$busybox" "$tmp/bin/busybox"
	cp "$VGPU_ROOT/scripts/guest-init.sh" "$tmp/init"
	chmod 755 "$tmp/init"
	# A kernel that has one of them built in has no file for it.
	for m in $guest_modules; do
		[ ! -f "$kernel_dir/$m.ko" ] || {
			cp "$kernel_dir/$m.ko" "$tmp/modules/" && echo "$m" >>"$tmp/modules/order"
		}
	done
	(cd "$tmp" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$file.$$" &&
		mv "$file.$$" "$file"
	rm -rf "$tmp"
	[ -s "$file" ]
}

# initramfs_append FILE DIR NAME...: a second archive, with what is particular to one run.
initramfs_append() {
	local file=$1 dir=$2
	shift 2
	(cd "$dir" && printf '%s\n' "$@" | busybox cpio -o -H newc 2>/dev/null | gzip -1) >>"$file"
}
