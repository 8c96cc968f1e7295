#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev vm: boots a throw-away guest, runs one command in it, passes its output and exit status
# through. guest-init.sh is the other end, in the guest.
#
# The output goes through virtio ports into plain files, which `tail` follows: a file never
# blocks QEMU, so when the exit status arrives all output before it has been written, and the
# machine can be ended at once.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$VGPU_ROOT/scripts/kernel.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
NAME
    dev vm - run a command inside a throw-away virtual machine

SYNOPSIS
    ./dev vm [OPTION...] -- COMMAND [ARGUMENT...]

DESCRIPTION
    Boots Debian's kernel with this host's root file system, read-only, under a
    layer of memory: everything can be written and nothing of it remains. The
    command starts in the current directory with PATH, HOME, USER, LANG, TERM
    and every VGPU_* variable but VGPU_SOCKET_PATH, VGPU_BUILD and VGPU_ROOT. It
    runs as root of the guest, with the rights of the calling user on the host's
    files.
    libcuda.so.1 is this project's, and the vgpu-stub device is present.

    Standard output, standard error and the exit status are the command's own.

OPTIONS
    --socket PATH       the device connects to the mediator that listens there
                        (default: $VGPU_SOCKET_PATH, else a mediator is started
                        for this run and stopped after it)
    --plain             no device and no mediator
    --vm-id N           the number by which the mediator knows this VM
    --device-args ARGS  further properties of the device: "memory=2G,..."
                        (-device vgpu-stub,help in docs/device-spec.md)
    --mem SIZE          memory of the guest, as QEMU spells it (default 1G)
    --smp N             processors of the guest (default 2)
    --accel NAME        kvm or tcg (default: kvm where a trial boot worked, and
                        the result of that trial is remembered)
    --env NAME=VALUE    another environment variable for the command; repeatable
    --share DIR         DIR of the host is writable in the guest, at its path
    --stdin             read standard input to its end, then give it to COMMAND
                        (without this the command reads from /dev/null)
    --timeout SECONDS   end the guest after that time (default 600)
    --keep              keep the run's files (console log, initramfs), say where
    --dir DIR           put these files into DIR, and keep them
    -h, --help          this text

EXIT STATUS
    The command's own (128 + N if signal N ended it). 124: time ran out.
    125: the guest did not start, or died before the command ended; its console
    is shown. 2: wrong usage.
EOF
}

# ---- options -----------------------------------------------------------------------------

socket=${VGPU_SOCKET_PATH:-}
plain=0 vm_id='' device_args='' mem=1G smp=2 accel='' limit=600 keep=0 dir='' share='' want_stdin=0
extra_env=()

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--socket | --vm-id | --device-args | --mem | --smp | --accel | --env | --share | \
			--timeout | --dir)
			[ $# -gt 1 ] || die_usage "$1 needs a value" "see ./dev vm --help"
			;;
		esac
		case $1 in
		--socket) socket=$2 && shift ;;
		--plain) plain=1 ;;
		--vm-id) vm_id=$2 && shift ;;
		--device-args) device_args=$2 && shift ;;
		--mem) mem=$2 && shift ;;
		--smp) smp=$2 && shift ;;
		--accel) accel=$2 && shift ;;
		--env) extra_env+=("$2") && shift ;;
		--share) share=$2 && shift ;;
		--stdin) want_stdin=1 ;;
		--timeout) limit=$2 && shift ;;
		--keep) keep=1 ;;
		--dir) dir=$2 keep=1 && shift ;;
		-h | --help) usage && exit 0 ;;
		--) shift && break ;;
		-*) die_usage "unknown option $1" "see ./dev vm --help" ;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 0 ] || die_usage "no command to run" "./dev vm [OPTION...] -- COMMAND..."
	command_line=("$@")
}

check_options() {
	[[ $limit =~ ^[0-9]+$ ]] || die_usage "--timeout wants whole seconds, not '$limit'"
	[[ $smp =~ ^[0-9]+$ ]] || die_usage "--smp wants a number, not '$smp'"
	[[ $vm_id =~ ^[0-9]*$ ]] || die_usage "--vm-id wants a number, not '$vm_id'"
	case $accel in
	'' | kvm | tcg) ;;
	*) die_usage "--accel wants kvm or tcg, not '$accel'" ;;
	esac
	if [ -n "$share" ]; then
		share=$(cd "$share" && pwd) || die_usage "--share: no such directory"
	fi
	case $socket$share in
	*,*) die_usage "QEMU cannot take a comma in a path: $socket $share" ;;
	esac
}

