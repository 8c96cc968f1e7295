# SPDX-License-Identifier: MIT
"""Triton: a kernel written in Python, launched by its own launcher."""
from torch_app import host, torch
from app import check, finish, need, result, timed

triton = need("triton")
tl = need("triton.language")


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    tl.store(out + at, tl.load(x + at, mask=inside) + tl.load(y + at, mask=inside), mask=inside)


@triton.jit
def softmax(out, source, columns, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    row = tl.load(source + tl.program_id(0) * columns + at, mask=at < columns, other=-float("inf"))
    row = tl.exp(row - tl.max(row, axis=0))
    tl.store(out + tl.program_id(0) * columns + at, row / tl.sum(row, axis=0), mask=at < columns)


x, y = torch.randn(100003, device="cuda"), torch.randn(100003, device="cuda")
out = torch.empty_like(x)
grid = (triton.cdiv(x.numel(), 1024),)
add[grid](x, y, out, x.numel(), BLOCK=1024)
check("sum", torch.equal(out, x + y))
result("sum", host(out))
matrix = torch.randn(128, 500, device="cuda")
soft = torch.empty_like(matrix)
softmax[(128,)](soft, matrix, 500, BLOCK=512)
check("softmax", torch.allclose(soft, matrix.softmax(dim=1), atol=1e-6))
result("softmax", host(soft))
timed("launch by Triton", lambda: add[grid](x, y, out, x.numel(), BLOCK=1024), torch.cuda.synchronize, times=200)
finish()
