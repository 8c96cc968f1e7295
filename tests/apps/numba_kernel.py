# SPDX-License-Identifier: MIT
"""Numba: kernels compiled by NVVM, shared memory, atomics, streams, pinned arrays."""
from app import check, finish, need, result, skip

np = need("numpy")
if not hasattr(np, "row_stack"):    # gone from NumPy 2.5; some releases of Numba still name it
    np.row_stack = np.vstack
cuda, numba = need("numba.cuda", "numba")
if not cuda.is_available():
    skip("numba sees no CUDA device")


@cuda.jit
def nothing():
    pass


try:
    nothing[1, 1]()    # the first kernel imports the rest of Numba
except (AttributeError, ImportError) as error:
    skip(f"this Numba does not go with the other packages: {error}")


@cuda.jit
def saxpy(a, x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] += a * x[i]


@cuda.jit
def block_sums(x, sums):
    shared = cuda.shared.array(128, numba.float32)
    i, t = cuda.grid(1), cuda.threadIdx.x
    shared[t] = x[i] if i < x.size else 0
    cuda.syncthreads()
    width = 64
    while width:
        if t < width:
            shared[t] += shared[t + width]
        cuda.syncthreads()
        width //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = shared[0]


@cuda.jit
def histogram(x, bins):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(bins, x[i], 1)


x = np.arange(10000, dtype=np.float32)
y = np.ones_like(x)
stream = cuda.stream()
pinned = cuda.pinned_array(x.shape, dtype=x.dtype)
pinned[:] = x
device_x, device_y = cuda.to_device(pinned, stream), cuda.to_device(y, stream)
saxpy[79, 128, stream](np.float32(3), device_x, device_y)
got = device_y.copy_to_host(stream=stream)
stream.synchronize()
check("saxpy", np.array_equal(got, 3 * x + 1))
sums = cuda.device_array(79, dtype=np.float32)
block_sums[79, 128](device_x, sums)
result("block sums", sums.copy_to_host())
numbers = np.random.RandomState(0).randint(0, 16, 50000).astype(np.int32)
bins = cuda.to_device(np.zeros(16, dtype=np.int32))
histogram[391, 128](cuda.to_device(numbers), bins)
check("histogram", np.array_equal(bins.copy_to_host(), np.bincount(numbers, minlength=16)))
finish()
