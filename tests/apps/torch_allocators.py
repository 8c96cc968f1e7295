# SPDX-License-Identifier: MIT
"""PyTorch's ways to get memory: its own pool, segments that grow in virtual memory, the driver's pools, registered memory."""
import os
import subprocess
import sys

from app import check, finish, result

SETTINGS = {
    "default": "",
    "expandable segments": "expandable_segments:True",
    "the driver's pools": "backend:cudaMallocAsync",
    "small segments": "max_split_size_mb:32,garbage_collection_threshold:0.6",
    "registered host memory": "pinned_use_cuda_host_register:True,pinned_num_register_threads:4",
}

if len(sys.argv) > 1:
    from torch_app import host, torch

    kept = []
    total = torch.zeros((), dtype=torch.float64, device="cuda")
    for i in range(40):
        block = torch.full((1 + 37 * i, 4096), float(i), device="cuda")
        total += block.double().sum()
        if i % 3 == 0:
            kept.append(block)
        if i % 16 == 15:
            del kept[::2]
            torch.cuda.empty_cache()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        lent = kept[-1] * 2
        lent.record_stream(torch.cuda.current_stream())
    torch.cuda.current_stream().wait_stream(side)
    pinned = torch.randn(1 << 22).pin_memory()
    back = pinned.cuda(non_blocking=True).cpu()
    check("what was pinned comes back", torch.equal(pinned, back))
    graph = torch.cuda.CUDAGraph()
    fixed = torch.ones(1 << 20, device="cuda")
    with torch.cuda.graph(graph):
        replayed = (fixed * 3 + 1).sum()
    fixed.fill_(2)
    graph.replay()
    try:
        torch.empty(1 << 42, dtype=torch.uint8, device="cuda")
        check("4 TiB were allocated", False)
    except torch.cuda.OutOfMemoryError:
        pass
    print(host(total), host(lent.sum()), host(replayed), torch.cuda.memory_stats()["num_ooms"])
    sys.exit()

from torch_app import torch  # noqa: E402,F401: skips the program where there is none

for name, setting in SETTINGS.items():
    # The variable's name of PyTorch up to 2.9, which later ones still read.
    environment = dict(os.environ, PYTORCH_CUDA_ALLOC_CONF=setting)
    child = subprocess.run([sys.executable, __file__, "child"], env=environment, capture_output=True, text=True, check=False)
    check(f"{name}: {child.stderr[-2000:]}", child.returncode == 0)
    result(name, child.stdout)
finish()
