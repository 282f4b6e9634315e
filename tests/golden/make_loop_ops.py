#!/usr/bin/env python3
"""Makes loop_ops.json: activations, batch norm, layer norm and losses with their gradients as PyTorch computes them, and
metrics by PyTorch and scikit-learn.

Inputs are random numbers that bf16 holds exactly, so the same values serve both precisions; PyTorch computes in double,
so the numbers here are the true results to the digits written.  Images are written (N, H, W, C).

    python3 tests/golden/make_loop_ops.py
"""
import json
import pathlib

import torch
import torch.nn.functional as F
from sklearn.metrics import r2_score

torch.manual_seed(20240607)


def exact(*shape):
    return torch.randn(*shape).bfloat16().double()


def flat(t):
    t = t.detach()
    t = t.permute(0, 2, 3, 1) if t.ndim == 4 else t
    return [float("%.12g" % v) for v in t.flatten().tolist()]


def shape_of(t):
    return [t.shape[0], *t.shape[2:], t.shape[1]] if t.ndim == 4 else list(t.shape)


def activation(kind, f, n, c):
    x = (3 * exact(n, c)).bfloat16().double().requires_grad_(True)
    y, dy = f(x), exact(n, c)
    y.backward(dy)
    return {"kind": kind, "x_shape": shape_of(x), "x": flat(x), "y": flat(y), "dy": flat(dy), "dx": flat(x.grad)}


def norm(op, module, x):
    """One step of training; for batch norm also the running statistics after it and what evaluation makes of x."""
    with torch.no_grad():
        module.weight.copy_(exact(*module.weight.shape))
        module.bias.copy_(exact(*module.bias.shape))
    x = x.requires_grad_(True)
    out = {"op": op, "eps": module.eps, "x_shape": shape_of(x), "g": flat(module.weight), "b": flat(module.bias)}
    if op == "batch_norm":
        with torch.no_grad():
            module.running_mean.copy_(exact(*module.running_mean.shape))
            module.running_var.copy_(exact(*module.running_var.shape).abs() + 0.5)
        out.update(momentum=module.momentum, running_mean=flat(module.running_mean),
                   running_var=flat(module.running_var))
    y = module(x)
    dy = exact(*y.shape)
    y.backward(dy)
    out.update(x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad), dg=flat(module.weight.grad),
               db=flat(module.bias.grad))
    if op == "batch_norm":
        out.update(new_running_mean=flat(module.running_mean), new_running_var=flat(module.running_var))
        module.eval()
        out.update(eval_y=flat(module(x)))
    return out


def metrics_of_values(x, target):
    d = (x - target).detach()
    return {"mse": (d * d).mean().item(), "rmse": (d * d).mean().sqrt().item(), "mae": d.abs().mean().item(),
            "r2": r2_score(target.numpy(), x.detach().numpy())}


def regression(kind, f, n, o, constant=False, **parameters):
    x, target = exact(n, o).requires_grad_(True), exact(n, o)
    if constant:
        target[:, 0] = target[0, 0]
    loss = f(x, target, **parameters)
    loss.backward()
    return {"kind": kind, "x_shape": [n, o], "x": flat(x), "target": flat(target), "loss": loss.item(),
            "dx": flat(x.grad), "count": n * o, **parameters, "metrics": metrics_of_values(x, target)}


def bce(n, o, pos_weight=None):
    """Hard targets and soft ones; a logit of 0 decides for no event."""
    x, target = (3 * exact(n, o)).bfloat16().double(), torch.randint(0, 2, (n, o)).double()
    target[0, 0], x[-1, -1] = 0.25, 0.0
    x.requires_grad_(True)
    p = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64)
    loss = F.binary_cross_entropy_with_logits(x, target, pos_weight=p)
    loss.backward()
    out = {"kind": "bce", "x_shape": [n, o], "x": flat(x), "target": flat(target), "loss": loss.item(), "dx": flat(x.grad),
           "count": n * o, "metrics": {"loss": loss.item(), "accuracy": ((x > 0) == (target > 0.5)).double().mean().item()}}
    return out if p is None else {**out, "pos_weight": pos_weight}


def cross_entropy(n, v, smoothing, ignore_index, n_ignored, weight=None):
    x, label = (3 * exact(n, v)).bfloat16().double().requires_grad_(True), torch.randint(0, v, (n,))
    if 0 <= ignore_index < v:
        label[label == ignore_index] = (ignore_index + 1) % v
    label[torch.randperm(n)[:n_ignored]] = ignore_index
    w = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    loss = F.cross_entropy(x, label, weight=w, label_smoothing=smoothing, ignore_index=ignore_index)
    loss.backward()
    counted = label != ignore_index
    kept, true = x[counted].detach(), label[counted]
    metrics = {"loss": loss.item(), "accuracy": (kept.argmax(1) == true).double().mean().item(),
               "perplexity": F.cross_entropy(kept, true).exp().item()}
    if v > 5:
        metrics["accuracy_top5"] = (kept.topk(5).indices == true[:, None]).any(1).double().mean().item()
    out = {"kind": "cross_entropy", "x_shape": [n, v], "x": flat(x), "label": label.tolist(), "loss": loss.item(),
           "dx": flat(x.grad), "count": int(counted.sum()) if w is None else w[true].sum().item(),
           "label_smoothing": smoothing, "ignore_index": ignore_index, "metrics": metrics}
    return out if w is None else {**out, "weight": weight}


