#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
#
# Process 1 of the throw-away guest. It runs twice: first from the initramfs, where it mounts the
# host's root (read-only, 9p) under a tmpfs (overlay), then from the new root, where it runs /job
# between the virtio ports and reports the exit status. vm.sh on the host is its counterpart.
#
# Ports: 1 = the job's standard output, 2 = its standard error, 3 = words to the host:
# "boot" when the job starts, "exit N" when it ended, "fail TEXT" when it could not start.
PATH=/bin:/sbin
bb=/bin/busybox

# port N: its device; the number of the bus in the name varies.
port() {
	echo /dev/vport*p"$1"
}

tell_host() {
	echo "$*" >"$(port 3)" 2>/dev/null
	echo "guest: $*" >/dev/console
}

fail() {
	tell_host "fail $*"
	$bb sleep 2
	$bb poweroff -f
}

load_modules() {
	while read -r m; do
		$bb insmod "/modules/$m.ko" || echo "guest: cannot load $m" >/dev/console
	done </modules/order
}

# Devices appear a moment after their driver.
wait_for_ports() {
	n=0
	while [ ! -e "$(port 3)" ]; do
		n=$((n + 1))
		[ $n -lt 500 ] || return 1
		$bb usleep 10000
	done
}

mount_root() {
	$bb mkdir -p /host /rw /newroot
	opts=trans=virtio,version=9p2000.L,msize=512000
	$bb mount -t 9p -o "ro,cache=loose,$opts" hostroot /host || return 1
	$bb mount -t tmpfs -o mode=755,size=75% tmpfs /rw || return 1
	$bb mkdir /rw/upper /rw/work
	$bb mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay \
		/newroot || return 1
	$bb mount -t tmpfs -o mode=755 tmpfs /newroot/run
	$bb mkdir -p /newroot/run/vgpu /newroot/proc /newroot/sys /newroot/dev
	$bb cp "$bb" /init /job /settings /newroot/run/vgpu/
	if [ -n "$share" ]; then
		$bb mkdir -p "/newroot$share"
		$bb mount -t 9p -o "rw,cache=none,$opts" share "/newroot$share" || return 1
	fi
}

first_stage() {
	. /settings
	$bb mount -t devtmpfs dev /dev
	$bb mount -t proc proc /proc
	$bb mount -t sysfs sys /sys
	load_modules
	wait_for_ports || fail "the virtio ports did not appear"
	mount_root || fail "the host's file system cannot be mounted"
	for d in dev proc sys; do
		$bb mount -o move "/$d" "/newroot/$d"
	done
	exec $bb switch_root /newroot /run/vgpu/busybox sh /run/vgpu/init second
}

second_stage() {
	bb=/run/vgpu/busybox
	$bb mkdir -p /dev/pts /dev/shm
	$bb mount -t devpts devpts /dev/pts
	$bb mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	$bb ln -sf /proc/self/fd /dev/fd
	for n in 0:stdin 1:stdout 2:stderr; do
		$bb ln -sf "/proc/self/fd/${n%:*}" "/dev/${n#*:}"
	done
	$bb hostname vgpu-guest
	$bb ip link set lo up
	tell_host boot
	run_job
	tell_host "exit $?"
	# The host ends the machine when it has read that; this is for when it does not.
	$bb sleep 60
	$bb poweroff -f
}

# The job writes to pipes, because a port cannot be opened twice and /dev/stdout must open.
# A process that it leaves behind may keep a pipe open: the wait for the end is bounded.
run_job() {
	. /run/vgpu/settings
	cd /run/vgpu && $bb mkfifo out err
	$bb cat <out >"$(port 1)" &
	copies=$!
	$bb cat <err >"$(port 2)" &
	copies="$copies $!"
	$bb setsid $bb sh /run/vgpu/job <"${input:-/dev/null}" >out 2>err
	status=$?
	n=0
	# shellcheck disable=SC2086 # a list of numbers
	while kill -0 $copies 2>/dev/null && [ $n -lt 200 ]; do
		n=$((n + 1))
		$bb usleep 10000
	done
	return $status
}

case ${1:-} in
second) second_stage ;;
*) first_stage ;;
esac
