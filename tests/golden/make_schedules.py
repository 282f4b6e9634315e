#!/usr/bin/env python3
"""Makes schedules.json: PyTorch's learning rates, and momenta where they are cycled, step by step.

    python3 tests/golden/make_schedules.py

A case is the recipe's section `scheduler`; the classes below are built from it with the same names, so the file shows both
sides.  Values are those in force at scheduler step 0, 1, 2, ...; of long courses the first 80 and every 11th step are kept.
Where PyTorch's own value is a defect, the case says how the right one was made from PyTorch's:

  nested    a sequential or chained inside a sequential keeps its own time (pytorch issue 196243): made with the inner one's
            schedulers written out in the outer
  hold      one-cycle stays at its last value; PyTorch raises an error
"""
import json
import math
import os
import warnings

import torch
from torch.optim import lr_scheduler as torch_lr
from torch.optim.swa_utils import SWALR

warnings.simplefilter("ignore")
HEAD, EVERY = 80, 11

EXPRESSIONS = {
    "0.95^epoch": lambda e: 0.95**e,
    "epoch % 40 / 100": lambda e: e % 40 / 100,
    "max(0, 1 - epoch/100)": lambda e: max(0, 1 - e / 100),
    "epoch < 100 ? 0.999 : 1.001": lambda e: 0.999 if e < 100 else 1.001,
    "0.5 + 0.5 * cos(pi * epoch / 50)": lambda e: 0.5 + 0.5 * math.cos(math.pi * e / 50),
    "1 / (1 + 0.001 * epoch)": lambda e: 1 / (1 + 0.001 * e),
    "1 / 5^(x * 0.0001)": lambda x: 1 / 5 ** (x * 0.0001),
}
CLASSES = {
    "step": torch_lr.StepLR, "multistep": torch_lr.MultiStepLR, "constant": torch_lr.ConstantLR,
    "linear": torch_lr.LinearLR, "exponential": torch_lr.ExponentialLR, "polynomial": torch_lr.PolynomialLR,
    "cosine": torch_lr.CosineAnnealingLR, "cosine_warm_restarts": torch_lr.CosineAnnealingWarmRestarts,
    "cyclic": torch_lr.CyclicLR, "onecycle": torch_lr.OneCycleLR, "swalr": SWALR,
}


def make(optimizer, spec):
    spec = dict(spec)
    kind = spec.pop("kind")
    if kind == "lambda":
        return torch_lr.LambdaLR(optimizer, EXPRESSIONS[spec["expr"]])
    if kind == "multiplicative":
        return torch_lr.MultiplicativeLR(optimizer, EXPRESSIONS[spec["expr"]])
    if kind == "sequential":
        return torch_lr.SequentialLR(optimizer, [make(optimizer, s) for s in spec["schedulers"]], spec["milestones"])
    if kind == "chained":
        return torch_lr.ChainedScheduler([make(optimizer, s) for s in spec["schedulers"]], optimizer)
    if kind == "none":
        return torch_lr.LambdaLR(optimizer, lambda e: 1.0)
    if "scale_fn" in spec:
        spec["scale_fn"] = EXPRESSIONS[spec["scale_fn"]]
    return CLASSES[kind](optimizer, **spec)


def make_optimizer(kind, lr):
    params = [torch.nn.Parameter(torch.zeros(1))]
    if kind == "adam":
        return torch.optim.Adam(params, lr=lr, betas=(0.9, 0.999))
    return torch.optim.SGD(params, lr=lr, momentum=0.9)


def follow(spec, n, lr, kind, hold=None):
    optimizer = make_optimizer(kind, lr)
    scheduler = make(optimizer, spec)
    group = optimizer.param_groups[0]
    lrs, momenta = [], []
    for i in range(n):
        lrs.append(group["lr"])
        momenta.append(group["betas"][0] if kind == "adam" else group["momentum"])
        if hold is not None and i + 1 >= hold:
            continue
        optimizer.step()
        scheduler.step()
    return lrs, momenta


def kept(n):
    return [i for i in range(n) if i < HEAD or i % EVERY == 0 or i == n - 1]


def uses_momentum(spec):
    if spec["kind"] in ("cyclic", "onecycle"):
        return spec.get("cycle_momentum", True)
    return any(uses_momentum(s) for s in spec.get("schedulers", []))