def soft_cross_entropy(n, v, smoothing, weight=None):
    """Labels as mixup mixes them, and one that is a label alone."""
    x = (3 * exact(n, v)).bfloat16().double().requires_grad_(True)
    label = F.one_hot(torch.randint(0, v, (n,)), v).double()
    target = 0.75 * label + 0.25 * label.roll(1, 0)
    target[0] = label[0]
    w = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    loss = F.cross_entropy(x, target, weight=w, label_smoothing=smoothing)
    loss.backward()
    true = target.argmax(1)
    metrics = {"loss": loss.item(), "accuracy": (x.argmax(1) == true).double().mean().item(),
               "perplexity": F.cross_entropy(x, target).exp().item(),
               "accuracy_top5": (x.topk(5).indices == true[:, None]).any(1).double().mean().item()}
    out = {"kind": "cross_entropy", "x_shape": [n, v], "x": flat(x), "target": flat(target), "loss": loss.item(),
           "dx": flat(x.grad), "count": n, "label_smoothing": smoothing, "metrics": metrics}
    return out if w is None else {**out, "weight": weight}


def sequence(lengths, steps, v, smoothing):
    """The textbook's loss of sentences (Dive into Deep Learning, MaskedSoftmaxCELoss), of which train_seq2seq makes the sum small."""
    n = len(lengths)
    x, label = (3 * exact(n, steps, v)).bfloat16().double().requires_grad_(True), torch.randint(0, v, (n, steps))
    weights = (torch.arange(steps)[None, :] < torch.tensor(lengths)[:, None]).double()
    unweighted_loss = F.cross_entropy(x.permute(0, 2, 1), label, reduction="none", label_smoothing=smoothing)
    loss = (unweighted_loss * weights).mean(dim=1).sum()
    loss.backward()
    label[weights == 0] = -100
    kept, true = x[weights > 0].detach(), label[weights > 0]
    metrics = {"accuracy": (kept.argmax(1) == true).double().mean().item(), "perplexity": F.cross_entropy(kept, true).exp().item()}
    return {"kind": "cross_entropy", "x_shape": [n * steps, v], "x": flat(x), "label": label.flatten().tolist(), "loss": loss.item(),
            "dx": flat(x.grad), "count": sum(lengths), "steps": steps, "label_smoothing": smoothing, "ignore_index": -100,
            "metrics": metrics}


activations = [
    activation("relu", F.relu, 3, 17),
    activation("tanh", torch.tanh, 3, 17),
    activation("sigmoid", torch.sigmoid, 3, 17),
    activation("gelu", F.gelu, 5, 17),
    activation("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), 5, 17),
]
norms = [
    norm("batch_norm", torch.nn.BatchNorm1d(5).double(), exact(7, 5)),
    norm("batch_norm", torch.nn.BatchNorm1d(33, eps=1e-3, momentum=0.3).double(), exact(4, 33)),
    norm("batch_norm", torch.nn.BatchNorm2d(3).double(), exact(2, 3, 5, 4)),
    norm("batch_norm", torch.nn.BatchNorm2d(17).double(), exact(3, 17, 2, 3)),
    norm("layer_norm", torch.nn.LayerNorm(5).double(), exact(3, 5)),
    norm("layer_norm", torch.nn.LayerNorm(65, eps=1e-6).double(), exact(4, 65)),
]
losses = [
    regression("mse", F.mse_loss, 7, 1),
    regression("mse", F.mse_loss, 5, 9),
    regression("l1", F.l1_loss, 7, 1),
    regression("l1", F.l1_loss, 5, 9),
    cross_entropy(8, 10, 0.0, -100, 0),
    cross_entropy(9, 3, 0.0, -100, 3),
    cross_entropy(8, 10, 0.1, -100, 0),
    cross_entropy(6, 40, 0.2, 4, 2),
    regression("mse", F.mse_loss, 6, 3, constant=True),
    regression("smooth_l1", F.smooth_l1_loss, 7, 3, beta=1.0),
    regression("smooth_l1", F.smooth_l1_loss, 5, 9, beta=0.25),
    regression("huber", F.huber_loss, 7, 3, delta=1.0),
    regression("huber", F.huber_loss, 5, 9, delta=0.5),
    bce(7, 1),
    bce(6, 5),
    bce(7, 1, [3.0]),
    bce(6, 5, [0.5, 1.0, 2.0, 0.0, 4.0]),
    cross_entropy(9, 3, 0.0, -100, 2, [0.5, 1.0, 2.0]),
    cross_entropy(11, 7, 0.1, 255, 3, [1.0, 0.0, 3.0, 0.25, 1.0, 2.0, 0.5]),
    cross_entropy(8, 40, 0.2, 4, 2, [0.25 * (1 + i % 7) for i in range(40)]),
]


def lines(cases):
    return ",\n".join(json.dumps(c) for c in cases)


# Behind the rest, whose random numbers they leave alone.
activations += [
    activation("leaky_relu", F.leaky_relu, 3, 17),
    activation("silu", F.silu, 5, 17),
    activation("elu", F.elu, 5, 17),
]

losses += [
    soft_cross_entropy(6, 10, 0.0),
    soft_cross_entropy(7, 40, 0.1),
    soft_cross_entropy(5, 6, 0.0, [0.5, 1.0, 2.0, 0.0, 3.0, 1.0]),
    soft_cross_entropy(9, 33, 0.2, [0.25 * (1 + i % 7) for i in range(33)]),
    sequence([3, 5, 1, 4], 5, 7, 0.0),
    sequence([2, 6, 6], 8, 11, 0.1),
]

path = pathlib.Path(__file__).with_name("loop_ops.json")
path.write_text('{"torch": "%s",\n"activations": [\n%s\n],\n"norms": [\n%s\n],\n"losses": [\n%s\n]}\n' %
                (torch.__version__, lines(activations), lines(norms), lines(losses)))
print(f"{path}: {path.stat().st_size} bytes")
