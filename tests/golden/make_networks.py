#!/usr/bin/env python3
"""Golden values of whole networks: PyTorch's outputs, loss, gradients and running statistics, by state_dict name; also
with layers frozen (requires_grad_(False)), their batch norms in training or in evaluation mode.

Writes networks.json beside this file.  Run: python3 tests/golden/make_networks.py
"""
import fnmatch
import json
import pathlib

import torch
from torch import nn

SAMPLES = 6


def mlp(norm, place, activation):
    """torchvision.ops.MLP's Sequential, with the norm before or after the activation."""
    layers = []
    for n_in, n_out in ((5, 7), (7, 4)):
        layers.append(nn.Linear(n_in, n_out))
        if norm and place == "before":
            layers.append(norm(n_out))
        layers.append(activation())
        if norm and place == "after":
            layers.append(norm(n_out))
        layers.append(nn.Dropout(0.0))
    return nn.Sequential(*layers, nn.Linear(4, 3))


class Cnn(nn.Module):
    def __init__(self, norm, pool):
        super().__init__()
        layers = []
        for n_in, n_out in ((2, 3), (3, 4)):
            layers.append(nn.Conv2d(n_in, n_out, 3, padding=1, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(n_out))
            layers += [nn.ReLU(), pool(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(4 * 1 * 2, 5), nn.ReLU(), nn.Dropout(0.0), nn.Linear(5, 3))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


def values(tensor):
    """Enough digits to name each fp32."""
    return [float(f"{v:.9g}") for v in tensor.detach().float().flatten().tolist()]


def freeze(net, patterns, norm_eval):
    """Freezes parameters by name; a batch norm frozen whole goes to evaluation mode if norm_eval."""
    for k, p in net.named_parameters():
        p.requires_grad_(not any(fnmatch.fnmatchcase(k, pattern) for pattern in patterns))
    for module in net.modules():
        if norm_eval and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(module.weight.requires_grad or module.bias.requires_grad)


def case(name, net, spec, x, target, loss, frozen=(), norm_eval=False):
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(p + 0.3 * torch.randn_like(p))  # no weight of a norm stays 1
        for k, b in net.named_buffers():
            if frozen and "running" in k:  # statistics of an earlier training
                b.copy_(b + 0.5 * torch.rand_like(b))
    first = {k: values(v) for k, v in net.state_dict().items() if "num_batches" not in k}
    net.train()
    freeze(net, frozen, norm_eval)
    train_loss = loss(net(x), target)
    train_loss.backward()
    after = {k: values(v) for k, v in net.named_buffers() if "num_batches" not in k}
    net.eval()
    return {
        "name": name, "spec": spec,  # what differs from the first words of each list in engine.h
        "samples": SAMPLES,
        "x": values(x.permute(0, 2, 3, 1) if x.dim() == 4 else x),  # images are (N, H, W, C) in memory
        "target": values(target), "tensors": first, "loss": values(train_loss)[0],
        "frozen": list(frozen), "norm_eval": norm_eval,
        "gradients": {k: values(p.grad) for k, p in net.named_parameters() if p.requires_grad},
        "running": after, "output": values(net(x)),
    }


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    x, y = torch.randn(SAMPLES, 5), torch.randn(SAMPLES, 3)
    image, label = torch.randn(SAMPLES, 2, 4, 8), torch.tensor([0, 2, 1, 1, -100, 0])
    cross_entropy = nn.CrossEntropyLoss(label_smoothing=0.1)
    cases = [
        case("mlp", mlp(None, None, nn.ReLU), {"norm": "none"}, x, y, nn.MSELoss()),
        case("mlp, batch norm before", mlp(nn.BatchNorm1d, "before", nn.ReLU),
             {"norm": "batch"}, x, y, nn.MSELoss()),
        case("mlp, batch norm after", mlp(nn.BatchNorm1d, "after", nn.Tanh),
             {"norm": "batch", "norm_place": "after", "activation": "tanh"}, x, y, nn.MSELoss()),
        case("mlp, layer norm before", mlp(nn.LayerNorm, "before", nn.GELU),
             {"norm": "layer", "activation": "gelu"}, x, y, nn.MSELoss()),
        case("cnn", Cnn(False, nn.MaxPool2d), {"kind": "cnn", "norm": "none", "pool": "max"}, image, label,
             cross_entropy),
        case("cnn, batch norm", Cnn(True, nn.AvgPool2d), {"kind": "cnn", "norm": "batch", "pool": "avg"}, image,
             label, cross_entropy),
    ]
    for norm_eval in (True, False):
        mode = "eval" if norm_eval else "train"
        for what, frozen in (("prefix", ["[01].*"]), ("middle", ["4.weight", "5.*"]), ("suffix", ["[58].*"]),
                             ("weights", ["*.weight"])):
            cases.append(case(f"mlp, frozen {what}, norm {mode}", mlp(nn.BatchNorm1d, "before", nn.ReLU),
                              {"norm": "batch"}, x, y, nn.MSELoss(), frozen, norm_eval))
        for what, frozen in (("prefix", ["features.[01].*"]), ("all but one layer", ["features.[145].*", "class*"]),
                             ("head", ["classifier.*"])):
            cases.append(case(f"cnn, frozen {what}, norm {mode}", Cnn(True, nn.MaxPool2d),
                              {"kind": "cnn", "norm": "batch", "pool": "max"}, image, label, cross_entropy, frozen,
                              norm_eval))
    cases.append(case("cnn, only biases train", Cnn(False, nn.MaxPool2d), {"kind": "cnn", "norm": "none"}, image, label,
                      cross_entropy, ["*.weight"]))
    out = pathlib.Path(__file__).with_name("networks.json")
    out.write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")


main()
