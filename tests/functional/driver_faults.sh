#!/bin/bash
# SPDX-License-Identifier: MIT
# The cuda backend against a driver that is missing, too old, incomplete, broken or that loses its device: one clear
# line each time, the documented behaviour, and all is well again when the driver is. No GPU takes part.
. "$(dirname "$0")/lib.sh"
faults=$VGPU_BUILD/tests/faults
host_path=$faults
export VGPU_TEST_DEVICE=cuda VGPU_FAULT_FILE=$work/faults
: >"$VGPU_FAULT_FILE"

# mediator_tries: like mediator_up, but a worker may never become ready.
mediator_tries() {
	: >"$work/mediator.log"
	LD_LIBRARY_PATH=$host_path "$bin/vgpu-mediator" --socket "$work/mediator.sock" --control "$work/control.sock" \
		--pool 1 "$@" >>"$work/mediator.log" 2>&1 </dev/null &
	mediator_pid=$!
	soon 10 status_is '.device.known or .pool.failures > 0' true || fail "no worker said anything"
}

# refuses TEXT: with --device cuda sessions are refused and guest, log and status all say why.
refuses() {
	mediator_tries --device cuda
	"$programs/churn" 1 1 >"$work/out.log" 2>&1 && fail "a session was served although: $1"
	says out 'CUDA_ERROR_NO_DEVICE' || fail "the error is not CUDA_ERROR_NO_DEVICE: $1"
	says out "no usable GPU on the host.*$1" || fail "the guest does not say: $1"
	says mediator "no device: .*$1" || fail "the log does not say: $1"
	status .pool.last_failure | grep -q "$1" || fail "vgpuctl does not say: $1"
	mediator_down
}

# fault LINE: what the driver of later workers does.
fault() {
	printf '%s\n' "$1" >"$VGPU_FAULT_FILE"
}

# Through the whole cuda backend, right.
mediator_up
status_is .device.backend cuda || fail "the backend is not cuda"
says mediator 'device: cuda, 1 of them' || fail "the log does not say which device was chosen"
"$programs/vectoradd" >"$work/out.log" 2>&1 || fail "vectoradd through the cuda backend"
"$programs/misbehave" pointers >"$work/out.log" 2>&1 || fail "misbehave pointers through the cuda backend"
"$programs/wild" >"$work/out.log" 2>&1 || fail "wild through the cuda backend"
mediator_down

fault 'init 100'
refuses 'the driver does not initialise: CUDA error 100'
fault 'version 11040'
refuses 'the NVIDIA driver is too old: it is for CUDA 11.4, and 11.7 is the oldest that will do'
fault 'devices 0'
refuses 'the driver has no device'
fault 'context 46'
refuses 'device 0 gives no context: CUDA error 46'
fault 'missing cuStreamWriteValue64_v2'
refuses 'libcuda.so.1 has no cuStreamWriteValue64_v2'
mkdir "$work/none"
echo "no driver" >"$work/none/libcuda.so.1"
host_path=$work/none
refuses 'no NVIDIA driver on this host'

# auto: the same line, and the soft device.
mediator_tries --device auto
status_is .device.backend soft || fail "auto did not take the soft device"
says mediator 'device: soft, because there is no usable GPU (no NVIDIA driver on this host' ||
	fail "the log does not say why it is the soft device"
"$programs/churn" 1 1 >"$work/out.log" 2>&1 || fail "auto without a driver does not compute"
mediator_down
host_path=$faults

# While a session runs: the native error, and nothing hangs.
fault 'alloc 2'
mediator_tries --device cuda
"$programs/churn" 1 1 >"$work/out.log" 2>&1
expect "exit status when allocating fails" 2 $?
says out 'cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY' || fail "allocating fails with another error"
mediator_down
fault 'write 801'
mediator_tries --device cuda
timeout 20 "$programs/churn" 1 1 >"$work/out.log" 2>&1
expect "exit status when fences fail" 2 $?
says out 'CUDA_ERROR_NOT_SUPPORTED' || fail "fences fail with another error"
mediator_down

# Less memory can be locked than the arena has: the native error, the reason in guest and log, the rest goes on.
fault 'pin 48'
mediator_tries --device cuda
start steady "$programs/churn" 16 0
steady=$started
soon 20 says steady ready || fail "the bystander did not start"
VGPU_LOG=warn timeout 20 "$programs/pinned" 16 >"$work/out.log" 2>&1
expect "exit status when pinned memory ends" 0 $?
says out '^[12] blocks, then CUDA_ERROR_OUT_OF_MEMORY' || fail "pinned memory ends with another error"
says out 'LimitMEMLOCK=' || fail "the guest does not say what to do"
expect "lines about memory that is not registered" 1 \
	"$(grep -c 'the driver does not register .* raise LimitMEMLOCK= of the service' "$work/mediator.log")"
kill -0 "$steady" || fail "the bystander was disturbed"
kill -KILL "$steady"
mediator_down

# The GPU is lost in mid-run, for one worker; another one's goes on; the next is well.
: >"$VGPU_FAULT_FILE"
mediator_tries --device cuda
start steady "$programs/churn" 16 0
steady=$started
soon 20 says steady ready || fail "the bystander did not start"
soon 10 status_is .pool.ready 1 || fail "the pool was not filled again"
fault 'lost 200'
worker=$(status '[.vms[].sessions[].worker_pid][0]')
# The worker in the pool still has the good driver: use it up.
"$programs/churn" 1 1 >"$work/out.log" 2>&1 || fail "the program before the loss"
soon 10 status_is .pool.ready 1 || fail "the pool was not filled again"
timeout 20 "$programs/churn" 16 0 >"$work/lost.log" 2>&1
expect "exit status when the GPU is lost" 2 $?
says lost 'CUDA_ERROR_DEVICE_UNAVAILABLE' || fail "the loss has another error"
expect "lines about the loss" 1 "$(grep -c 'the context is lost: CUDA error 46' "$work/mediator.log")"
kill -0 "$steady" || fail "the bystander was disturbed"
expect "the bystander's worker" "$worker" "$(status '[.vms[].sessions[].worker_pid][0]')"
: >"$VGPU_FAULT_FILE"
# The worker that is ready now was born with the lost device: it serves one more, the one after that is well.
soon 10 status_is .pool.ready 1 || fail "the pool was not filled again"
timeout 20 "$programs/churn" 16 1 >"$work/out.log" 2>&1
soon 10 status_is .pool.ready 1 || fail "the pool was not filled again"
"$programs/churn" 16 1 >"$work/out.log" 2>&1 || fail "the driver is well again and programs are not"
kill -0 "$steady" || fail "the bystander was disturbed"
mediator_down
