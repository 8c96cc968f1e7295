# SPDX-License-Identifier: MIT
"""JAX: compiled functions, gradients, vectorised maps, random numbers, a training loop."""
import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0")

from app import check, finish, need, result, skip  # noqa: E402: XLA reads its variables when it loads

jax = need("jax")
jnp, numpy = need("jax.numpy", "numpy")
try:
    jax.devices("cuda")
except RuntimeError as error:
    skip(f"jax sees no CUDA device: {error}")


def loss(weights, x, y):
    return jnp.mean((jnp.tanh(x @ weights[0]) @ weights[1] - y) ** 2)


keys = jax.random.split(jax.random.PRNGKey(0), 4)
weights = [jax.random.normal(keys[0], (32, 64)), jax.random.normal(keys[1], (64, 1))]
x, y = jax.random.normal(keys[2], (128, 32)), jax.random.normal(keys[3], (128, 1))
step = jax.jit(lambda w: [p - 0.01 * g for p, g in zip(w, jax.grad(loss)(w, x, y))])
first = float(loss(weights, x, y))
for _ in range(20):
    weights = step(weights)
check("the loss falls", float(loss(weights, x, y)) < first)
for i, part in enumerate(weights):
    result(f"weights {i}", numpy.asarray(part))
result("product", numpy.asarray(jax.jit(jnp.matmul)(x.T, x)))
result("scan", numpy.asarray(jax.lax.associative_scan(jnp.add, jnp.arange(1000))))
result("map", numpy.asarray(jax.vmap(jnp.outer)(x, x[:, :8])))
finish()
