#!/usr/bin/env python3
"""How well translation is learnt: PyTorch's side of translation.sh, and what both sides are compared by.

    translation.py textbook FRA LAYERS SEED    the first pairs of fra-eng by heart, as Dive into Deep Learning does it
    translation.py split FRA FOLDER            train.txt and validation.txt: the first 100,000 pairs, by source sentence
    translation.py real FOLDER STEPS SEED      a larger network on those
    translation.py bleu FOLDER                 corpus BLEU-4 of sacrebleu of `lockstep translate`'s lines on standard input
    translation.py table FILE...               mean and deviation of each number over files, a line of JSON each

One thread.  Networks are sequences.py's, their weights begun as the textbook does (xavier_uniform).
"""
import json
import lzma
import math
import random
import sys
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional

from sequences import LONGEST, Transformer, arrays, read_pairs, vocabulary, words

BATCH, EPOCHS, ASKED = 64, 200, ("go .", "i lost .", "i'm home .")
REAL_PAIRS, REAL_VALIDATION, REAL_BATCH, MOST_WORDS = 100_000, 2_000, 128, 50
REAL = {"hidden": 128, "layers": 2, "heads": 8, "ffn": 512, "dropout": 0.1}
MAX_LR, PCT_START = 2e-3, 0.1


def opened(path):
    return lzma.open(path, "rt", encoding="utf-8") if path.endswith(".xz") else open(path, encoding="utf-8")


def begin(net):
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)


@torch.no_grad()
def greedy(net, source, source_len, bos, eos, longest):
    """The likeliest word each time, without a cache: lists of words up to <eos>."""
    net.eval()
    mask = (torch.arange(source.shape[1]) < source_len.reshape(-1, 1))[:, None, None]
    memory = net.encoder(source, mask)
    y = torch.full((len(source), 1), bos)
    done = torch.zeros(len(source), dtype=torch.bool)
    while y.shape[1] <= longest and not done.all():
        next_word = net.dense(net.decoder(y, None, memory, mask)[:, -1]).argmax(-1)
        done |= next_word == eos
        y = torch.cat([y, next_word[:, None]], 1)
    return [row[:row.index(eos)] if eos in row else row for row in y[:, 1:].tolist()]


def bleu2(said, label):
    """The textbook's BLEU with k = 2."""
    score = math.exp(min(0, 1 - len(label) / len(said))) if said else 0.0
    for n in (1, 2):
        there = [tuple(label[i:i + n]) for i in range(len(label) - n + 1)]
        hits = 0
        for gram in (tuple(said[i:i + n]) for i in range(len(said) - n + 1)):
            if gram in there:
                there.remove(gram)
                hits += 1
        if len(said) >= n:
            score *= (hits / (len(said) - n + 1)) ** (0.5 ** n)
    return score


def textbook(fra, layers, seed):
    torch.manual_seed(seed)
    sides = read_pairs(fra)
    known = [vocabulary(s) for s in sides]
    (source, source_len), (target, target_len) = (arrays(*side) for side in zip(sides, known))
    bos, eos = known[1]["<bos>"], known[1]["<eos>"]
    target_in = torch.cat([torch.full((len(target), 1), bos), target[:, :-1]], 1)
    net = Transformer(len(known[0]), len(known[1]), True, layers=layers)
    begin(net)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(EPOCHS):
        net.train()
        total = 0.0
        for i in torch.randperm(len(source)).split(BATCH):
            logits = net(source[i], source_len[i], target_in[i])
            each = functional.cross_entropy(logits.transpose(1, 2), target[i], ignore_index=0, reduction="none")
            loss = each.mean(1).sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
    names = {i: w for w, i in known[1].items()}
    said = [[names[i] for i in row] for row in greedy(net, source, source_len, bos, eos, LONGEST)]
    labels = [[w for w in s if w != "<eos>"] for s in sides[1]]
    heard = {" ".join(s[:-1]): " ".join(t) for s, t in zip(sides[0], said)}
    print(json.dumps({"loss": total / int(target_len.sum()), "bleu2": float(numpy.mean(list(map(bleu2, said, labels))))}
                     | {text: heard[text] for text in ASKED}))


