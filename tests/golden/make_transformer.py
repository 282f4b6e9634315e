#!/usr/bin/env python3
"""Golden values of the encoder-decoder Transformer: the textbook's modules (Zhang et al., Dive into Deep Learning, 11.7)
written out with PyTorch's layers; its logits, and how each tensor changes in four steps of AdamW, seen in a few random
directions.  Weights, tokens and directions are computed by formula.py on both sides.

Writes transformer.json beside this file.  Run: python3 tests/golden/make_transformer.py
"""
import json
import math
import pathlib

import numpy
import torch
from torch import nn

import formula

SAMPLES, LENGTH, STEPS, DIRECTIONS, IGNORED = 4, 7, 4, 4, -100
LR, WEIGHT_DECAY, EPS = 0.01, 0.1, 1e-4
SOURCE_LEN, TARGET_LEN = [7, 3, 1, 5], [2, 7, 4, 6]


def values(array):
    return [float(f"{v:.9g}") for v in numpy.asarray(array, dtype=numpy.float64).flatten()]


class Attention(nn.Module):
    def __init__(self, hidden, heads, bias):
        super().__init__()
        self.heads = heads
        for name in ("W_q", "W_k", "W_v", "W_o"):
            setattr(self, name, nn.Linear(hidden, hidden, bias=bias))

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, q, kv, mask):
        q, k, v = self.split(self.W_q(q)), self.split(self.W_k(kv)), self.split(self.W_v(kv))
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        y = torch.softmax(score.masked_fill(~mask, -1e6), -1) @ v
        return self.W_o(y.transpose(1, 2).flatten(2))


class AddNorm(nn.Module):
    def __init__(self, hidden, pre):
        super().__init__()
        self.ln, self.pre = nn.LayerNorm(hidden), pre

    def forward(self, x, branch):
        return x + branch(self.ln(x)) if self.pre else self.ln(x + branch(x))


class Ffn(nn.Module):
    def __init__(self, hidden, inner, activation):
        super().__init__()
        self.dense1, self.dense2, self.activation = nn.Linear(hidden, inner), nn.Linear(inner, hidden), activation

    def forward(self, x):
        return self.dense2(self.activation(self.dense1(x)))


class EncoderBlock(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.attention = Attention(s["hidden"], s["heads"], s["bias"])
        self.addnorm1 = AddNorm(s["hidden"], s["pre"])
        self.ffn = Ffn(s["hidden"], s["ffn"], ACTIVATIONS[s["activation"]])
        self.addnorm2 = AddNorm(s["hidden"], s["pre"])

    def forward(self, x, mask):
        x = self.addnorm1(x, lambda h: self.attention(h, h, mask))
        return self.addnorm2(x, self.ffn)


class DecoderBlock(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.attention1 = Attention(s["hidden"], s["heads"], s["bias"])
        self.addnorm1 = AddNorm(s["hidden"], s["pre"])
        self.attention2 = Attention(s["hidden"], s["heads"], s["bias"])
        self.addnorm2 = AddNorm(s["hidden"], s["pre"])
        self.ffn = Ffn(s["hidden"], s["ffn"], ACTIVATIONS[s["activation"]])
        self.addnorm3 = AddNorm(s["hidden"], s["pre"])

    def forward(self, x, memory, mask):
        causal = torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool))
        x = self.addnorm1(x, lambda h: self.attention1(h, h, causal))
        x = self.addnorm2(x, lambda h: self.attention2(h, memory, mask))
        return self.addnorm3(x, self.ffn)


