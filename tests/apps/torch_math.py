# SPDX-License-Identifier: MIT
"""Tensor mathematics and autograd: elementwise, reductions, sorting, indexing, linear algebra, FFT, convolution."""
from torch_app import host, torch
from app import check, finish, result

a = torch.randn(512, 512, device="cuda")
b = torch.randn(512, 512, device="cuda")
result("elementwise", host(torch.sin(a) * torch.exp(-b.abs()) + a / (b.abs() + 1)))
for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
    result(f"matmul {dtype}", host(a.to(dtype) @ b.to(dtype)))
result("sum", host(a.sum(dim=1)))
result("sort", host(a.sort(dim=1).values))
result("topk", host(a.topk(7, dim=0).indices))
result("cumulative", host(torch.arange(1 << 20, device="cuda").remainder(7).cumsum(0)))
result("where", host(torch.where(a > b, a, b)))
result("gather", host(a.gather(1, torch.randint(0, 512, (512, 64), device="cuda"))))
result("fft", host(torch.view_as_real(torch.fft.fft2(a))))
result("convolution", host(torch.nn.functional.conv2d(a.view(1, 1, 512, 512), b[:7, :7].reshape(1, 1, 7, 7))))
symmetric = a @ a.T + 512 * torch.eye(512, device="cuda")
result("cholesky", host(torch.linalg.cholesky(symmetric)))
result("random", host(torch.rand(1000, device="cuda", generator=torch.Generator("cuda").manual_seed(7))))
check("solve", torch.allclose(symmetric @ torch.linalg.solve(symmetric, b), b, atol=1e-3))

x = torch.randn(64, 32, device="cuda", requires_grad=True)
w = torch.randn(32, 16, device="cuda", requires_grad=True)
torch.tanh(x @ w).pow(2).mean().backward()
result("gradient x", host(x.grad))
result("gradient w", host(w.grad))
finish()
