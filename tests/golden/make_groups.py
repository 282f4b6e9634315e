#!/usr/bin/env python3
"""Golden values of parameter groups that join, leave and come back, from torch.optim with add_param_group.

Writes groups.json beside this file.  Run: python3 tests/golden/make_groups.py

The network is torchvision.ops.MLP(3, [4, 2]); weights and gradients come from make_optim.py's value(), which
test_golden_groups.c repeats, so the file holds results only.
"""
import json
import pathlib

import torch

# Tensors that train in each phase, and its steps: the head; all (the body joins as group 1); all but the head's weight;
# all again, the head's weight afresh.
PHASES = [((2, 3), 3), ((0, 1, 2, 3), 3), ((0, 1, 3), 2), ((0, 1, 2, 3), 2)]
BODY = (0, 1)

CASES = {
    "sgd": ({}, {}),
    "sgd momentum dampening": (dict(momentum=0.9, dampening=0.4), dict(momentum=0.5, dampening=0.25)),
    "sgd nesterov weight_decay": (dict(momentum=0.9, nesterov=True), dict(momentum=0.8, nesterov=True, weight_decay=0.1)),
    "adam": ({}, dict(beta1=0.5, beta2=0.9, weight_decay=0.2)),
    "adam clip_norm": (dict(clip_norm=0.5), dict(clip_norm=0.5)),
    "adamw amsgrad": (dict(amsgrad=True, beta2=0.7, weight_decay=0.1), dict(amsgrad=True, beta2=0.6, eps=1e-3)),
}
LR = (0.05, 0.02)


def value(seed, tensor, i):
    return ((seed * 37 + tensor * 29 + i * 17 + seed * i * 3) % 101 - 50) / 64


def fill(tensor, seed, index):
    flat = torch.tensor([value(seed, index, i) for i in range(tensor.numel())], dtype=torch.float32)
    tensor.data.copy_(flat.view(tensor.shape))


def options(kind, lr, spec):
    common = dict(lr=lr, weight_decay=spec.get("weight_decay", 0.0), foreach=False)
    if kind == "sgd":
        return dict(momentum=spec.get("momentum", 0.0), dampening=spec.get("dampening", 0.0),
                    nesterov=spec.get("nesterov", False), **common)
    return dict(betas=(spec.get("beta1", 0.9), spec.get("beta2", 0.999)), eps=spec.get("eps", 1e-8),
                amsgrad=spec.get("amsgrad", False), **common)


def run(name, head, body):
    kind = name.split()[0]
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Dropout(0), torch.nn.Linear(4, 2))
    params = list(net.parameters())
    for t, p in enumerate(params):
        fill(p, 0, t)
    cls = dict(sgd=torch.optim.SGD, adam=torch.optim.Adam, adamw=torch.optim.AdamW)[kind]
    optimizer = cls([params[t] for t in PHASES[0][0]], **options(kind, LR[0], head))
    step, phases = 0, []
    for number, (trained, n_steps) in enumerate(PHASES):
        if number == 1:
            optimizer.add_param_group(dict(params=[params[t] for t in BODY], **options(kind, LR[1], body)))
        for t, p in enumerate(params):
            if t not in trained:
                optimizer.state.pop(p, None)  # who leaves loses its state
        for _ in range(n_steps):
            step += 1
            for t, p in enumerate(params):
                p.grad = None  # skipped by step(), as if it were in no group
                if t in trained:
                    p.grad = torch.empty_like(p)
                    fill(p.grad, step, t)
            if "clip_norm" in head:
                torch.nn.utils.clip_grad_norm_(params, head["clip_norm"], foreach=False)
            optimizer.step()
        state = {}
        for t in trained:
            s = optimizer.state[params[t]]
            state[t] = {k: [float(x) for x in v.flatten()] for k, v in s.items() if k != "step" and v is not None}
            state[t]["step"] = int(s["step"]) if "step" in s else None
        phases.append(dict(trained=trained, steps=n_steps, state=state,
                           params=[[float(x) for x in p.detach().flatten()] for p in params]))
    return dict(name=name, kind=kind, groups=[dict(lr=LR[0], **head), dict(lr=LR[1], **body)], phases=phases)


def main():
    torch.set_num_threads(1)
    cases = [run(name, *specs) for name, specs in CASES.items()]
    out = pathlib.Path(__file__).with_name("groups.json")
    out.write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")


main()