def case(name, spec, n=1001, lr=0.05, optimizer="sgd", torch_spec=None, hold=None):
    lrs, momenta = follow(torch_spec or spec, n, lr, optimizer, hold)
    steps = kept(n)
    out = {"name": name, "scheduler": spec, "lr": lr, "optimizer": optimizer, "n": n, "values": [lrs[i] for i in steps]}
    if uses_momentum(spec):
        out["momentum"] = [momenta[i] for i in steps]
    return out


def sequential(milestones, *schedulers):
    return {"kind": "sequential", "milestones": milestones, "schedulers": list(schedulers)}


def chained(*schedulers):
    return {"kind": "chained", "schedulers": list(schedulers)}


LINEAR = {"kind": "linear", "start_factor": 0.1, "end_factor": 1.0, "total_iters": 10}
COSINE = {"kind": "cosine", "T_max": 60, "eta_min": 0.002}
EXPONENTIAL = {"kind": "exponential", "gamma": 0.99}

CASES = [
    case("none", {"kind": "none"}, n=20),
    case("lambda power", {"kind": "lambda", "expr": "0.95^epoch"}),
    case("lambda saw", {"kind": "lambda", "expr": "epoch % 40 / 100"}),
    case("lambda down to 0", {"kind": "lambda", "expr": "max(0, 1 - epoch/100)"}, n=200),
    case("lambda cosine", {"kind": "lambda", "expr": "0.5 + 0.5 * cos(pi * epoch / 50)"}),
    case("multiplicative", {"kind": "multiplicative", "expr": "epoch < 100 ? 0.999 : 1.001"}),
    case("step", {"kind": "step", "step_size": 30}),
    case("step each", {"kind": "step", "step_size": 1, "gamma": 0.98}),
    case("step up", {"kind": "step", "step_size": 13, "gamma": 1.1}),
    case("multistep", {"kind": "multistep", "milestones": [30, 80]}),
    case("multistep repeated, from 0, unsorted", {"kind": "multistep", "milestones": [80, 0, 30, 30, 30, 500], "gamma": 0.5}),
    case("multistep empty", {"kind": "multistep", "milestones": []}, n=20),
    case("constant defaults", {"kind": "constant"}),
    case("constant", {"kind": "constant", "factor": 0.7, "total_iters": 333}),
    case("linear defaults", {"kind": "linear"}),
    case("linear long", {"kind": "linear", "start_factor": 0.001, "end_factor": 0.7, "total_iters": 800}),
    case("linear down", {"kind": "linear", "start_factor": 1.0, "end_factor": 0.25, "total_iters": 900}),
    case("linear to 0", {"kind": "linear", "start_factor": 1.0, "end_factor": 0.0, "total_iters": 64}, n=200),
    case("exponential", {"kind": "exponential", "gamma": 0.9}),
    case("exponential slow", {"kind": "exponential", "gamma": 0.999}),
    case("polynomial defaults", {"kind": "polynomial"}, n=100),
    case("polynomial", {"kind": "polynomial", "total_iters": 1000, "power": 0.9}),
    case("polynomial steep", {"kind": "polynomial", "total_iters": 700, "power": 3.5}),
    case("cosine", {"kind": "cosine", "T_max": 1000}),
    case("cosine many times", {"kind": "cosine", "T_max": 37}),
    case("cosine eta_min", {"kind": "cosine", "T_max": 60, "eta_min": 0.002}),
    case("cosine eta_min above lr", {"kind": "cosine", "T_max": 50, "eta_min": 0.1}),
    case("cosine of one step", {"kind": "cosine", "T_max": 1, "eta_min": 0.01}, n=100),
    case("cosine of much rounding in the rise", {"kind": "cosine", "T_max": 382}),
    case("cosine over 500", {"kind": "cosine", "T_max": 500, "eta_min": 1e-5}),
    case("cosine_warm_restarts", {"kind": "cosine_warm_restarts", "T_0": 10}),
    case("cosine_warm_restarts doubling", {"kind": "cosine_warm_restarts", "T_0": 7, "T_mult": 2, "eta_min": 1e-4}),
    case("cosine_warm_restarts tripling", {"kind": "cosine_warm_restarts", "T_0": 1, "T_mult": 3}),
    case("swalr", {"kind": "swalr", "swa_lr": 0.005}),
    case("swalr linear", {"kind": "swalr", "swa_lr": 0.2, "anneal_epochs": 500, "anneal_strategy": "linear"}),
    case("swalr long", {"kind": "swalr", "swa_lr": 0.001, "anneal_epochs": 900}),
    case("swalr at once", {"kind": "swalr", "swa_lr": 0.001, "anneal_epochs": 0}, n=20),
    case("cyclic defaults", {"kind": "cyclic", "base_lr": 0.001, "max_lr": 0.1}),
    case("cyclic adam", {"kind": "cyclic", "base_lr": 0.001, "max_lr": 0.1, "step_size_up": 50}, optimizer="adam"),
    case("cyclic uneven", {"kind": "cyclic", "base_lr": 0.0, "max_lr": 0.1, "step_size_up": 31, "step_size_down": 97,
                           "mode": "triangular2"}),
    case("cyclic exp_range", {"kind": "cyclic", "base_lr": 0.001, "max_lr": 0.1, "step_size_up": 40, "mode": "exp_range",
                              "gamma": 0.998, "base_momentum": 0.7, "max_momentum": 0.95}),
    case("cyclic without momentum", {"kind": "cyclic", "base_lr": 0.001, "max_lr": 0.1, "step_size_up": 20,
                                     "cycle_momentum": False}),
    case("cyclic scale_fn", {"kind": "cyclic", "base_lr": 0.001, "max_lr": 0.1, "step_size_up": 20,
                             "scale_fn": "1 / 5^(x * 0.0001)", "scale_mode": "iterations"}),
    case("onecycle", {"kind": "onecycle", "max_lr": 0.1, "total_steps": 1001}),
    case("onecycle adam, epochs", {"kind": "onecycle", "max_lr": 0.1, "epochs": 10, "steps_per_epoch": 100}, n=1000,
         optimizer="adam"),
    case("onecycle three phases", {"kind": "onecycle", "max_lr": 0.1, "total_steps": 1000, "three_phase": True}, n=1000),
    case("onecycle linear", {"kind": "onecycle", "max_lr": 0.1, "total_steps": 1000, "anneal_strategy": "linear",
                             "pct_start": 0.45, "div_factor": 10.0, "final_div_factor": 100.0}, n=1000),
    case("onecycle three phases linear, without momentum",
         {"kind": "onecycle", "max_lr": 0.1, "total_steps": 777, "three_phase": True, "anneal_strategy": "linear",
          "pct_start": 0.2, "cycle_momentum": False}, n=777),
    case("onecycle pct_start 0", {"kind": "onecycle", "max_lr": 0.1, "total_steps": 100, "pct_start": 0.0}, n=100),
    case("onecycle past its end (hold)", {"kind": "onecycle", "max_lr": 0.1, "total_steps": 100}, n=140, hold=100),
    case("onecycle three phases past its end (hold)",
         {"kind": "onecycle", "max_lr": 0.1, "total_steps": 100, "three_phase": True, "pct_start": 0.4}, n=140, hold=100),
    case("sequential", sequential([10, 70], LINEAR, COSINE, EXPONENTIAL)),
    case("sequential from 0 and repeated", sequential([0, 20, 20], LINEAR, COSINE, EXPONENTIAL, {"kind": "step", "step_size": 9}),
         n=200),
    case("sequential over onecycle", sequential([50], LINEAR, {"kind": "onecycle", "max_lr": 1.0, "total_steps": 300}), n=350),
    case("sequential from onecycle", sequential([200], {"kind": "onecycle", "max_lr": 1.0, "total_steps": 300},
                                                {"kind": "linear", "total_iters": 40}), n=400),
    case("sequential from cyclic", sequential([100], {"kind": "cyclic", "base_lr": 0.001, "max_lr": 0.1, "step_size_up": 16},
                                              {"kind": "polynomial", "total_iters": 100}), n=300),
    case("sequential to restarts", sequential([30], LINEAR, {"kind": "cosine_warm_restarts", "T_0": 20, "T_mult": 2}), n=400),
    case("sequential to swalr", sequential([75], COSINE, {"kind": "swalr", "swa_lr": 0.01, "anneal_epochs": 15}), n=200),
    case("sequential to multiplicative",
         sequential([40], EXPONENTIAL, {"kind": "multiplicative", "expr": "epoch < 100 ? 0.999 : 1.001"}), n=400),
    case("sequential of lambdas", sequential([100, 150], {"kind": "lambda", "expr": "0.95^epoch"},
                                             {"kind": "lambda", "expr": "epoch % 40 / 100"},
                                             {"kind": "multistep", "milestones": [0, 5], "gamma": 0.3}), n=300),
    case("sequential cosine past T_max", sequential([10], LINEAR, {"kind": "cosine", "T_max": 25, "eta_min": 0.001}), n=300),
    case("chained", chained({"kind": "constant", "factor": 0.1, "total_iters": 20}, {"kind": "exponential", "gamma": 0.999})),
    case("chained of five", chained(LINEAR, {"kind": "step", "step_size": 100}, {"kind": "multistep", "milestones": [50, 50]},
                                    {"kind": "polynomial", "total_iters": 2000, "power": 2.0}, EXPONENTIAL)),
    case("chained with cosine", chained(COSINE, {"kind": "exponential", "gamma": 0.999})),
    case("chained with cosine last", chained(LINEAR, {"kind": "multistep", "milestones": [40, 300], "gamma": 0.5}, COSINE)),
    case("chained with swalr", chained(EXPONENTIAL, {"kind": "swalr", "swa_lr": 0.01, "anneal_epochs": 30}), n=300),
    case("chained with lambda", chained(LINEAR, {"kind": "lambda", "expr": "1 / (1 + 0.001 * epoch)"},
                                        {"kind": "step", "step_size": 10, "gamma": 0.5}), n=300),
    case("chained with multiplicative", chained({"kind": "multiplicative", "expr": "epoch < 100 ? 0.999 : 1.001"},
                                                {"kind": "step", "step_size": 50, "gamma": 0.5}), n=400),
    case("chained with sequential", chained(sequential([30], EXPONENTIAL, COSINE), {"kind": "constant", "factor": 0.5,
                                                                                   "total_iters": 60}), n=300),
    case("sequential in sequential, first (nested)",
         sequential([70], sequential([10], LINEAR, COSINE), EXPONENTIAL),
         torch_spec=sequential([10, 70], LINEAR, COSINE, EXPONENTIAL), n=400),
    case("sequential in sequential, later (nested)",
         sequential([10], LINEAR, sequential([60], COSINE, sequential([30], EXPONENTIAL, {"kind": "step", "step_size": 40}))),
         torch_spec=sequential([10, 70, 100], LINEAR, COSINE, EXPONENTIAL, {"kind": "step", "step_size": 40}), n=400),
]


