#!/usr/bin/env python3
"""A recipe of pictures in PyTorch and torchvision: what Lockstep's experiments are held against.

    vision_reference.py RECIPE [key=value ...] [--seeds N]

Reads a Lockstep recipe (the subset: cifar10 and images; resnet18, resnet34 and swin_t; cross_entropy; sgd, adam,
adamw, clip_norm; cosine with a warmup by epochs; EMA; stages that freeze; init_from a safetensors file), trains it once
per seed on engine.threads threads and prints what courses.py prints of Lockstep's runs: one line a seed, then mean and
deviation of validation accuracy's start (after the first epoch), mean over all epochs and end.  It is written as people
write such a loop by hand.  Batch norm sees the whole batch, so for a comparison the recipe has train.lanes=1.
Needs torch, torchvision, numpy, pyyaml and safetensors, and ema-pytorch for a recipe that has an EMA.
"""
import argparse
import fnmatch
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim import lr_scheduler
from torchvision import datasets, models
from torchvision.transforms import v2

from courses import print_spread, summary
from reference import load_recipe, make_ema, number

SHAPE = (3, 32, 32)  # of CIFAR-10's pictures


def files(recipe_path, spec, part):
    """The names in data.PART; those of the recipe itself are counted from its folder, as Lockstep does."""
    names = spec[part] if isinstance(spec[part], list) else [spec[part]]
    return [n if Path(n).exists() else recipe_path.parent / n for n in names]


def cifar10(paths):
    raw = torch.cat([torch.from_numpy(np.fromfile(p, np.uint8)) for p in paths]).reshape(-1, 1 + np.prod(SHAPE))
    return raw[:, 1:].reshape(-1, *SHAPE), raw[:, 0].long(), 10


def image_folder(paths):
    (path,) = paths
    folder = datasets.ImageFolder(path, transform=v2.PILToTensor())
    return [folder[i][0] for i in range(len(folder))], torch.tensor(folder.targets), len(folder.classes)


READERS = {"cifar10": cifar10, "images": image_folder}

TRANSFORMS = {"resize": lambda size: v2.Resize(size, antialias=True), "center_crop": v2.CenterCrop,
              "random_crop": v2.RandomCrop, "hflip": lambda p=0.5: v2.RandomHorizontalFlip(p),
              "normalize": v2.Normalize}


def without_chance(specs):
    """For evaluation, as Lockstep makes them of those for training."""
    still = [s if s["kind"] != "random_crop" else {"kind": "center_crop", "size": s["size"]} for s in specs]
    return [s for s in still if s["kind"] != "hflip"]


def transforms(specs):
    steps = []
    for spec in specs:
        spec = dict(spec)
        kind = spec.pop("kind")
        if kind == "normalize":
            steps.append(v2.ToDtype(torch.float32, scale=True))
        steps.append(TRANSFORMS[kind](**spec))
    return v2.Compose(steps)


def narrow_resnet(blocks, width, classes, **options):
    """torchvision's ResNet with a share of its channels, which it has no argument for."""

    class Narrow(models.ResNet):
        def __setattr__(self, name, value):
            first = name == "inplanes" and "inplanes" not in self.__dict__
            super().__setattr__(name, round(value * width) if first else value)

        def _make_layer(self, block, planes, *args, **kwargs):
            return super()._make_layer(block, round(planes * width), *args, **kwargs)

    net = Narrow(models.resnet.BasicBlock, blocks, **options)
    net.fc = nn.Linear(round(512 * width), classes)
    return net


