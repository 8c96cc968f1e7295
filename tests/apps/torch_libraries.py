# SPDX-License-Identifier: MIT
"""NVIDIA's libraries through PyTorch: cuDNN, cuSOLVER, cuSPARSE, cuFFT, cuRAND, cuBLASLt, NVRTC."""
from torch_app import host, torch
from app import check, finish, result

functional = torch.nn.functional
device = "cuda"
a = torch.randn(256, 256, device=device)
symmetric = a + a.T

# cuDNN
images = torch.randn(4, 8, 32, 32, device=device, requires_grad=True)
convolution = torch.nn.Conv2d(8, 16, 3, padding=1).to(device)
functional.max_pool2d(torch.nn.BatchNorm2d(16).to(device)(convolution(images)), 2).pow(2).sum().backward()
result("convolution", host(images.grad))
result("convolution in three dimensions", host(torch.nn.Conv3d(2, 4, 3).to(device)(torch.randn(2, 2, 8, 8, 8, device=device))))
result("LSTM", host(torch.nn.LSTM(32, 64, 2).to(device)(torch.randn(12, 4, 32, device=device))[0]))
result("CTC", host(functional.ctc_loss(torch.randn(20, 4, 10, device=device).log_softmax(2),
                                       torch.randint(1, 10, (4, 5), device=device), [20] * 4, [5] * 4)))

# Attention: each of the kernels that there are for it.
q, k, v = (torch.randn(2, 8, 128, 64, device=device, dtype=torch.float16) for _ in range(3))
for backend in ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"):
    with torch.nn.attention.sdpa_kernel(getattr(torch.nn.attention.SDPBackend, backend)):
        plain = functional.scaled_dot_product_attention(q, k, v)
        result(f"attention {backend}", host(plain))
torch.use_deterministic_algorithms(False)
with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.CUDNN_ATTENTION):
    check("attention of cuDNN", torch.allclose(functional.scaled_dot_product_attention(q, k, v), plain, atol=1e-2))
torch.use_deterministic_algorithms(True)

# cuSOLVER: orthogonal factors have free signs, so the products are compared.
values, vectors = torch.linalg.eigh(symmetric)
result("eigenvalues", host(values))
check("eigenvectors", torch.allclose(vectors @ values.diag() @ vectors.T, symmetric, atol=1e-2))
u, s, vh = torch.linalg.svd(a)
check("singular values", torch.allclose(u @ s.diag() @ vh, a, atol=1e-2))
q, r = torch.linalg.qr(a)
check("QR", torch.allclose(q @ r, a, atol=1e-3))
check("inverse", torch.allclose(a.double() @ torch.linalg.inv(a.double()), torch.eye(256, device=device).double(), atol=1e-6))

# cuSPARSE
sparse = torch.where(a > 1, a, torch.zeros_like(a)).to_sparse_csr()
check("sparse product", torch.allclose(sparse @ a, sparse.to_dense() @ a, atol=1e-3))

# cuFFT: powers of two, odd primes, several dimensions, there and back.
for shape in ((1 << 16,), (10007,), (64, 96), (16, 12, 20)):
    x = torch.randn(shape, device=device)
    result(f"transform of {shape}", host(torch.view_as_real(torch.fft.rfftn(x))))
    check(f"transform of {shape} and back", torch.allclose(torch.fft.irfftn(torch.fft.rfftn(x), s=shape), x, atol=1e-4))

# cuBLASLt: an epilogue, integers, 8-bit floats; batches.
result("linear with a bias", host(functional.linear(a.half(), a.half(), torch.randn(256, device=device).half())))
bytes_a, bytes_b = (torch.randint(-128, 127, (256, 256), dtype=torch.int8, device=device) for _ in range(2))
result("integer product", host(torch._int_mm(bytes_a, bytes_b)))
if torch.cuda.get_device_capability() >= (8, 9):
    one = torch.tensor(1.0, device=device)
    small = a.to(torch.float8_e4m3fn)
    result("8-bit product", host(torch._scaled_mm(small, small.T, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)))
result("batch of products", host(torch.bmm(a.view(16, 16, 256), a.view(16, 256, 16))))

# NVRTC: a kernel compiled now.
fused = torch.cuda.jiterator._create_jit_fn("template <typename T> T f(T x, T y) { return x * y + x; }")
check("a compiled kernel", torch.allclose(fused(a, symmetric), a * symmetric + a, atol=1e-4))

# Random numbers: each distribution.
generator = torch.Generator(device).manual_seed(5)
for name in ("normal_", "exponential_", "cauchy_", "geometric_", "log_normal_", "bernoulli_"):
    arguments = (0.5,) if name == "geometric_" else ()
    result(f"random {name}", host(getattr(torch.empty(1000, device=device), name)(*arguments, generator=generator)))
result("permutation", host(torch.randperm(1000, device=device, generator=generator)))
finish()
