# SPDX-License-Identifier: MIT
"""How long everyday work of PyTorch takes, from the first tensor to the training of a language model."""
import time

start = time.perf_counter()
from torch_app import torch  # noqa: E402
from app import finish, need, timed, took  # noqa: E402

torch.use_deterministic_algorithms(False)
nn = torch.nn
sync = torch.cuda.synchronize


def speed(name, run, times, wanted):
    timed(name, run, sync, times=times, wanted=wanted)


start = time.perf_counter()
torch.zeros(1, device="cuda").item()
took("first CUDA tensor", (time.perf_counter() - start) * 1e3, wanted=0.3)

a = torch.randn(2048, 2048, device="cuda")
speed("matmul 2048", lambda: a @ a, 50, 1.00)
b = torch.ones(16, device="cuda")
speed("two tiny operations", lambda: b * 1.0001 + 0.1, 500, 0.90)

mlp = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)).cuda()
mlp_optimizer = torch.optim.Adam(mlp.parameters())
x, y = torch.randn(64, 784), torch.randint(0, 10, (64,))


def mlp_step():
    loss = nn.functional.cross_entropy(mlp(x.cuda()), y.cuda())
    mlp_optimizer.zero_grad()
    loss.backward()
    mlp_optimizer.step()
    loss.item()


speed("MLP training step", mlp_step, 50, 0.95)

resnet = need("torchvision").models.resnet18().cuda()
resnet_optimizer = torch.optim.SGD(resnet.parameters(), lr=0.1)
images = torch.randn(32, 3, 224, 224, device="cuda")


def resnet_step():
    resnet_optimizer.zero_grad()
    resnet(images).sum().backward()
    resnet_optimizer.step()


speed("ResNet-18 training step", resnet_step, 10, 1.00)

transformers = need("transformers")
gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config()).cuda()
gpt2_optimizer = torch.optim.AdamW(gpt2.parameters())
tokens = torch.randint(0, 50000, (2, 128), device="cuda")


def gpt2_step():
    gpt2_optimizer.zero_grad()
    gpt2(tokens, labels=tokens).loss.backward()
    gpt2_optimizer.step()


speed("GPT-2 training step", gpt2_step, 10, 1.00)
gpt2 = gpt2.eval().half()
with torch.no_grad():
    speed("GPT-2 forward 1x64", lambda: gpt2(tokens[:1, :64]), 20, 0.90)
    speed("GPT-2 generate 32", lambda: gpt2.generate(tokens[:1, :64], max_new_tokens=32, do_sample=False, pad_token_id=0),
          1, 0.90)

pageable = torch.randn(64 << 20)
speed("256 MiB pageable", pageable.cuda, 1, 0.6)
pinned = pageable.pin_memory()
speed("256 MiB pinned", lambda: pinned.cuda(non_blocking=True), 2, 1.02)
finish()
