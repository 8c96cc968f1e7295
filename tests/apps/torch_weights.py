# SPDX-License-Identifier: MIT
"""A large model's worth of weights from the host to the device: 16 GiB, or what fits, in tensors of 256 MiB."""
import time

from torch_app import torch
from app import check, finish, result, skip, took

PIECE = 256 << 20
free = torch.cuda.mem_get_info()[0]
pieces = min(64, int(free * 0.8) // PIECE)
if pieces < 4:
    skip("less than 1 GiB of device memory is free")
host = torch.arange(PIECE // 4, dtype=torch.int32)
model = []
start = time.perf_counter()
for i in range(pieces):
    host[0] = i
    model.append(host.cuda())
torch.cuda.synchronize()
took(f"{pieces * PIECE >> 20} MiB of weights", (time.perf_counter() - start) * 1e3, wanted=0.6)
for i, piece in enumerate(model):
    check(f"piece {i}", piece[0].item() == i and piece[-1].item() == PIECE // 4 - 1)
    result(f"sum of piece {i}", piece.sum(dtype=torch.int64).item())
finish()
