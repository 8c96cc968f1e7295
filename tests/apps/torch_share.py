# SPDX-License-Identifier: MIT
"""Tensors on the device, shared between processes: what torch.multiprocessing makes of memory and event handles."""
from torch_app import host, torch
from app import check, finish, result


def add_one(inbox, outbox):
    for _ in range(3):
        tensor = inbox.get()
        tensor += 1
        made = tensor * 10
        torch.cuda.synchronize()
        outbox.put(made)
        inbox.get()  # the other side has its copy
        del tensor, made


if __name__ == "__main__":
    spawn = torch.multiprocessing.get_context("spawn")
    there, back = spawn.Queue(), spawn.Queue()
    child = spawn.Process(target=add_one, args=(there, back))
    child.start()
    whole = torch.arange(1 << 20, dtype=torch.float32, device="cuda")
    for i, shared in enumerate((whole, whole[1000:2000], whole.view(1024, 1024)[7])):
        before = shared.clone()
        there.put(shared)
        received = back.get()
        check("the other process changed it", torch.equal(shared, before + 1))
        result(f"made there {i}", host(received))
        del received
        there.put(None)
    child.join(60)
    check("the other process ended well", child.exitcode == 0)
    finish()
