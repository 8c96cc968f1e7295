# SPDX-License-Identifier: MIT
"""NCCL: collectives of torch.distributed, with as many ranks as there are devices, in as many processes."""
import os
import tempfile

from torch_app import host, torch
from app import check, finish, result, skip

if not torch.distributed.is_available() or not torch.distributed.is_nccl_available():
    skip("this torch has no NCCL")


def rank_of(rank, ranks, path, answers):
    torch.cuda.set_device(rank)
    store = torch.distributed.FileStore(path, ranks)
    torch.distributed.init_process_group("nccl", store=store, rank=rank, world_size=ranks)
    values = torch.arange(1 << 20, dtype=torch.float32, device="cuda") * (rank + 1)
    torch.distributed.all_reduce(values)
    parts = [torch.empty(1000, device="cuda") for _ in range(ranks)]
    torch.distributed.all_gather(parts, torch.full((1000,), float(rank), device="cuda"))
    scattered = torch.empty(1 << 10, device="cuda")
    torch.distributed.reduce_scatter_tensor(scattered, torch.ones(ranks << 10, device="cuda"))
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 64).cuda())
    model(torch.randn(8, 64, device="cuda")).sum().backward()
    torch.distributed.barrier()
    if not rank:
        answers.put((host(values), [float(p[0]) for p in parts], host(scattered), host(model.module.weight.grad)))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    count = torch.cuda.device_count()
    answer = torch.multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        work = torch.multiprocessing.spawn(rank_of, (count, os.path.join(folder, "store"), answer), nprocs=count, join=False)
        reduced, gathered, scattered_sum, gradient = answer.get()
        while not work.join():
            pass
    check("the sum of all ranks", reduced[3] == 3 * count * (count + 1) / 2)
    check("each rank's part", gathered == [float(i) for i in range(count)])
    result("all_reduce", reduced)
    result("reduce_scatter", scattered_sum)
    result("gradient", gradient)
    finish()
