# SPDX-License-Identifier: MIT
"""CUDA graphs by torch: capture, replay with new inputs, a captured training step."""
from torch_app import host, torch
from app import check, finish, result, timed

model = torch.nn.Sequential(*[torch.nn.Linear(128, 128) for _ in range(16)]).cuda()
x = torch.randn(32, 128, device="cuda")
with torch.no_grad():
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = model(x)
    for i in range(4):
        new = torch.randn(32, 128, device="cuda")
        x.copy_(new)
        graph.replay()
        result(f"replay {i}", host(y))
        check("replayed and run agree", torch.equal(y, model(new)))
    timed("replay of 16 layers", graph.replay, torch.cuda.synchronize, times=200)

step = torch.nn.Linear(64, 1).cuda()
optimizer = torch.optim.SGD(step.parameters(), lr=0.1)
inputs, target = torch.randn(16, 64, device="cuda"), torch.randn(16, 1, device="cuda")


def train_step():
    optimizer.zero_grad(set_to_none=False)
    loss = torch.nn.functional.mse_loss(step(inputs), target)
    loss.backward()
    optimizer.step()
    return loss


side = torch.cuda.Stream()
side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):
    for _ in range(3):
        train_step()
torch.cuda.current_stream().wait_stream(side)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    loss = train_step()
for i in range(8):
    graph.replay()
    result(f"loss {i}", loss.item())
finish()
