#!/usr/bin/env python3
"""Golden values of torchvision's SwinTransformer: its outputs, and how each tensor changes in three steps of SGD, seen in
a few random directions.  Weights, images and directions are computed by formula.py on both sides.

Writes swin.json beside this file.  Run: python3 tests/golden/make_swin.py (wants torchvision)
"""
import json
import pathlib

import numpy
import torch
from torchvision.models.swin_transformer import SwinTransformer

import formula

SAMPLES, CLASSES, STEPS, LR, DIRECTIONS = 3, 5, 3, 0.01, 4


def values(array):
    return [float(f"{v:.9g}") for v in numpy.asarray(array, dtype=numpy.float64).flatten()]


def case(name, height, width, channels, patch, window):
    net = SwinTransformer(patch_size=[patch] * 2, embed_dim=channels, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24],
                          window_size=[window] * 2, stochastic_depth_prob=0.0, num_classes=CLASSES)
    with torch.no_grad():
        for k, p in net.named_parameters():
            p.copy_(torch.from_numpy(formula.tensor(k, p.shape)))
    first = {k: p.detach().clone() for k, p in net.named_parameters()}
    # Ours are channels last in memory, and counted so.
    x = torch.from_numpy(4.0 * formula.units("x", SAMPLES * height * width * 3)).float()
    x = x.reshape(SAMPLES, height, width, 3).permute(0, 3, 1, 2).contiguous()
    label = torch.arange(SAMPLES) * 2 % CLASSES
    net.eval()
    with torch.no_grad():
        output = net(x)
    net.train()
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=LR), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    changes = {}
    for k, p in net.named_parameters():
        change = (p.detach() - first[k]).double().numpy().flatten()
        seen = [float(change @ formula.signs(f"{k}/{d}", change.size)) for d in range(DIRECTIONS)]
        changes[k] = values([numpy.linalg.norm(change)] + seen)
    return {"name": name, "height": height, "width": width, "channels": channels, "patch": patch, "window": window,
            "samples": SAMPLES, "classes": CLASSES, "lr": LR, "output": values(output), "losses": values(losses),
            "changes": changes}


def main():
    torch.set_num_threads(1)
    cases = [case("side 32, windows reach beyond 8 x 8 tokens", 32, 32, 12, 4, 7),
             case("odd sides, 13 x 11 tokens", 27, 22, 12, 2, 3)]
    out = pathlib.Path(__file__).with_name("swin.json")
    out.write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")


main()
