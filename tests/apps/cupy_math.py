# SPDX-License-Identifier: MIT
"""CuPy: elementwise kernels made by NVRTC, cuBLAS, cuFFT, sorting, raw kernels, streams, memory pool."""
from app import check, finish, need, result

cp = need("cupy")
rng = cp.random.RandomState(3)
a, b = rng.rand(512, 512), rng.rand(512, 512)
result("elementwise", cp.asnumpy(cp.sin(a) * cp.exp(b)))
result("product", cp.asnumpy(a @ b))
result("fft", cp.asnumpy(cp.fft.fft(a)))
result("sort", cp.asnumpy(cp.sort(a, axis=1)))
result("sum", cp.asnumpy(a.sum(axis=0)))
result("solve", cp.asnumpy(cp.linalg.solve(a + 512 * cp.eye(512), b)))
saxpy = cp.RawKernel(r"""
extern "C" __global__ void saxpy(float a, const float *x, float *y, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		y[i] += a * x[i];
}
""", "saxpy")
x, y = cp.arange(1000, dtype=cp.float32), cp.ones(1000, dtype=cp.float32)
with cp.cuda.Stream(non_blocking=True) as stream:
    saxpy((8,), (128,), (cp.float32(2), x, y, cp.int32(1000)))
stream.synchronize()
check("saxpy", bool((y == 2 * x + 1).all()))
squares = cp.ElementwiseKernel("float64 x", "float64 y", "y = x * x", "squares")
result("elementwise kernel", cp.asnumpy(squares(a)))
check("the pool holds what is used", cp.get_default_memory_pool().used_bytes() > 0)
finish()
