# SPDX-License-Identifier: MIT
"""PyTorch, set up so that two runs of one program give the same bits."""
import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

from app import need, skip  # noqa: E402: cuBLAS reads its variable when torch loads it

torch = need("torch")
if not torch.cuda.is_available():
    skip("torch sees no CUDA device")
torch.use_deterministic_algorithms(True)
torch.backends.cudnn.benchmark = False
torch.manual_seed(0)


def host(tensor):
    """A tensor's bits on the host, for app.result()."""
    tensor = tensor.detach().contiguous().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return tensor.numpy()


def train(model, batches, loss_of, optimizer):
    """Losses of one step for each batch, as host floats."""
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
