# SPDX-License-Identifier: MIT
"""The driver API alone, by ctypes, as cuda-python calls it; needs nothing but Python. A kernel from PTX."""
import ctypes
import os
import time

from app import check, finish, result, skip, took

start = time.perf_counter()
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    skip(f"no driver library: {error}")


def call(name, *arguments):
    status = getattr(cuda, name)(*arguments)
    check(f"{name}: error {status}", status == 0)


if cuda.cuInit(0):
    skip("no CUDA device")
device, context, count = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_int()
call("cuDeviceGet", ctypes.byref(device), 0)
call("cuDeviceGetCount", ctypes.byref(count))
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
call("cuCtxSetCurrent", context)
took("cuInit to context", (time.perf_counter() - start) * 1e3)
result("devices", count.value)
kernels = os.environ.get("VGPU_TEST_KERNELS", os.path.join(os.path.dirname(__file__), "..", "kernels"))
with open(os.path.join(kernels, "vector_add.ptx"), "rb") as file:
    image = file.read() + b"\0"
module, function = ctypes.c_void_p(), ctypes.c_void_p()
call("cuModuleLoadData", ctypes.byref(module), image)
call("cuModuleGetFunction", ctypes.byref(function), module, b"vector_add")

N = 5000
a = (ctypes.c_float * N)(*range(N))
b = (ctypes.c_float * N)(*(0.5 * i for i in range(N)))
buffers = [ctypes.c_uint64() for _ in range(3)]
for buffer in buffers:
    call("cuMemAlloc_v2", ctypes.byref(buffer), ctypes.c_size_t(4 * N))
for buffer, source in zip(buffers, (a, b)):
    call("cuMemcpyHtoD_v2", buffer, source, ctypes.c_size_t(4 * N))
values = [*buffers, ctypes.c_int(N)]
parameters = (ctypes.c_void_p * 4)(*(ctypes.addressof(v) for v in values))
call("cuLaunchKernel", function, (N + 127) // 128, 1, 1, 128, 1, 1, 0, None, parameters, None)
out = (ctypes.c_float * N)()
call("cuMemcpyDtoH_v2", out, buffers[2], ctypes.c_size_t(4 * N))
check("sums", list(out) == [1.5 * i for i in range(N)])
result("sums", bytes(out))
for buffer in buffers:
    call("cuMemFree_v2", buffer)
call("cuModuleUnload", module)
call("cuDevicePrimaryCtxRelease_v2", device)
finish()
