# SPDX-License-Identifier: MIT
"""Training: a perceptron, a convolutional net, a transformer; in full and in mixed precision."""
from torch_app import host, torch, train
from app import check, finish, result

nn = torch.nn


def data(shape, classes, batches=8):
    return [(torch.randn(*shape), torch.randint(0, classes, shape[:1])) for _ in range(batches)]


def loss_of(model, batch):
    return nn.functional.cross_entropy(model(batch[0].cuda()), batch[1].cuda())


def mixed_loss_of(model, batch):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        return loss_of(model, batch)


class Transformer(nn.Module):
    """Two layers of attention over a sequence, and a classifier on its mean."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, dim_feedforward=128, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        return self.out(self.encoder(x).mean(dim=1))


def perceptron():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def convolutional():
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
                         nn.Linear(16 * 8 * 8, 10))


def run(name, model, shape, loss):
    torch.manual_seed(1)
    model = model().cuda()
    losses = train(model, data(shape, 10) * 2, loss, torch.optim.Adam(model.parameters(), lr=3e-3))
    check(f"{name}: the loss falls", losses[-1] < losses[0])
    for i, value in enumerate(losses):
        result(f"{name}: loss {i}", value)
    result(f"{name}: weights", host(torch.cat([p.flatten() for p in model.parameters()])))


# The fused attention kernels add in no fixed order.
torch.backends.cuda.enable_flash_sdp(False)
torch.backends.cuda.enable_mem_efficient_sdp(False)
for precision, loss in (("full", loss_of), ("mixed", mixed_loss_of)):
    run(f"perceptron, {precision}", perceptron, (64, 784), loss)
    run(f"convolutional, {precision}", convolutional, (16, 3, 32, 32), loss)
    run(f"transformer, {precision}", Transformer, (16, 24, 64), loss)
finish()