def split(fra, folder):
    with opened(fra) as f:
        pairs = [line.rstrip("\n").split("\t")[:2] for line, _ in zip(f, range(REAL_PAIRS))]
    sources = sorted({" ".join(words(p[0])) for p in pairs})
    held = set(random.Random(0).sample(sources, REAL_VALIDATION))
    Path(folder).mkdir(exist_ok=True)
    for name, there in (("train", False), ("validation", True)):
        rows = [p for p in pairs if (" ".join(words(p[0])) in held) == there]
        (Path(folder) / f"{name}.txt").write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
        print(f"{name}: {len(rows)} pairs", file=sys.stderr)


def sentences(path):
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [[words(row[side]) for row in rows] for side in (0, 1)]


def padded(rows):
    out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for i, row in enumerate(rows):
        out[i, :len(row)] = torch.tensor(row)
    return out, torch.tensor([len(row) for row in rows])


def corpus_bleu(said, labels):
    import sacrebleu
    return sacrebleu.corpus_bleu(said, [labels]).score


def real(folder, steps, seed):
    torch.manual_seed(seed)
    train, validation = (sentences(Path(folder) / f"{name}.txt") for name in ("train", "validation"))
    known = [vocabulary(side) for side in train]
    bos, eos = known[1]["<bos>"], known[1]["<eos>"]
    source, target = ([[k.get(w, k["<unk>"]) for w in s] + [eos] for s in side] for side, k in zip(train, known))
    net = Transformer(len(known[0]), len(known[1]), True, **REAL)
    begin(net)
    optimizer = torch.optim.Adam(net.parameters(), MAX_LR)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_LR, steps, pct_start=PCT_START, cycle_momentum=False)
    order, started = [], time.perf_counter()
    for _ in range(steps):
        order = order if len(order) >= REAL_BATCH else torch.randperm(len(source)).tolist()
        i, order = order[:REAL_BATCH], order[REAL_BATCH:]
        x, x_len = padded([source[j] for j in i])
        y, _ = padded([target[j] for j in i])
        logits = net(x, x_len, torch.cat([torch.full((len(y), 1), bos), y[:, :-1]], 1))
        loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        rates.step()
    seconds = time.perf_counter() - started
    names, said = {i: w for w, i in known[1].items()}, []
    asked = [[known[0].get(w, known[0]["<unk>"]) for w in s] + [eos] for s in validation[0]]
    for i in range(0, len(asked), REAL_BATCH):
        said += greedy(net, *padded(asked[i:i + REAL_BATCH]), bos, eos, MOST_WORDS)
    score = corpus_bleu([" ".join(names[i] for i in row) for row in said], [" ".join(s) for s in validation[1]])
    print(json.dumps({"bleu": score, "seconds": seconds}))


def bleu(folder):
    said = [line.rstrip("\n").split("\t")[1] for line in sys.stdin]
    print(corpus_bleu(said, [" ".join(s) for s in sentences(Path(folder) / "validation.txt")[1]]))


def table(*paths):
    rows = [json.loads(line) for path in paths for line in open(path, encoding="utf-8")]
    for key, value in rows[0].items():
        values = [row[key] for row in rows]
        if isinstance(value, str):
            print(f"{key:12} " + ", ".join(f"{v} ({values.count(v)})" for v in sorted(set(values), key=values.count, reverse=True)))
        else:
            print(f"{key:12} {numpy.mean(values):.4f} +- {numpy.std(values, ddof=1) if len(values) > 1 else 0:.4f}, "
                  f"{min(values):.4f} to {max(values):.4f}, {len(values)} seeds")


def main():
    what, *args = sys.argv[1:]
    torch.set_num_threads(1)
    if what in ("textbook", "real"):
        {"textbook": textbook, "real": real}[what](args[0], int(args[1]), int(args[2]))
    else:
        {"split": split, "bleu": bleu, "table": table}[what](*args)


main()
