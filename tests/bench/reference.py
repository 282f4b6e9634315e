#!/usr/bin/env python3
"""The same recipe in PyTorch: what Lockstep's results and speed are held against.

    reference.py RECIPE [key=value ...] [--seeds N] [--device cpu|cuda] [--compile]

Reads a Lockstep recipe (the subset: csv, idx and regression data; mlp and cnn; adam, adamw, sgd;
reduce_on_plateau; EMA; early stop), trains it with torch on engine.threads threads once per seed and prints one
line a seed, then mean and deviation.  It is written as people write such a loop by hand: DataLoader-free
batches from tensors in memory (on a device, the device's), ema-pytorch, ReduceLROnPlateau.  With --compile the
model goes through torch.compile, and the first epoch, in which that happens, is not timed.  Needs torch, numpy,
pyyaml, and ema-pytorch for a recipe that has an EMA.
"""
import argparse
import csv
import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn


def item_named(items, name):
    return next(item for item in items if item["name"] == name)


def load_recipe(path, overrides):
    recipe = yaml.safe_load(Path(path).read_text())
    for item in overrides:
        key, value = item.split("=", 1)
        node = recipe
        *parents, last = key.split(".")
        for part in parents:
            node = item_named(node, part) if isinstance(node, list) else node.setdefault(part, {})
        node[last] = yaml.safe_load(value)
    return recipe


# YAML 1.1 as PyYAML reads it takes 1e-3 for text.
def number(value):
    return float(value)


def read_idx(path):
    raw = Path(path).read_bytes()
    dims = raw[3]
    shape = struct.unpack(f">{dims}I", raw[4:4 + 4 * dims])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def read_csv(path, spec, stats):
    rows = list(csv.DictReader(open(path, newline="")))
    target = spec["target"]
    names = [n for n in rows[0] if n != target and n not in spec.get("ignore", [])]
    categorical = spec.get("categorical", [])
    columns, is_category = [], []
    for name in names:
        if name in categorical:
            values = stats.setdefault(name, sorted({r[name] for r in rows}))
            for v in values:
                columns.append([float(r[name] == v) for r in rows])
                is_category.append(True)
        else:
            columns.append([float(r[name]) if r[name] else np.nan for r in rows])
            is_category.append(False)
    x = np.array(columns, np.float64).T
    y = np.array([float(r[target]) for r in rows])[:, None]
    return x, y, np.array(is_category)


def csv_data(spec, seed):
    stats = {}
    x, y, is_category = read_csv(spec["train"], spec, stats)
    if spec.get("validation"):
        vx, vy, _ = read_csv(spec["validation"], spec, stats)
    else:
        order = np.random.default_rng(seed).permutation(len(x))
        n_val = int(round(len(x) * spec["validation_fraction"]))
        vx, vy, x, y = x[order[:n_val]], y[order[:n_val]], x[order[n_val:]], y[order[n_val:]]
    fill = np.nanmedian(x, axis=0)
    x, vx = np.where(np.isnan(x), fill, x), np.where(np.isnan(vx), fill, vx)
    if spec.get("standardize"):
        mean, std = x.mean(0), x.std(0)
        mean[is_category], std[is_category] = 0.0, 1.0
        x, vx = (x - mean) / std, (vx - mean) / std
        mean, std = y.mean(0), y.std(0)
        y, vy = (y - mean) / std, (vy - mean) / std
    return [torch.tensor(a, dtype=torch.float32) for a in (x, y, vx, vy)]


def regression_data(spec, seed):
    rng = np.random.default_rng(seed)
    n, m, f = spec["samples"], spec["validation_samples"], spec["n_features"]
    x = rng.standard_normal((n + m, f))
    w = np.zeros(f)
    w[:min(10, f)] = 100 * rng.random(min(10, f))
    y = (x @ w + spec.get("noise", 0.0) * rng.standard_normal(n + m))[:, None]
    x, y = (x - x[:n].mean(0)) / x[:n].std(0), (y - y[:n].mean(0)) / y[:n].std(0)
    return [torch.tensor(a, dtype=torch.float32) for a in (x[:n], y[:n], x[n:], y[n:])]


