"""Golden values of optimizers, clipping, EMA and schedules, from PyTorch and ema-pytorch.

    python tests/golden/make_optim.py        writes optim.json beside this file; needs torch and ema-pytorch

Weights and gradients are small multiples of 1/64 made by the same integer formula here and in test_golden_optim.c,
so the file holds results only.  The network is torchvision.ops.MLP(3, [4, 2]), with batch norm for the EMA.
"""
import importlib.metadata
import json
import math
import pathlib

import torch
from ema_pytorch import EMA
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

STEPS = 6


def value(seed, tensor, i):
    """As value() in test_golden_optim.c: (-50 .. 50) / 64, exact in fp32."""
    return ((seed * 37 + tensor * 29 + i * 17 + seed * i * 3) % 101 - 50) / 64


def fill(tensor, seed, index):
    flat = torch.tensor([value(seed, index, i) for i in range(tensor.numel())], dtype=torch.float32)
    tensor.data.copy_(flat.view(tensor.shape))


def network(norm):
    layers = [torch.nn.Linear(3, 4)]
    layers += [torch.nn.BatchNorm1d(4)] if norm else []
    return torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Dropout(0), torch.nn.Linear(4, 2))


def numbers(tensors):
    return [[float(x) for x in t.detach().flatten()] for t in tensors]


OPTIMIZERS = {
    "sgd": {},
    "sgd weight_decay": dict(weight_decay=0.1),
    "sgd momentum": dict(momentum=0.9),
    "sgd momentum dampening": dict(momentum=0.9, dampening=0.4),
    "sgd momentum dampening weight_decay": dict(momentum=0.9, dampening=0.4, weight_decay=0.1),
    "sgd nesterov": dict(momentum=0.9, nesterov=True),
    "sgd nesterov weight_decay": dict(momentum=0.9, nesterov=True, weight_decay=0.1),
    "sgd clip_norm": dict(momentum=0.9, clip_norm=1.5),
    "sgd clip_norm above the norm": dict(clip_norm=100.0),
    "sgd clip_value": dict(clip_value=0.25),
    "sgd clip_value clip_norm": dict(clip_value=0.25, clip_norm=0.5),
    "adam": {},
    "adam weight_decay": dict(weight_decay=0.1),
    "adam betas": dict(beta1=0.3, beta2=0.6, eps=1e-3),
    "adam amsgrad": dict(amsgrad=True, beta2=0.7),
    "adam amsgrad weight_decay": dict(amsgrad=True, beta2=0.7, weight_decay=0.1),
    "adam clip_norm clip_value": dict(clip_norm=0.5, clip_value=0.25),
    "adamw": dict(weight_decay=0.1),
    "adamw no weight_decay": dict(weight_decay=0.0),
    "adamw amsgrad": dict(weight_decay=0.1, amsgrad=True, beta2=0.7),
    "adamw clip_norm": dict(weight_decay=0.1, clip_norm=0.5),
}


def make_optimizer(kind, params, spec):
    common = dict(lr=0.05, weight_decay=spec.get("weight_decay", 0.0), foreach=False)
    if kind == "sgd":
        return torch.optim.SGD(params, momentum=spec.get("momentum", 0.0), dampening=spec.get("dampening", 0.0),
                               nesterov=spec.get("nesterov", False), **common)
    cls = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    return cls(params, betas=(spec.get("beta1", 0.9), spec.get("beta2", 0.999)), eps=spec.get("eps", 1e-8),
               amsgrad=spec.get("amsgrad", False), **common)


def run_optimizer(name, spec):
    kind = name.split()[0]
    params = list(network(False).parameters())
    for t, p in enumerate(params):
        fill(p, 0, t)
    optimizer = make_optimizer(kind, params, spec)
    steps, norms = [], []
    for step in range(1, STEPS + 1):
        for t, p in enumerate(params):
            p.grad = torch.empty_like(p)
            fill(p.grad, step, t)
        if "clip_value" in spec:
            torch.nn.utils.clip_grad_value_(params, spec["clip_value"], foreach=False)
        if "clip_norm" in spec:
            norms.append(float(torch.nn.utils.clip_grad_norm_(params, spec["clip_norm"], foreach=False)))
        optimizer.step()
        if step in (1, 2, STEPS):
            steps.append(dict(step=step, params=numbers(params)))
    names = [k for k in optimizer.state[params[0]] if k != "step" and optimizer.state[params[0]][k] is not None]
    state = {k: numbers(optimizer.state[p][k] for p in params) for k in names}
    return dict(name=name, kind=kind, lr=0.05, **spec, steps=steps, norms=norms, state=state)


EMAS = {
    "defaults": dict(calls=135, keep=[0, 5, 50, 100, 105, 110, 120, 130, 134]),
    "every call": dict(update_every=1, update_after_step=4, beta=0.8, calls=14, keep=range(14)),
    "min_value": dict(update_every=2, update_after_step=3, min_value=0.6, calls=14, keep=range(0, 14, 2)),
    "gamma and power": dict(update_every=1, update_after_step=0, inv_gamma=3.0, power=0.75, calls=10, keep=range(10)),
    "frozen": dict(update_every=1, update_after_step=3, beta=1.0, calls=7, keep=range(7)),
    "names": dict(update_every=3, update_after_step=4, beta=0.9, calls=16, keep=range(0, 16, 3),
                  copy=["0.bias", "1.running_var"], ignore=["4.bias", "1.running_mean"]),
}


