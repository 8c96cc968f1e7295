# SPDX-License-Identifier: MIT
"""torch.compile: kernels that Triton makes at run time, also with reductions and CUDA graphs."""
from torch_app import host, torch
from app import check, finish, need, result, timed

need("triton")


def function(x, y):
    z = torch.nn.functional.gelu(x) * torch.sigmoid(y)
    return z.softmax(dim=-1), z.sum(dim=0)


x, y = torch.randn(256, 1024, device="cuda"), torch.randn(256, 1024, device="cuda")
for mode in ("default", "reduce-overhead"):
    compiled = torch.compile(function, mode=mode)
    for _ in range(3):
        got = [t.clone() for t in compiled(x, y)]
    for part, expected in zip(got, function(x, y)):
        check(f"{mode}: compiled and eager agree", torch.allclose(part, expected, atol=1e-4))
    result(f"{mode}: softmax", host(got[0]))
    timed(f"compiled, {mode}", lambda run=compiled: run(x, y), torch.cuda.synchronize, times=100)
finish()