def idx_data(spec):
    mean, std = spec.get("pixel_mean", 0.0), spec.get("pixel_std", 1.0)

    def images(path):
        a = torch.tensor(read_idx(path), dtype=torch.float32)[:, None]
        return ((a / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    def labels(path):
        return torch.tensor(read_idx(path).astype(np.int64))

    return (images(spec["train"]), labels(spec["train_labels"]), images(spec["validation"]),
            labels(spec["validation_labels"]))


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "none": nn.Identity}


def make_model(spec, outputs, image):
    act, p = ACTIVATIONS[spec.get("activation", "relu")], spec.get("dropout", 0.0)
    before = spec.get("norm_place", "before") == "before"

    def block(width, norm):
        n = [norm(width)] if spec.get("norm", "none") == "batch" else []
        return n + [act()] if before else [act()] + n

    layers = []
    if spec["kind"] == "mlp":
        widths = spec["layers"]
        for a, b in zip(widths[:-2], widths[1:-1]):
            layers += [nn.Linear(a, b), *block(b, nn.BatchNorm1d), nn.Dropout(p)]
        layers.append(nn.Linear(widths[-2], widths[-1]))
        model = nn.Sequential(*layers)
    else:
        c, h, w = image
        k = spec.get("kernel", 3)
        pool = nn.MaxPool2d if spec.get("pool", "max") == "max" else nn.AvgPool2d
        for o in spec["channels"]:
            layers += [nn.Conv2d(c, o, k, padding=k // 2, bias=spec.get("norm", "none") == "none"),
                       *block(o, nn.BatchNorm2d), pool(2)]
            c, h, w = o, h // 2, w // 2
        width, head = c * h * w, []
        for o in spec.get("hidden", []):
            head += [nn.Linear(width, o), act(), nn.Dropout(p)]
            width = o
        model = nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(width, outputs))
        model = model.to(memory_format=torch.channels_last)
    if spec.get("init", "default") == "xavier_normal":
        for m in model.modules():
            if isinstance(m, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_normal_(m.weight)
    return model


def make_optimizer(spec, model):
    lr, decay = number(spec.get("lr", 1e-3)), number(spec.get("weight_decay", 0.0))
    if spec["kind"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr, momentum=number(spec.get("momentum", 0.0)), weight_decay=decay)
    kind = torch.optim.Adam if spec["kind"] == "adam" else torch.optim.AdamW
    return kind(model.parameters(), lr, weight_decay=decay)


@torch.no_grad()
def evaluate(model, x, y, labels, prefix, autocast):
    model.eval()
    out = []
    for i in range(0, len(x), 1000):
        with autocast():
            out.append(model(x[i:i + 1000]).float())
    out = torch.cat(out)
    if labels:
        return {prefix + "loss": nn.functional.cross_entropy(out, y).item(),
                prefix + "accuracy": (out.argmax(1) == y).float().mean().item()}
    mse = ((out - y) ** 2).mean().item()
    return {prefix + "loss": mse, prefix + "mse": mse, prefix + "mae": (out - y).abs().mean().item(),
            prefix + "r2": 1 - mse / y.var(unbiased=False).item()}


def make_ema(spec, model):
    from ema_pytorch import EMA  # not everybody's: only a recipe with an EMA needs it

    return EMA(model, beta=spec.get("beta", 0.9999), update_after_step=spec.get("update_after_step", 100),
               update_every=spec.get("update_every", 10), power=spec.get("power", 2 / 3))


def need_device(name):
    try:
        torch.zeros(1, device=name)
    except Exception as error:  # a missing driver, a build without CUDA and a wrong name are all of other types
        why = str(error).splitlines()[0]
        sys.exit(f"reference.py: this PyTorch ({torch.__version__}) has no device {name} here: {why}")


def train(recipe, seed, device, compiled):
    torch.manual_seed(seed)
    data = recipe["data"]
    arrays = {"csv": lambda: csv_data(data, seed), "regression": lambda: regression_data(data, seed),
              "idx": lambda: idx_data(data)}[data["kind"]]()
    x, y, vx, vy = (a.to(device) for a in arrays)
    labels = recipe["loss"]["kind"] == "cross_entropy"
    model = make_model(recipe["model"], int(y.max()) + 1 if labels else y.shape[1], x.shape[1:]).to(device)
    run = torch.compile(model) if compiled else model
    optimizer = make_optimizer(recipe["optimizer"], model)
    loss_fn = nn.CrossEntropyLoss() if labels else nn.MSELoss()
    e = recipe.get("ema")
    ema = make_ema(e, model) if e else None
    s = recipe.get("scheduler", {})
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=s.get("factor", 0.1),
                                                         patience=s.get("patience", 10)) \
        if s.get("kind") == "reduce_on_plateau" else None
    t, batch = recipe["train"], recipe["train"]["batch"]
    stop, best, bad = t.get("early_stop"), float("inf"), 0
    precision = recipe.get("engine", {}).get("precision")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")

    def autocast():
        return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")

    def now():
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    samples, seconds = 0, 0.0
    for epoch in range(t["epochs"]):
        model.train()
        begin = now()
        order = torch.randperm(len(x), device=device)
        for i in range(0, len(x), batch):
            index = order[i:i + batch]
            optimizer.zero_grad()
            with autocast():
                out = run(x[index])
            loss = loss_fn(out.float(), y[index])
            loss.backward()
            optimizer.step()
            if ema:
                ema.update()
        if epoch > 0 or not compiled:
            seconds += now() - begin
            samples += len(x)
        metrics = evaluate(model, vx, vy, labels, "validation.", autocast)
        if ema:
            metrics |= evaluate(ema.ema_model, vx, vy, labels, "ema.validation.", autocast)
        if plateau:
            plateau.step(metrics[s["metric"]])
        if stop:
            value = metrics[stop["metric"]]
            best, bad = (value, 0) if value < best else (best, bad + 1)
            if bad >= stop["patience"]:
                break
    rate = samples / seconds if samples else float("nan")
    return {"seed": seed, "epochs": epoch + 1, "samples_per_second": rate} | metrics


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_intermixed_args()
    recipe = load_recipe(args.recipe, args.overrides)
    torch.set_num_threads(recipe.get("engine", {}).get("threads", 1))
    need_device(args.device)
    results = []
    for seed in range(args.seeds):
        results.append(train(recipe, seed, args.device, args.compile))
        print(json.dumps(results[-1]), flush=True)
    for key in results[0]:
        values = np.array([r[key] for r in results], np.float64)
        if key != "seed":
            print(f"{key:24} {values.mean():.6g} +- {values.std(ddof=1) if len(values) > 1 else 0:.2g}")
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}{', compiled' if args.compile else ''}, {where}")


if __name__ == "__main__":
    main()
