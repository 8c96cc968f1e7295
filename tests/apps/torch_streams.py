# SPDX-License-Identifier: MIT
"""Streams, events, pinned memory and copies that do not block; a DataLoader with workers that pins its batches."""
import time

from torch_app import host, torch
from app import check, finish, result, took

streams = [torch.cuda.Stream() for _ in range(4)]
pinned = [torch.randn(1 << 20).pin_memory() for _ in streams]
back = [torch.empty(1 << 20).pin_memory() for _ in streams]
for source, target, stream in zip(pinned, back, streams):
    with torch.cuda.stream(stream):
        on_device = source.cuda(non_blocking=True)
        target.copy_(on_device * 2 + 1, non_blocking=True)
for stream in streams:
    stream.synchronize()
for source, target in zip(pinned, back):
    check("what comes back from a stream", torch.equal(target, source * 2 + 1))

first, second = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
a = torch.randn(1024, 1024, device="cuda")
first.record()
for _ in range(20):
    a = (a @ a).clamp(-1, 1)
second.record()
second.synchronize()
check("an event that was waited for is done", second.query())
check("elapsed time", 0 < first.elapsed_time(second) < 10000)
result("chain of products", host(a))

produced = torch.zeros(1 << 22, device="cuda")
producer, consumer = streams[:2]
with torch.cuda.stream(producer):
    for i in range(50):
        produced += i
    ready = producer.record_event()
with torch.cuda.stream(consumer):
    consumer.wait_event(ready)
    total = produced.double().sum()
consumer.synchronize()
check("an event orders two streams", total.item() == 1225.0 * (1 << 22))


class Squares(torch.utils.data.Dataset):
    """Numbers and their squares."""

    def __len__(self):
        return 512

    def __getitem__(self, i):
        return torch.full((256,), float(i)), i * i


if __name__ == "__main__":
    start = time.perf_counter()
    loader = torch.utils.data.DataLoader(Squares(), batch_size=64, num_workers=2, pin_memory=True)
    seen = 0
    for values, squares in loader:
        check("a batch is pinned", values.is_pinned())
        values, squares = values.cuda(non_blocking=True), squares.cuda(non_blocking=True)
        check("a batch's contents", torch.equal(values[:, 0] ** 2, squares.float()))
        seen += len(squares)
    check("all of the data set", seen == 512)
    took("DataLoader with two workers", (time.perf_counter() - start) * 1e3)
    finish()
