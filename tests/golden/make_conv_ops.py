#!/usr/bin/env python3
"""Makes conv_ops.json: linear, conv2d and pooling with their gradients as PyTorch computes them.

Inputs are random numbers that bf16 holds exactly, so the same values serve both precisions; PyTorch computes in double,
so the numbers here are the true results to about 1e-16.  Images are written (N, H, W, C), weights as PyTorch's.

    python3 tests/golden/make_conv_ops.py
"""
import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(20240521)


def draw(*shape):
    return torch.randn(*shape).bfloat16().double().requires_grad_(True)


def flat(t, image=False):
    t = t.detach()
    return (t.permute(0, 2, 3, 1) if image else t).flatten().tolist()


def case(op, name, x, y, params, image, **attrs):
    dy = torch.randn(y.shape).bfloat16().double()
    y.backward(dy)
    out = {"op": op, "name": name, **attrs}
    out["x_shape"] = [x.shape[0], *x.shape[2:], x.shape[1]] if image else list(x.shape)
    for key, t in {"x": x, "y": y, "dy": dy, "dx": x.grad}.items():
        out[key] = flat(t, image)
    for key, t in params.items():
        out[key + "_shape"] = list(t.shape)
        out[key] = flat(t)
        out["d" + key] = flat(t.grad)
    return out


def linear(n, i, o, bias):
    x, w, b = draw(n, i), draw(o, i), draw(o)
    y = F.linear(x, w, b if bias else None)
    return case("linear", f"{n}x{i} to {o}", x, y, {"w": w, "b": b} if bias else {"w": w}, False)


def conv2d(n, i, h, w_, o, k, stride, padding, bias, groups=1):
    kh, kw = k if isinstance(k, tuple) else (k, k)
    x, w, b = draw(n, i, h, w_), draw(o, i // groups, kh, kw), draw(o)
    y = F.conv2d(x, w, b if bias else None, stride=stride, padding=padding, groups=groups)
    return case("conv2d", f"{i} to {o}, {kh}x{kw}, stride {stride}, padding {padding}", x, y,
                {"w": w, "b": b} if bias else {"w": w}, True, stride=stride, padding=padding, groups=groups)


def pool2d(op, n, c, h, w_, k, stride, padding):
    x = draw(n, c, h, w_)
    y = {"max_pool2d": F.max_pool2d, "avg_pool2d": F.avg_pool2d}[op](x, k, stride, padding)
    return case(op, f"{k}x{k}, stride {stride}, padding {padding}", x, y, {}, True, kernel=k, stride=stride,
                padding=padding)


def adaptive_avg_pool2d(n, c, h, w_, rows, cols):
    x = draw(n, c, h, w_)
    return case("adaptive_avg_pool2d", f"{h}x{w_} to {rows}x{cols}", x, F.adaptive_avg_pool2d(x, (rows, cols)), {}, True,
                rows=rows, cols=cols)


def flatten(n, c, h, w_):
    x = draw(n, c, h, w_)
    y = torch.flatten(x, 1)
    return case("flatten", f"{c} channels", x, y.view(n, -1, 1, 1), {}, True)


cases = [
    linear(5, 7, 3, True),
    linear(8, 20, 17, False),
    linear(1, 13, 1, True),
    conv2d(2, 1, 6, 5, 4, 3, 1, 1, True),
    conv2d(1, 3, 7, 8, 5, 3, 2, 1, True),
    conv2d(2, 4, 5, 5, 3, 2, 1, 0, False),
    conv2d(1, 2, 9, 7, 3, 5, 2, 2, True),
    pool2d("max_pool2d", 2, 3, 6, 6, 2, 2, 0),
    pool2d("max_pool2d", 1, 5, 7, 6, 3, 2, 1),
    pool2d("avg_pool2d", 2, 3, 6, 7, 2, 2, 0),
    pool2d("avg_pool2d", 1, 5, 7, 6, 3, 2, 1),
    flatten(2, 3, 2, 4),
    conv2d(2, 3, 6, 5, 4, (3, 1), 1, (1, 0), True),
    conv2d(1, 2, 7, 9, 3, (2, 5), (1, 3), (1, 2), True),
    conv2d(2, 4, 5, 6, 6, 3, 1, 1, True, groups=2),
    conv2d(1, 5, 6, 5, 5, 3, 2, 1, False, groups=5),
    adaptive_avg_pool2d(2, 3, 5, 7, 1, 1),
    adaptive_avg_pool2d(1, 5, 7, 5, 3, 2),
    adaptive_avg_pool2d(1, 2, 2, 3, 7, 7),
]
path = pathlib.Path(__file__).with_name("conv_ops.json")
lines = ",\n".join(json.dumps(c) for c in cases)
path.write_text('{"torch": "%s", "cases": [\n%s\n]}\n' % (torch.__version__, lines))
print(f"{path}: {path.stat().st_size} bytes")
