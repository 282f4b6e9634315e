#!/usr/bin/env python3
"""What resnet.sh measures Lockstep's ResNet-18 with and against.

    resnet.py data FILE IMAGES SIDE               an HDF5 file of bytes, x (N, 3, SIDE, SIDE) and y
    resnet.py torch FILE BATCH STEPS FORMAT       trains torchvision's resnet18 on it with one thread; FORMAT is default or
                                                  channels_last.  Sides up to 64 get the stem for small images
    resnet.py frozen FILE BATCH EPOCHS FORMAT     trains its last layer alone; the rest is frozen and in evaluation mode

`torch` and `frozen` are loops as people write them: SGD with momentum, batches from memory, normalized there.  One step
is made first and not timed.  `torch` prints images/s, `frozen` seconds of training, both the most memory held in MiB.
"""
import resource
import sys
import time

import h5py
import numpy
import torch
import torchvision

CLASSES, LARGEST_SMALL_SIDE = 10, 64


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_data(path, n, side):
    rng = numpy.random.default_rng(1)
    with h5py.File(path, "w") as f:
        f["x"] = rng.integers(0, 256, (n, 3, side, side), dtype=numpy.uint8)
        f["y"] = rng.integers(0, CLASSES, n, dtype=numpy.uint8)


def resnet18(side):
    net = torchvision.models.resnet18(num_classes=CLASSES)
    if side <= LARGEST_SMALL_SIDE:
        net.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        net.maxpool = torch.nn.Identity()
    return net


class Training:
    """A network and its data; a step trains what needs a gradient."""

    def __init__(self, path, layout):
        torch.set_num_threads(1)
        self.memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        with h5py.File(path) as f:
            self.x, self.y = torch.from_numpy(f["x"][:]), torch.from_numpy(f["y"][:].astype(numpy.int64))
        self.net = resnet18(self.x.shape[-1]).to(memory_format=self.memory_format).train()

    def optimize(self):
        trained = [p for p in self.net.parameters() if p.requires_grad]
        self.sgd = torch.optim.SGD(trained, 0.01, momentum=0.9, weight_decay=5e-4)

    def step(self, index):
        images = ((self.x[index].float() / 255 - 0.5) / 0.25).to(memory_format=self.memory_format)
        loss = torch.nn.functional.cross_entropy(self.net(images), self.y[index])
        self.sgd.zero_grad()
        loss.backward()
        self.sgd.step()


def train(path, batch, steps, layout):
    training = Training(path, layout)
    training.optimize()
    for step in range(steps + 1):
        if step == 1:
            begin = time.perf_counter()
        training.step(torch.randint(len(training.x), (batch,)))
    print(f"{steps * batch / (time.perf_counter() - begin):.2f} {peak_mib():.0f}")


def train_head(path, batch, epochs, layout):
    training = Training(path, layout)
    training.net.requires_grad_(False).eval()
    training.net.fc.requires_grad_(True)
    training.optimize()
    training.step(torch.arange(batch))
    begin = time.perf_counter()
    for _ in range(epochs):
        for index in torch.randperm(len(training.x)).split(batch):
            training.step(index)
    print(f"{time.perf_counter() - begin:.2f} {peak_mib():.0f}")


def main():
    what, *args = sys.argv[1:]
    if what == "data":
        make_data(args[0], int(args[1]), int(args[2]))
    elif what == "torch":
        train(args[0], int(args[1]), int(args[2]), args[3])
    elif what == "frozen":
        train_head(args[0], int(args[1]), int(args[2]), args[3])


main()
