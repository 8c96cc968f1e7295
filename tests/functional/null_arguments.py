# SPDX-License-Identifier: MIT
"""What each call answers to nothing but zeros, against what the native driver answers: before cuInit, with a driver
but no context, with the primary context; and before cuInit with pointers that point to memory. The native answers are
in tests/data/null-arguments.tsv. A process for each state, so that nothing one call does is left for another state.

Where two things are wrong at once, either answer is right: an argument and no initialisation or context; and a NULL
handle and a NULL pointer in the calls that EITHER lists. A call that the device behind the mediator does not have may say NOT_SUPPORTED once there is a context. Where the native
driver crashes, anything but a crash is right.
"""

import ctypes
import glob
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "include"))
sys.dont_write_bytecode = True
from apigen.__main__ import load    # noqa: E402

UNINITIALISED, NO_CONTEXT, CONTEXT = range(3)
STATES = ((UNINITIALISED, False, "uninit_zero"), (UNINITIALISED, True, "uninit_pointers"),
          (NO_CONTEXT, False, "no_context_zero"), (CONTEXT, False, "context_zero"))
INVALID_VALUE, NOT_INITIALIZED, INVALID_CONTEXT, INVALID_HANDLE, ILLEGAL_STATE = 1, 3, 201, 400, 401
NOT_READY, NOT_SUPPORTED = 600, 801
# What is missing is as true as a bad argument.
MISSING = {UNINITIALISED: NOT_INITIALIZED, NO_CONTEXT: INVALID_CONTEXT}
EITHER = {"cuEventElapsedTime", "cuEventElapsedTime_v2", "cuKernelGetAttribute", "cuModuleGetFunction",
          "cuModuleGetGlobal_v2", "cuStreamEndCapture", "cuLibraryGetGlobal", "cuLibraryGetManaged",
          "cuCtxGetApiVersion"}


def native():
    with open(os.path.join(ROOT, "tests/data/null-arguments.tsv"), encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return {row[0]: dict(zip(rows[0][1:], row[1:])) for row in rows[1:]}


def enter(lib, state):
    """Brings this process to the state."""
    if state >= NO_CONTEXT:
        assert lib.cuInit(0) == 0, "cuInit"
    if state == CONTEXT:
        ctx = ctypes.c_void_p()
        assert lib.cuDevicePrimaryCtxRetain(ctypes.byref(ctx), 0) == 0, "cuDevicePrimaryCtxRetain"
        assert lib.cuCtxSetCurrent(ctx) == 0, "cuCtxSetCurrent"


def child(path, calls, first, state, pointers, pipe):
    """Calls one after the other; reports the number of each before, its result after."""
    lib = ctypes.CDLL(path)
    enter(lib, state)
    for i in range(first, len(calls)):
        buffers = [ctypes.create_string_buffer(4096) for _ in calls[i].params]
        args = [ctypes.cast(b, ctypes.c_void_p) if pointers and p.pointer else ctypes.c_void_p(0)
                for p, b in zip(calls[i].params, buffers)]
        os.write(pipe, f"{i} ".encode())
        os.write(pipe, f"{getattr(lib, calls[i].name)(*args)}\n".encode())
    os._exit(0)


def answers(path, calls, state, pointers):
    """{name: result or "crash"} of all calls in a state."""
    out, first = {}, 0
    while first < len(calls):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                child(path, calls, first, state, pointers, write)
            finally:
                os._exit(1)
        os.close(write)
        with os.fdopen(read) as f:
            lines = f.read().splitlines()
        status = os.waitpid(pid, 0)[1]
        if not lines:
            sys.exit(f"state {state} cannot be reached: status {status}")
        for line in lines:
            number, _, result = line.partition(" ")
            out[calls[int(number)].name] = result or "crash"
        first = int(lines[-1].split()[0]) + 1
    return out


def accepted(name, state, want, got):
    if got == "crash":
        return False
    if want in (got, "-"):
        return True
    if name == "cuStreamQuery" and int(got) == NOT_READY:   # what was asked before may still be on its way
        return True
    bad = {INVALID_VALUE, INVALID_HANDLE, INVALID_CONTEXT, ILLEGAL_STATE}
    return (int(got) == MISSING.get(state) or int(got) == NOT_SUPPORTED and state != UNINITIALISED or
            name in EITHER and {int(got), int(want)} <= bad)


def main():
    path = os.path.join(os.environ["VGPU_BUILD"], "shim", "libcuda.so.1")
    api, want = load(sorted(glob.glob(os.path.join(ROOT, "include/api/*.api")))), native()
    calls = [api.calls[n] for n in sorted(want) if api.calls[n].cls != "unsupported"]
    wrong = 0
    for state, pointers, column in STATES:
        got = answers(path, calls, state, pointers)
        for c in calls:
            if not accepted(c.name, state, want[c.name][column], got[c.name]):
                print(f"{column}: {c.name}: native {want[c.name][column]}, here {got[c.name]}")
                wrong += 1
    print(f"{len(calls)} calls in {len(STATES)} states, {wrong} answers differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
