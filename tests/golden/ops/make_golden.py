#!/usr/bin/env python3
"""Writes ops.safetensors beside it: inputs, outputs and gradients of every operator, computed by PyTorch in float64 from
float32 inputs and stored as float32. tests/test_golden_ops.c replays them. Needs torch, numpy and safetensors.

Names: <case>.in.<input>, <case>.out, <case>.weights (the gradient that flows into out), <case>.grad.<input>.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

rng = np.random.default_rng(20240607)
tensors = {}


def normal(*shape, scale=1.0, mean=0.0):
    return (rng.standard_normal(shape) * scale + mean).astype(np.float32)


def integers(high, *shape, low=0):
    return rng.integers(low, high, shape).astype(np.int32)


def case(name, function, gradient=True, **inputs):
    """One operator: its inputs as numpy arrays, its result by `function` of float64 tensors of the same names."""
    given = {}
    for key, value in inputs.items():
        tensors[f"{name}.in.{key}"] = value
        if value.dtype == np.float32:
            given[key] = torch.from_numpy(value.astype(np.float64)).requires_grad_(gradient)
        else:
            given[key] = torch.from_numpy(value.astype(np.int64))
    out = function(**given)
    if out.dtype == torch.int64:
        tensors[f"{name}.out"] = out.numpy().astype(np.int32)
        return
    tensors[f"{name}.out"] = out.detach().numpy().astype(np.float32)
    if not gradient:
        return
    weights = normal(*out.shape)
    tensors[f"{name}.weights"] = weights
    out.backward(torch.from_numpy(weights.astype(np.float64)))
    for key, value in given.items():
        if value.is_floating_point():
            tensors[f"{name}.grad.{key}"] = value.grad.numpy().astype(np.float32)


# -- matmul ---------------------------------------------------------------------------------------------------------------
case("matmul_nn", lambda a, b: a @ b, a=normal(17, 23), b=normal(23, 19))
case("matmul_nt", lambda a, b: a @ b.mT, a=normal(17, 23), b=normal(19, 23))
case("matmul_tn", lambda a, b: a.mT @ b, a=normal(23, 17), b=normal(23, 19))
case("matmul_batch", lambda a, b: 0.5 * (a @ b), a=normal(3, 5, 9), b=normal(3, 9, 7))
case("matmul_shared", lambda a, b, bias: a @ b.mT + bias, a=normal(3, 5, 9), b=normal(7, 9), bias=normal(7))
case("matmul_epilogue", lambda a, b, bias, residual: F.gelu(a @ b.mT + bias) + residual,
     a=normal(11, 20, scale=0.3), b=normal(13, 20), bias=normal(13), residual=normal(11, 13))


# -- attention ------------------------------------------------------------------------------------------------------------
def attention(q, k, v, heads, causal=False, lengths=None):
    """Written out, so that a query that sees no key gives zeros and no gradient."""
    batch, tq, width = q.shape
    tk, size = k.shape[1], width // heads
    split = lambda x: x.reshape(batch, -1, heads, size).transpose(1, 2)
    scores = split(q) @ split(k).mT / size**0.5
    seen = torch.ones(batch, 1, tq, tk, dtype=torch.bool)
    if causal:
        seen = seen & (torch.arange(tk)[None, :] <= torch.arange(tq)[:, None] + tk - tq)
    if lengths is not None:
        seen = seen & (torch.arange(tk)[None, None, None, :] < lengths[:, None, None, None])
    p = torch.softmax(scores.masked_fill(~seen, -1e300), -1).masked_fill(~seen, 0.0)
    return (p @ split(v)).transpose(1, 2).reshape(batch, tq, width)


# Where every query sees a key, PyTorch's own says the same.
q, k, v = (torch.randn(2, 5, 12, dtype=torch.float64) for _ in range(3))
split = lambda x: x.reshape(2, 5, 3, 4).transpose(1, 2)
for causal in False, True:
    own = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=causal).transpose(1, 2).reshape(2, 5, 12)
    assert torch.allclose(attention(q, k, v, 3, causal), own, atol=1e-12)

case("attention", lambda q, k, v: attention(q, k, v, 3), q=normal(2, 7, 24), k=normal(2, 7, 24), v=normal(2, 7, 24))
case("attention_causal", lambda q, k, v: attention(q, k, v, 2, causal=True),
     q=normal(2, 9, 20), k=normal(2, 9, 20), v=normal(2, 9, 20))
case("attention_cross", lambda q, k, v: attention(q, k, v, 1, causal=True),
     q=normal(1, 4, 33), k=normal(1, 11, 33), v=normal(1, 11, 33))
case("attention_lengths", lambda q, k, v, lengths: attention(q, k, v, 2, lengths=lengths),
     q=normal(3, 6, 16), k=normal(3, 8, 16), v=normal(3, 8, 16), lengths=np.array([8, 3, 0], np.int32))
case("attention_causal_lengths", lambda q, k, v, lengths: attention(q, k, v, 2, causal=True, lengths=lengths),
     q=normal(2, 6, 16), k=normal(2, 6, 16), v=normal(2, 6, 16), lengths=np.array([4, 6], np.int32))

# -- normalisation, activation ----------------------------------------------------------------------------------------------
case("layer_norm", lambda x, weight, bias: F.layer_norm(x, (33,), weight, bias, 1e-12),
     x=normal(2, 3, 33, mean=2), weight=normal(33, mean=1, scale=0.2), bias=normal(33))
case("layer_norm_residual", lambda x, residual, weight, bias: F.layer_norm(x + residual, (20,), weight, bias, 1e-5),
     x=normal(5, 20), residual=normal(5, 20), weight=normal(20, mean=1, scale=0.2), bias=normal(20))
case("gelu", lambda x: F.gelu(x), x=normal(4, 50, scale=3))
case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), x=normal(4, 50, scale=3))
case("silu", lambda x: F.silu(x), x=normal(4, 50, scale=5))
case("tanh", lambda x: torch.tanh(x), x=normal(4, 50, scale=2))
case("relu", lambda x: torch.relu(x), x=normal(4, 50))

# -- embedding, loss --------------------------------------------------------------------------------------------------------
case("embedding", lambda table, ids: F.embedding(ids, table), table=normal(11, 6), ids=integers(11, 3, 9))
case("cross_entropy", lambda logits, labels: F.cross_entropy(logits, labels).reshape(1),
     logits=normal(9, 13, scale=3), labels=np.array([3, -100, 0, 12, 5, -100, 5, 7, 1], np.int32))
case("cross_entropy_smoothing", lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=0.1).reshape(1),
     logits=normal(6, 7, scale=3), labels=np.array([3, 6, 0, -100, 5, 1], np.int32))

# -- elementwise, layout, reduction -----------------------------------------------------------------------------------------
case("add", lambda a, b: a + b, a=normal(3, 4, 5), b=normal(4, 1))
case("mul", lambda a, b: a * b, a=normal(3, 4, 5), b=normal(3, 1, 5))
case("scale", lambda x: x * 0.375, x=normal(7, 9))
half = np.concatenate([normal(40, scale=100), normal(20, scale=1e-6), np.float32([65504, 65519.9, 65520, 0.1, -2049])])
case("cast_f16", lambda x: x.float().half().double(), gradient=False, x=half)
case("cast_bf16", lambda x: x.float().bfloat16().double(), gradient=False, x=half)
case("cast_i32", lambda x: x.float().double(), gradient=False, x=integers(2**31 - 1, 60, low=-(2**31)))
case("reshape", lambda x: x.reshape(6, 10), x=normal(3, 4, 5))
case("transpose", lambda x: x.permute(2, 0, 3, 1), x=normal(2, 3, 4, 5))
case("slice", lambda x: x[:, 2:6], x=normal(3, 8, 5))
case("concat", lambda a, b, c: torch.cat([a, b, c], 1), a=normal(2, 3, 4), b=normal(2, 1, 4), c=normal(2, 5, 4))
case("expand", lambda x: x.expand(3, 7, 5), x=normal(3, 1, 5))
case("sum", lambda x: x.sum(1, keepdim=True), x=normal(3, 40, 5))
case("mean", lambda x: x.mean(2, keepdim=True), x=normal(3, 4, 70))
case("max", lambda x: x.max(1, keepdim=True).values, x=normal(3, 8, 5))
case("argmax", lambda x: x.argmax(2, keepdim=True), gradient=False, x=normal(3, 4, 70))
case("norm", lambda x: x.norm().reshape(1), gradient=False, x=normal(5003))


# -- dropout: Philox4x32-10 written again, from the paper -------------------------------------------------------------------
def philox(counter, key):
    c, k = [int(x) for x in counter], [int(x) for x in key]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def dropout(x, p, seed, site, step):
    words = [philox([i // 4, site, step, 0], seed)[i % 4] for i in range(x.numel())]
    kept = torch.tensor([word >= p * 2**32 for word in words], dtype=torch.float64).reshape(x.shape)
    return x * kept / (1 - p)


case("dropout", lambda x: dropout(x, 0.25, [12345, 678], 0, 9), x=normal(7, 13))


# -- adamw: three steps with clipping, through PyTorch's optimizer ----------------------------------------------------------
def adamw():
    count, decay_count, steps, max_norm = 301, 200, 3, 1.0
    rates = [1e-3, 5e-4, 2.5e-4]
    start = normal(count)
    gradients = [normal(count, scale=s) for s in (0.2, 0.01, 1.0)]
    decayed = torch.nn.Parameter(torch.from_numpy(start[:decay_count].astype(np.float64)))
    rest = torch.nn.Parameter(torch.from_numpy(start[decay_count:].astype(np.float64)))
    optimizer = torch.optim.AdamW([{"params": [decayed], "weight_decay": 0.01}, {"params": [rest], "weight_decay": 0.0}],
                                  lr=1.0, betas=(0.9, 0.999), eps=1e-8, foreach=False)
    tensors["adamw.in.param"] = start
    for i in range(steps):
        decayed.grad = torch.from_numpy(gradients[i][:decay_count].astype(np.float64))
        rest.grad = torch.from_numpy(gradients[i][decay_count:].astype(np.float64))
        torch.nn.utils.clip_grad_norm_([decayed, rest], max_norm)
        for group in optimizer.param_groups:
            group["lr"] = float(np.float32(rates[i]))
        optimizer.step()
        tensors[f"adamw.in.gradient{i}"] = gradients[i]
        tensors[f"adamw.out{i}"] = torch.cat([decayed, rest]).detach().numpy().astype(np.float32)
    for key, name in (("exp_avg", "m"), ("exp_avg_sq", "v")):
        state = torch.cat([optimizer.state[p][key] for p in (decayed, rest)])
        tensors[f"adamw.out.{name}"] = state.numpy().astype(np.float32)


adamw()

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.safetensors")
save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, path)
print(f"{path}: {len(tensors)} tensors, {os.path.getsize(path)} bytes")