def resnet(spec, classes):
    blocks = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}[spec["kind"]]
    net = narrow_resnet(blocks, spec.get("width", 1), classes,
                        zero_init_residual=spec.get("zero_init_residual", False))
    if spec.get("stem") == "cifar":
        net.conv1 = nn.Conv2d(3, net.conv1.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.maxpool = nn.Identity()
    return net.to(memory_format=torch.channels_last)


def swin_t(spec, classes):
    heads = [3, 6, 12, 24]
    channels = heads[0] * round(96 / heads[0] * spec.get("width", 1))
    return models.SwinTransformer([spec.get("patch", 4)] * 2, channels, [2, 2, 6, 2], heads,
                                  [spec.get("window", 7)] * 2, num_classes=classes,
                                  stochastic_depth_prob=spec.get("stochastic_depth", 0.2))


def make_model(spec, classes, init):
    net = swin_t(spec, classes) if spec["kind"] == "swin_t" else resnet(spec, classes)
    if init:
        state = net.state_dict()
        loaded = {k: v for k, v in load_file(init["checkpoint"]).items() if state[k].shape == v.shape}
        net.load_state_dict(loaded, strict=False)
    return net


def freeze(net, stage):
    """requires_grad of what a stage names; what the stage before froze stays so."""
    for wanted, patterns in ((False, stage.get("freeze", [])), (True, stage.get("unfreeze", []))):
        for name, p in net.named_parameters():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                p.requires_grad = wanted


def training_mode(net):
    """Modules in which nothing trains are in evaluation mode: batch norm and dropout."""
    net.train()
    for module in net.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()


def make_optimizer(spec, net, before):
    trained = [p for p in net.parameters() if p.requires_grad]
    lr = number(spec.get("lr", 1e-3))
    if spec["kind"] == "sgd":
        new = torch.optim.SGD(trained, lr, momentum=number(spec.get("momentum", 0)),
                              nesterov=spec.get("nesterov", False), weight_decay=number(spec.get("weight_decay", 0)))
    elif spec["kind"] == "adam":
        new = torch.optim.Adam(trained, lr, weight_decay=number(spec.get("weight_decay", 0)))
    else:
        new = torch.optim.AdamW(trained, lr, weight_decay=number(spec.get("weight_decay", 1e-2)))
    if before:  # what trained in the stage before keeps its state
        new.state.update({p: before.state[p] for p in trained if p in before.state})
    return new


def make_scheduler(spec, optimizer):
    if not spec or spec["kind"] == "none":
        return lr_scheduler.ConstantLR(optimizer, factor=1)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, spec["T_max"])
    if "warmup" not in spec:
        return cosine
    n = spec["warmup"]["total_iters"]
    rise = lr_scheduler.LinearLR(optimizer, number(spec["warmup"].get("start_factor", 0.01)), total_iters=n)
    return lr_scheduler.SequentialLR(optimizer, [rise, cosine], milestones=[n])


@torch.no_grad()
def accuracy(net, x, y, transform, batch=100):
    net.eval()
    hits = 0
    for i in range(0, len(y), batch):
        images = torch.stack([transform(image) for image in x[i:i + batch]])
        hits += (net(images).argmax(1) == y[i:i + batch]).sum().item()
    return hits / len(y)


def train_epoch(net, x, y, transform, batch, loss_fn, optimizer, clip_norm, ema):
    training_mode(net)
    order = torch.randperm(len(y))
    for i in range(0, len(y), batch):
        index = order[i:i + batch]
        optimizer.zero_grad()
        loss_fn(net(torch.stack([transform(x[k]) for k in index])), y[index]).backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(net.parameters(), clip_norm)
        optimizer.step()
        if ema:
            ema.update()


def train(path, recipe, seed):
    torch.manual_seed(seed)
    data = recipe["data"]
    x, y, classes = READERS[data["kind"]](files(path, data, "train"))
    vx, vy, _ = READERS[data["kind"]](files(path, data, "validation"))
    still = data.get("validation_transforms") or without_chance(data["transforms"])
    moving, still = transforms(data["transforms"]), transforms(still)
    net = make_model(recipe["model"], classes, recipe.get("init_from"))
    loss_fn = nn.CrossEntropyLoss(label_smoothing=recipe["loss"].get("label_smoothing", 0.0))
    ema = make_ema(recipe["ema"], net) if recipe.get("ema") else None
    optimizer, course, ema_course, ends = None, [], [], {}
    begin = time.perf_counter()
    for stage in recipe.get("stages") or [{}]:
        freeze(net, stage)
        t = recipe["train"] | stage
        spec = recipe["optimizer"] | stage.get("optimizer", {})
        optimizer = make_optimizer(spec, net, optimizer)
        scheduler = make_scheduler(stage.get("scheduler", recipe.get("scheduler")), optimizer)
        for _ in range(t["epochs"]):
            train_epoch(net, x, y, moving, t["batch"], loss_fn, optimizer, number(spec.get("clip_norm", 0)), ema)
            scheduler.step()
            course.append(accuracy(net, vx, vy, still))
            if ema:
                ema_course.append(accuracy(ema.ema_model, vx, vy, still))
        if "name" in stage:
            ends[stage["name"]] = len(course)
    seconds = time.perf_counter() - begin  # evaluations included, as Lockstep counts
    return {"seed": seed} | summary(course, ema_course, ends) | {"seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_intermixed_args()
    recipe = load_recipe(args.recipe, args.overrides)
    torch.set_num_threads(recipe.get("engine", {}).get("threads", 1))
    results = []
    for seed in range(args.seeds):
        results.append(train(args.recipe, recipe, seed))
        print(json.dumps(results[-1]), flush=True)
    print_spread(results)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