def fractional(T_0, T_mult, batches, epochs, eta_min):
    """scheduler.step(epoch + i / batches), with the cycle counted where PyTorch's logarithm rounds to the one before."""
    values = []
    for i in range(batches * epochs):
        t = i / batches
        T_i = T_0
        while t >= T_i:
            t -= T_i
            T_i *= T_mult
        optimizer = make_optimizer("sgd", 0.05)
        scheduler = torch_lr.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)
        scheduler.step(i / batches)
        value = optimizer.param_groups[0]["lr"]
        right = eta_min + (0.05 - eta_min) * (1 + math.cos(math.pi * t / T_i)) / 2
        if t > 1e-9:
            assert abs(value - right) <= 1e-12 * right + 1e-17, (i, value, right)
        values.append(value if t > 1e-9 else right)
    return {"T_0": T_0, "T_mult": T_mult, "batches": batches, "eta_min": eta_min, "values": values}


FRACTIONAL = [fractional(3, 2, 8, 45, 0.0), fractional(5, 1, 7, 40, 0.001), fractional(1, 3, 10, 40, 1e-4)]


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schedules.json")
    with open(path, "w") as f:
        f.write(json.dumps({"torch": torch.__version__, "head": HEAD, "every": EVERY}, indent=None)[:-1])
        f.write(',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in CASES))
        f.write('\n],\n"fractional": [\n' + ",\n".join(json.dumps(c) for c in FRACTIONAL) + "\n]}\n")
    print(path, os.path.getsize(path), "bytes")


main()