# ---- what the guest is told --------------------------------------------------------------

# The file /job: sets the environment and becomes the command.
write_job() {
	local name word
	printf 'cd %s || exit 127\nexec /usr/bin/env -i' "$(quote "$PWD")"
	for name in PATH HOME USER LANG TERM ${!VGPU_@}; do
		case $name in
		VGPU_SOCKET_PATH | VGPU_BUILD | VGPU_ROOT) continue ;;
		esac
		[ -z "${!name+set}" ] || printf ' %s' "$(quote "$name=${!name}")"
	done
	printf ' %s' "$(quote "LD_LIBRARY_PATH=$VGPU_BUILD/shim:$VGPU_BUILD/shim/nvml")"
	for word in ${extra_env+"${extra_env[@]}"} "${command_line[@]}"; do
		printf ' %s' "$(quote "$word")"
	done
	echo
}

prepare_run() {
	local base=$VGPU_BUILD/vm/initramfs
	mkdir -p "$VGPU_BUILD/vm"
	base+=-$(<"$kernel_dir/version").gz
	if [ ! -s "$base" ] || [ "$VGPU_ROOT/scripts/guest-init.sh" -nt "$base" ]; then
		initramfs_make "$base" || die "could not make the initramfs $base"
	fi
	write_job >"$dir/job"
	if [ $want_stdin -eq 1 ]; then
		cat >"$dir/stdin"
		printf 'input=%s\n' "$(quote "$dir/stdin")" >"$dir/settings"
	fi
	printf 'share=%s\n' "$(quote "$share")" >>"$dir/settings"
	cp "$base" "$dir/initramfs" && initramfs_append "$dir/initramfs" "$dir" job settings ||
		die "could not write $dir/initramfs"
	: >"$dir/stdout" && : >"$dir/stderr" && : >"$dir/console"
	rm -f "$dir/status" && mkfifo "$dir/status"
}

# ---- QEMU --------------------------------------------------------------------------------

qemu_arguments() {
	local title=${command_line[0]##*/}
	qemu=(qemu-system-x86_64 -name "guest=${title//[^A-Za-z0-9._-]/_}"
		-nodefaults -no-user-config -display none -no-reboot
		-machine q35 -m "$mem" -smp "$smp" -pidfile "$dir/qemu.pid"
		-kernel "$kernel_dir/image" -initrd "$dir/initramfs"
		-append "console=ttyS0 loglevel=4 panic=-1 mitigations=off"
		-chardev "file,id=console,path=$dir/console" -serial chardev:console
		-fsdev "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
		-device virtio-9p-pci,fsdev=root,mount_tag=hostroot
		-device virtio-serial-pci)
	local n=1 name
	for name in stdout stderr status; do
		qemu+=(-chardev "file,id=$name,path=$dir/$name"
			-device "virtserialport,nr=$n,chardev=$name")
		n=$((n + 1))
	done
	[ -z "$share" ] ||
		qemu+=(-fsdev "local,id=share,path=$share,security_model=none,multidevs=remap"
			-device virtio-9p-pci,fsdev=share,mount_tag=share)
	case $accel in
	kvm) qemu+=(-accel kvm -cpu host) ;;
	*) qemu+=(-accel tcg,thread=multi -cpu max) ;;
	esac
	[ $plain -eq 1 ] || qemu+=(-device
		"vgpu-stub,socket=$socket,vm-id=$vm_id${device_args:+,$device_args}")
}

