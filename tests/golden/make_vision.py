#!/usr/bin/env python3
"""Golden values of torchvision's networks: outputs, running statistics, and what three steps of SGD change in each
tensor.  Writes vision.json beside this file.

Weights, images and vectors of signs are computed by formula.py on both sides.  A tensor's change is stored as its length
and its products with PROJECTIONS vectors of signs: a change that is off by a share of its length is off by about as much
in each.  PyTorch computes in double, from weights that are fp32.

Run: python3 tests/golden/make_vision.py
"""
import json
import math
import pathlib

import numpy
import torch
import torchvision
from torch import nn
from torchvision.models import vgg as tv_vgg

import formula

SAMPLES, CLASSES, STEPS, RATE, PROJECTIONS = 4, 5, 3, 0.005, 6


def first_values(name, shape):
    values = formula.tensor(name, shape)
    # Branches of a bottleneck add little: else fifty layers in fp32 lose five digits.
    return torch.from_numpy(values * 0.125 if name.endswith("bn3.weight") else values)


def narrow(by):
    """torchvision's ResNet with a share of its channels, which it has no argument for."""

    class Narrow(torchvision.models.ResNet):
        def __setattr__(self, name, value):
            first = name == "inplanes" and "inplanes" not in self.__dict__
            super().__setattr__(name, value // by if first else value)

        def _make_layer(self, block, planes, *args, **kwargs):
            return super()._make_layer(block, planes // by, *args, **kwargs)

    return Narrow


def resnet(block, blocks, by):
    net = narrow(by)(block, blocks)
    net.fc = nn.Linear(512 // by * block.expansion, CLASSES)
    return net


def small(net):
    """The stem that people give a ResNet for CIFAR-10."""
    net.conv1 = nn.Conv2d(3, net.conv1.out_channels, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    return net


def vgg(letter, norm, eighth):
    """torchvision's, with an eighth of the channels and hidden units."""
    plan = [c if c == "M" else c // eighth for c in tv_vgg.cfgs[letter]]
    net = tv_vgg.VGG(tv_vgg.make_layers(plan, batch_norm=norm), CLASSES, init_weights=False, dropout=0.0)
    hidden = 4096 // eighth
    net.classifier[0] = nn.Linear(512 // eighth * 49, hidden)
    net.classifier[3] = nn.Linear(hidden, hidden)
    net.classifier[6] = nn.Linear(hidden, CLASSES)
    return net


def number(v):
    return float(f"{v:.7g}")


def sketch(name, change):
    change = change.flatten().numpy()
    signs = [formula.signs(f"{name}/{k}", change.size) for k in range(PROJECTIONS)]
    return [number(numpy.linalg.norm(change))] + [number(change @ s) for s in signs]


def case(name, net, spec, image):
    net = net.double()
    with torch.no_grad():
        for k, t in net.state_dict().items():
            if "num_batches" not in k:
                t.copy_(first_values(k, t.shape))
    # Ours are channels last in memory, and counted so.
    x = torch.from_numpy(2.0 * formula.units("x", SAMPLES * math.prod(image)))
    x = x.reshape(SAMPLES, *image[1:], image[0]).permute(0, 3, 1, 2).contiguous()
    label = torch.arange(SAMPLES) % CLASSES
    first = {k: t.clone() for k, t in net.state_dict().items()}
    net.eval()
    with torch.no_grad():
        output = net(x)
    net.train()
    sgd = torch.optim.SGD(net.parameters(), RATE)
    losses = []
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(net(x), label)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(number(loss.item()))
    changes = {k: sketch(k, t - first[k]) for k, t in net.state_dict().items() if "num_batches" not in k}
    return {"name": name, "spec": spec, "image": list(image), "output": [number(v) for v in output.flatten()],
            "losses": losses, "changes": changes}


def main():
    torch.set_num_threads(1)
    basic, bottleneck = torchvision.models.resnet.BasicBlock, torchvision.models.resnet.Bottleneck
    cases = [
        case("resnet18, half", resnet(basic, [2, 2, 2, 2], 2), {"kind": "resnet18", "width": 0.5}, (3, 33, 47)),
        case("resnet18, stem cifar, a quarter", small(resnet(basic, [2, 2, 2, 2], 4)),
             {"kind": "resnet18", "stem": "cifar", "width": 0.25}, (3, 9, 12)),
        case("resnet50, a quarter", resnet(bottleneck, [3, 4, 6, 3], 4), {"kind": "resnet50", "width": 0.25}, (3, 47, 33)),
        case("vgg11, an eighth", vgg("A", False, 8), {"kind": "vgg11", "width": 0.125}, (3, 66, 40)),
        case("vgg11_bn, an eighth", vgg("A", True, 8), {"kind": "vgg11_bn", "width": 0.125}, (3, 40, 66)),
    ]
    out = pathlib.Path(__file__).with_name("vision.json")
    head = {"torch": torch.__version__, "torchvision": torchvision.__version__, "samples": SAMPLES,
            "classes": CLASSES, "rate": RATE, "projections": PROJECTIONS}
    lines = ",\n".join(json.dumps(c) for c in cases)
    out.write_text(json.dumps(head)[:-1] + f', "cases": [\n{lines}\n]}}\n')
    print(f"{out}: {out.stat().st_size} bytes")


main()