class Side(nn.Module):
    """An encoder or a decoder."""

    def __init__(self, s, vocabulary, blocks, block):
        super().__init__()
        self.hidden = s["hidden"]
        self.embedding = nn.Embedding(vocabulary, s["hidden"])
        self.blks = nn.Sequential()
        for i in range(blocks):
            self.blks.add_module(f"block{i}", block(s))
        if s["pre"]:
            self.ln = nn.LayerNorm(s["hidden"])

    def forward(self, tokens, *what):
        x = self.embedding(tokens) * math.sqrt(self.hidden)
        angle = torch.arange(tokens.shape[1]).reshape(-1, 1) / torch.pow(
            10000, torch.arange(0, self.hidden, 2, dtype=torch.float32) / self.hidden)
        x = x + torch.stack([torch.sin(angle), torch.cos(angle)], 2).flatten(1)
        for block in self.blks:
            x = block(x, *what)
        return self.ln(x) if hasattr(self, "ln") else x


class Transformer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.encoder = Side(s, s["source_vocabulary"], s["layers"][0], EncoderBlock)
        self.decoder = Side(s, s["target_vocabulary"], s["layers"][1], DecoderBlock)
        self.decoder.dense = nn.Linear(s["hidden"], s["target_vocabulary"])
        if s["tie"] == "all":
            self.decoder.embedding.weight = self.encoder.embedding.weight
        if s["tie"] != "none":
            self.decoder.dense.weight = self.decoder.embedding.weight

    def forward(self, source, source_len, target_in):
        mask = (torch.arange(source.shape[1]) < source_len.reshape(-1, 1)).reshape(-1, 1, 1, source.shape[1])
        return self.decoder.dense(self.decoder(target_in, self.encoder(source, mask), mask))


ACTIVATIONS = {"relu": nn.ReLU(), "gelu": nn.GELU()}


def tokens(name, vocabulary):
    made = formula.words(name, SAMPLES * LENGTH) % numpy.uint32(vocabulary)
    return torch.from_numpy(made.astype(numpy.int64)).reshape(SAMPLES, LENGTH)


def case(name, **spec):
    s = {"hidden": 12, "heads": 3, "ffn": 20, "layers": [2, 2], "bias": False, "pre": False, "tie": "none",
         "activation": "relu", "source_vocabulary": 11, "target_vocabulary": 9} | spec
    net = Transformer(s)
    with torch.no_grad():
        for k, p in net.named_parameters():
            p.copy_(torch.from_numpy(formula.tensor(k, p.shape)))
    first = {k: p.detach().clone() for k, p in net.named_parameters()}
    source, target_in = tokens("source", s["source_vocabulary"]), tokens("target_in", s["target_vocabulary"])
    target, source_len = tokens("target", s["target_vocabulary"]), torch.tensor(SOURCE_LEN)
    target[torch.arange(LENGTH) >= torch.tensor(TARGET_LEN).reshape(-1, 1)] = IGNORED
    with torch.no_grad():
        output = net(source, source_len, target_in)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, eps=EPS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(source, source_len, target_in).flatten(0, 1), target.flatten(),
                                           ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    changes = {}
    for k, p in net.named_parameters():
        change = (p.detach() - first[k]).double().numpy().flatten()
        seen = [float(change @ formula.signs(f"{k}/{d}", change.size)) for d in range(DIRECTIONS)]
        changes[k] = values([numpy.linalg.norm(change)] + seen)
    return {"name": name, "spec": s, "output": values(output), "losses": values(losses), "changes": changes}


def main():
    torch.set_num_threads(1)
    cases = [case("norms behind, nothing tied"),
             case("norms before, gelu, biases, other layers", pre=True, activation="gelu", bias=True, layers=[1, 3]),
             case("norms behind, target tied", tie="target", heads=2),
             case("norms before, all tied", pre=True, tie="all", source_vocabulary=10, target_vocabulary=10)]
    out = pathlib.Path(__file__).with_name("transformer.json")
    out.write_text(json.dumps({"torch": torch.__version__, "samples": SAMPLES, "length": LENGTH, "lr": LR,
                               "weight_decay": WEIGHT_DECAY, "eps": EPS, "source_len": SOURCE_LEN,
                               "target_len": TARGET_LEN, "cases": cases}) + "\n")


main()