# The preload is given by env to QEMU alone: no other process of this run inherits it.
start_qemu() {
	local preload=()
	[ $plain -eq 1 ] || preload=(env "LD_PRELOAD=$VGPU_BUILD/stub/vgpu-stub.so")
	timeout -k 2 "$limit" ${preload+"${preload[@]}"} "${qemu[@]}" \
		</dev/null >"$dir/qemu.log" 2>&1 9>"$dir/status" &
	timeout_pid=$!
	tail -c +1 -f -s 0.02 --pid="$timeout_pid" "$dir/stdout" 2>/dev/null &
	tails=($!)
	tail -c +1 -f -s 0.02 --pid="$timeout_pid" "$dir/stderr" >&2 2>/dev/null &
	tails+=($!)
}

# Reads what guest-init.sh reports, until its end or the end of QEMU. Sets `result` and `refusal`.
follow_status() {
	local word rest
	result='' refusal=''
	while read -r word rest; do
		case $word in
		exit) result=$rest && break ;;
		fail) refusal=$rest && break ;;
		esac
	done <"$dir/status"
}

stop_qemu() {
	[ -n "${timeout_pid:-}" ] || return 0
	kill "$timeout_pid" 2>/dev/null
	wait "$timeout_pid" 2>/dev/null
	qemu_status=$?
	timeout_pid=
	wait "${tails[@]}" 2>/dev/null
}

explain_failure() {
	local last
	last=$(tail -n 25 "$dir/console" | tr -d '\r')
	[ -z "$last" ] || printf -- '---- console of the guest, its end ----\n%s\n----\n' "$last" >&2
	[ ! -s "$dir/qemu.log" ] || sed 's/^/qemu: /' "$dir/qemu.log" >&2
}

cleanup() {
	stop_qemu
	mediator_stop
	if [ $keep -eq 1 ]; then
		[ -z "$announce" ] || say "the run's files are in $dir"
	else
		rm -rf "$dir"
	fi
}

# ---- acceleration ------------------------------------------------------------------------

# /dev/kvm may exist and yet not boot a stock kernel, so a guest is booted to see. The answer
# holds for this QEMU, guest kernel, host kernel and user.
choose_accel() {
	local key cache=$VGPU_BUILD/vm/accel
	[ -z "$accel" ] || return 0
	accel=tcg
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || return 0
	key="$(qemu-system-x86_64 --version | head -n 1) $(<"$kernel_dir/version") $(uname -r) $(id -u)"
	if [ -f "$cache" ] && [ "$(sed -n 1p "$cache")" = "$key" ]; then
		accel=$(sed -n 2p "$cache")
		return 0
	fi
	mkdir -p "$VGPU_BUILD/vm"
	if "$VGPU_ROOT/scripts/vm.sh" --plain --accel kvm --timeout 15 -- true 2>/dev/null; then
		accel=kvm
	fi
	printf '%s\n%s\n' "$key" "$accel" >"$cache.$$" && mv "$cache.$$" "$cache"
}

# ---- all of it ---------------------------------------------------------------------------

parse "$@"
check_options
# Others are the command's own. common.sh uses it.
# shellcheck disable=SC2034
die_status=125
command -v qemu-system-x86_64 >/dev/null && command -v busybox >/dev/null ||
	"$VGPU_ROOT/scripts/setup.sh" || exit 125
kernel_fetch || die "there is no guest kernel" "see the messages above; it needs the network once"
[ $plain -eq 1 ] || [ -e "$VGPU_BUILD/stub/vgpu-stub.so" ] ||
	die "there is no $VGPU_BUILD/stub/vgpu-stub.so" "run ./dev build, or use --plain"
choose_accel

announce=
if [ -z "$dir" ]; then
	dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-vm.XXXXXX") || exit 125
	[ $keep -eq 0 ] || announce=yes
else
	mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 125
fi
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
vm_id=${vm_id:-$$}
prepare_run
if [ $plain -eq 0 ] && [ -z "$socket" ]; then
	mediator_start "$dir"
	socket=$dir/mediator.sock
fi
qemu_arguments
begun=$SECONDS
start_qemu
# The shell would report how QEMU ended; below it is said better.
{ follow_status && stop_qemu; } 2>/dev/null
[ -z "$result" ] || exit "$result"
explain_failure
if [ "$qemu_status" -ne 0 ] && [ $((SECONDS - begun)) -ge "$limit" ]; then
	warn "the guest was ended after $limit s" "a longer time: --timeout SECONDS"
	exit 124
fi
die "${refusal:-the guest ended before the command did}"
