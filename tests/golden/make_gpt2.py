#!/usr/bin/env python3
"""Golden values of GPT-2, written out with PyTorch's operations by OpenAI's src/model.py and with the names of the published
file: logits, and how each tensor changes in four steps of AdamW, seen in a few random directions.  Weights, tokens and
directions are computed by formula.py on both sides.

Writes gpt2.json beside this file.  Run: python3 tests/golden/make_gpt2.py
"""
import json
import math
import pathlib

import numpy
import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu

import formula

SAMPLES, LENGTH, STEPS, DIRECTIONS, IGNORED = 4, 7, 4, 4, -100
LR, WEIGHT_DECAY, EPS = 0.01, 0.1, 1e-4
TARGET_LEN = [7, 5, 7, 6]


def values(array):
    return [float(f"{v:.9g}") for v in numpy.asarray(array, dtype=numpy.float64).flatten()]


class Conv1D(nn.Module):
    """GPT-2's product, whose weight is (inputs, outputs)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(n_in, n_out)), nn.Parameter(torch.empty(n_out))

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.c_attn, self.c_proj = heads, Conv1D(width, 3 * width), Conv1D(width, width)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (h.reshape(n, t, self.heads, -1).transpose(1, 2) for h in self.c_attn(x).chunk(3, -1))
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        score = score.masked_fill(~torch.tril(torch.ones(t, t, dtype=torch.bool)), -1e10)
        return self.c_proj((torch.softmax(score, -1) @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(width, 4 * width), Conv1D(4 * width, width)

    def forward(self, x):
        return self.c_proj(gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt2(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(s["vocabulary"], s["width"]), nn.Embedding(s["context"], s["width"])
        self.h = nn.ModuleList(Block(s["width"], s["heads"]) for _ in range(s["layers"]))
        self.ln_f = nn.LayerNorm(s["width"])
        if not s["tie"]:
            self.lm_head = nn.Linear(s["width"], s["vocabulary"], bias=False)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[:tokens.shape[1]]
        for block in self.h:
            x = block(x)
        head = self.lm_head.weight if hasattr(self, "lm_head") else self.wte.weight
        return self.ln_f(x) @ head.T


def tokens(name, vocabulary):
    made = formula.words(name, SAMPLES * LENGTH) % numpy.uint32(vocabulary)
    return torch.from_numpy(made.astype(numpy.int64)).reshape(SAMPLES, LENGTH)


def train(net, given, target):
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, eps=EPS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = cross_entropy(net(given).flatten(0, 1), target.flatten(), ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def case(name, **spec):
    s = {"layers": 2, "heads": 3, "width": 12, "vocabulary": 11, "context": 9, "tie": True} | spec
    net = Gpt2(s)
    with torch.no_grad():
        for k, p in net.named_parameters():
            p.copy_(torch.from_numpy(formula.tensor(k, p.shape)))
    first = {k: p.detach().clone() for k, p in net.named_parameters()}
    given, target = tokens("tokens", s["vocabulary"]), tokens("target", s["vocabulary"])
    target[torch.arange(LENGTH) >= torch.tensor(TARGET_LEN).reshape(-1, 1)] = IGNORED
    with torch.no_grad():
        output = net(given)
    losses, changes = train(net, given, target), {}
    for k, p in net.named_parameters():
        change = (p.detach() - first[k]).double().numpy().flatten()
        seen = [float(change @ formula.signs(f"{k}/{d}", change.size)) for d in range(DIRECTIONS)]
        changes[k] = values([numpy.linalg.norm(change)] + seen)
    return {"name": name, "spec": s, "output": values(output), "losses": values(losses), "changes": changes}


def main():
    torch.set_num_threads(1)
    cases = [case("tied"), case("not tied", tie=False),
             case("one block, as long as its context", layers=1, heads=2, width=10, context=LENGTH)]
    out = pathlib.Path(__file__).with_name("gpt2.json")
    out.write_text(json.dumps({"torch": torch.__version__, "samples": SAMPLES, "length": LENGTH, "lr": LR,
                               "weight_decay": WEIGHT_DECAY, "eps": EPS, "target_len": TARGET_LEN,
                               "cases": cases}) + "\n")


main()