def run_ema(name, spec):
    spec = dict(spec)
    calls, keep = spec.pop("calls"), set(spec.pop("keep"))
    copy, ignore = spec.pop("copy", []), spec.pop("ignore", [])
    model = network(True)
    tensors = lambda m: list(m.parameters()) + [b for b in m.buffers() if b.is_floating_point()]
    for t, x in enumerate(tensors(model)):
        fill(x, 1000, t)
    ema = EMA(model, param_or_buffer_names_no_ema=set(copy), ignore_names=set(ignore), **spec)
    kept = []
    for call in range(calls):
        for t, x in enumerate(tensors(model)):
            fill(x, call, t)
        ema.update()
        if call in keep:
            kept.append(dict(call=call, decay=ema.get_current_decay(), tensors=numbers(tensors(ema.ema_model))))
    defaults = dict(beta=0.9999, update_after_step=100, update_every=10, inv_gamma=1.0, power=2 / 3, min_value=0.0)
    return dict(name=name, **{**defaults, **spec}, copy=copy, ignore=ignore, calls=calls, kept=kept)


def metric_falls(i):
    return 2.0 * 0.9**i if i < 12 else 0.56 + 0.002 * math.sin(i)


def metric_waves(i):
    return 1.0 + 0.5 * math.sin(i * 0.7) - 0.01 * i


PLATEAUS = {
    "defaults": dict(metric=metric_falls),
    "patience": dict(metric=metric_falls, patience=3, factor=0.5),
    "cooldown": dict(metric=metric_falls, patience=2, factor=0.5, cooldown=4),
    "min_lr": dict(metric=metric_falls, patience=1, factor=0.3, min_lr=0.01),
    "eps": dict(metric=metric_falls, patience=1, factor=0.5, eps=0.02),
    "abs": dict(metric=metric_waves, patience=3, factor=0.5, threshold=0.05, threshold_mode="abs"),
    "max": dict(metric=metric_waves, mode="max", patience=3, factor=0.7),
    "max abs": dict(metric=metric_waves, mode="max", patience=0, factor=0.9, threshold=0.2, threshold_mode="abs",
                    cooldown=1),
    "no threshold": dict(metric=metric_waves, patience=2, factor=0.5, threshold=0.0),
    "nan": dict(metric=lambda i: math.nan if i % 3 else 1.0 / (i + 1), patience=2, factor=0.5),
}


def run_plateau(name, spec):
    spec = dict(spec)
    metric = spec.pop("metric")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = ReduceLROnPlateau(optimizer, **spec)
    rows = []
    for i in range(45):
        m = metric(i)
        scheduler.step(m)
        rows.append([None if math.isnan(m) else m, optimizer.param_groups[0]["lr"],
                     scheduler.best if math.isfinite(scheduler.best) else None, scheduler.num_bad_epochs,
                     scheduler.cooldown_counter])
    defaults = dict(mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0.0,
                    eps=1e-8)
    return dict(name=name, lr=0.1, **{**defaults, **spec}, rows=rows)


LAMBDAS = {
    "0.95^epoch": lambda e: 0.95**e,
    "0.95**epoch": lambda e: 0.95**e,
    "epoch % 40 / 100": lambda e: e % 40 / 100,
    "min(1, (epoch + 1) / 5) * 0.5^(epoch > 30)": lambda e: min(1, (e + 1) / 5) * 0.5 ** (e > 30),
    "epoch < 10 ? 1 : epoch < 20 ? 0.1 : 0.01": lambda e: 1 if e < 10 else 0.1 if e < 20 else 0.01,
    "(1 + cos(pi * epoch / 50)) / 2": lambda e: (1 + math.cos(math.pi * e / 50)) / 2,
    "0.1^floor(epoch / 15)": lambda e: 0.1 ** (e // 15),
    "(epoch - 7) % 5": lambda e: (e - 7) % 5,
}


def run_lambda(expr, function):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = LambdaLR(optimizer, function)
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return dict(expr=expr, lr=0.1, rates=rates)


def main():
    torch.set_num_threads(1)
    golden = dict(
        torch=torch.__version__,
        ema_pytorch=importlib.metadata.version("ema-pytorch"),
        optimizers=[run_optimizer(*item) for item in OPTIMIZERS.items()],
        emas=[run_ema(*item) for item in EMAS.items()],
        plateaus=[run_plateau(*item) for item in PLATEAUS.items()],
        lambdas=[run_lambda(*item) for item in LAMBDAS.items()],
    )
    path = pathlib.Path(__file__).with_name("optim.json")
    path.write_text(json.dumps(rounded(golden), separators=(",", ":")).replace('},{"', '},\n{"') + "\n")


def rounded(x):
    """fp32 values need nine digits; rates and metrics are doubles and keep all of theirs."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    if isinstance(x, list):
        return [rounded(v) for v in x]
    is_fp32 = isinstance(x, float) and float(torch.tensor(x)) == x
    return float(f"{x:.9g}") if is_fp32 else x


if __name__ == "__main__":
    main()
