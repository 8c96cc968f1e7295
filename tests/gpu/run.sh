#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Everything that needs a GPU, in one go, on any machine that has one: the conformance programs on the bare driver and
# through the mediator, the functional tests, applications, the demonstration and an application in a VM, the benchmarks
# native and mediated. Works in the source tree after ./dev build, and in an unpacked bundle.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
. scripts/common.sh

usage() {
	cat <<'EOF'
Usage: tests/gpu/run.sh [--out DIR] [STEP...]

Steps: native mediated functional apps vm bench (default: all, in this order).
Writes one log for each program into DIR (default: gpu-results), prints a table
and the line "N passed, N failed, N skipped"; the status is 0 if nothing failed.
Without a GPU every step is skipped. VGPU_STEP_SECONDS (default 300) bounds each
program, VGPU_VM_SECONDS (default 1500) those that run in a virtual machine.
EOF
}

out=gpu-results
steps=()
while [ $# -gt 0 ]; do
	case $1 in
	--out)
		[ $# -gt 1 ] || die_usage "--out needs a folder" "see tests/gpu/run.sh --help"
		out=$2
		shift
		;;
	-h | --help) usage && exit 0 ;;
	native | mediated | functional | apps | vm | bench) steps+=("$1") ;;
	*) die_usage "no step '$1'" "see tests/gpu/run.sh --help" ;;
	esac
	shift
done
[ ${#steps[@]} -gt 0 ] || steps=(native mediated functional apps vm bench)
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
export VGPU_TEST_KERNELS=$VGPU_ROOT/tests/kernels VGPU_TEST_DEVICE=cuda
passed=0 failed=0 skipped=0

# step NAME COMMAND...: counts by exit status, 77 = skipped.
step() {
	local name=$1 status start=$SECONDS verdict
	shift
	timeout -k 5 "${VGPU_STEP_SECONDS:-300}" "$@" >"$out/$name.log" 2>&1 </dev/null
	status=$?
	case $status in
	0) passed=$((passed + 1)) verdict=ok ;;
	77) skipped=$((skipped + 1)) verdict=skipped ;;
	*) failed=$((failed + 1)) verdict="FAILED ($status)" ;;
	esac
	printf '%-28s %-14s %4d s\n' "$name" "$verdict" $((SECONDS - start))
	[ $status -eq 0 ] || [ $status -eq 77 ] || tail -n 15 "$out/$name.log" | sed 's/^/    /'
}

have_gpu() {
	[ -e /dev/nvidiactl ] && [ -e /dev/nvidia0 ]
}

programs() {
	local f
	for f in "$VGPU_BUILD"/tests/gpu/test_*; do
		[ -f "$f" ] && [ -x "$f" ] && basename "$f"
	done
}

run_native() {
	local p
	for p in $(programs); do
		step "native-$p" "$VGPU_BUILD/tests/gpu/$p"
	done
}

run_mediated() {
	local p
	for p in $(programs); do
		step "mediated-$p" tests/functional/with-mediator.sh "$VGPU_BUILD/tests/gpu/$p"
	done
}

run_functional() {
	local t
	step hostile tests/functional/with-mediator.sh "$VGPU_BUILD/tests/functional/hostile"
	for t in two_processes fault_isolation worker_killed mediator_killed client_killed collision verify isolation peek images printf nvidia_smi; do
		step "$t" "tests/functional/$t.sh"
	done
	step worker-cost tests/gpu/worker_cost.sh --json "$out/worker-cost.json"
	cat "$out/worker-cost.log"
}

# Each application is a step of its own.
run_apps() {
	local app
	for app in $(tests/apps/run.sh --names); do
		step "app-$app" tests/apps/run.sh --out "$out/apps" "$app"
		grep ' ms ' "$out/app-$app.log"
	done
}

run_vm() {
	step demo ./dev demo --device cuda
	step vm-conformance tests/vm/vm_conformance.sh
	step vm-guest-killed tests/vm/vm_guest_killed.sh
	VGPU_STEP_SECONDS=${VGPU_VM_SECONDS:-1500} step torch-in-a-vm tests/apps/vm.sh --device cuda torch_train
}

run_bench() {
	step bench ./dev bench --gpu --out "$out"
	cat "$out/bench-gpu.txt" 2>/dev/null
}

if ! have_gpu; then
	echo "there is no NVIDIA GPU on this machine: nothing was run"
	echo "0 passed, 0 failed, ${#steps[@]} skipped"
	exit 0
fi
nvidia-smi -L 2>/dev/null
for s in "${steps[@]}"; do
	"run_$s"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
