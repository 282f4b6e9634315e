#!/usr/bin/env python3
"""What sequences.sh measures Lockstep's Transformer and GPT-2 with and against.

    sequences.py pairs FRA OUT        the first pairs of fra-eng (fra.txt or fra.txt.xz); prints its mean tokens of a target
    sequences.py tokens OUT           random tokens in llm.c's format
    sequences.py torch WORK FILE STEPS WAY
                                      trains the same network on it with one thread; WORK is translation, shakespeare or
                                      gpt2.  WAY is plain: attention as the textbook writes it, Adam as it comes; or fused:
                                      scaled_dot_product_attention and the optimizer in one kernel
    sequences.py curve FILE WEIGHTS BATCH SEQUENCE METRICS
                                      trains GPT-2 from WEIGHTS (safetensors, the published names) on FILE's tokens in their
                                      order, a step for each line of METRICS, a run's metrics.csv, and prints both losses

Loops as people write them, with batches from memory.  Some steps before STEPS are made and not timed.  Prints tokens/s
(translation: those of the target that are no padding), and the most memory held in MiB.
"""
import collections
import csv
import lzma
import math
import re
import resource
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn import functional

PAIRS, LONGEST, MIN_FREQ = 600, 10, 2
GPT2_TOKENS, GPT2_VOCABULARY = 1 << 16, 50257
WARM_UP = 3


# ---------------------------------------------------------------------------------------------------------------- data

def words(sentence):
    return re.sub(r"([,.!?])", r" \1", re.sub(r"[\u202f\u00a0\u2009]", " ", sentence.lower())).split()


def read_pairs(path):
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t")[:2] for line in f]
    return [[(words(row[side]) + ["<eos>"])[:LONGEST] for row in rows] for side in (0, 1)]


def make_pairs(fra, out):
    opened = lzma.open(fra, "rt", encoding="utf-8") if fra.endswith(".xz") else open(fra, encoding="utf-8")
    with opened as f, open(out, "w", encoding="utf-8") as to:
        to.writelines(line for line, _ in zip(f, range(PAIRS)))
    print(numpy.mean([len(s) for s in read_pairs(out)[1]]))


def make_tokens(out):
    header = numpy.zeros(256, numpy.int32)
    header[:3] = 20240520, 1, GPT2_TOKENS
    with open(out, "wb") as f:
        f.write(header.tobytes())
        f.write(numpy.random.default_rng(1).integers(0, GPT2_VOCABULARY, GPT2_TOKENS, dtype=numpy.uint16).tobytes())


# ------------------------------------------------------------------------------------------------------------ networks

class Attention(nn.Module):
    def __init__(self, width, heads, dropout, fused):
        super().__init__()
        self.heads, self.p, self.fused, self.dropout = heads, dropout, fused, nn.Dropout(dropout)

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, q, k, v, mask):
        q, k, v = self.split(q), self.split(k), self.split(v)
        if self.fused:
            causal = mask is None
            y = functional.scaled_dot_product_attention(q, k, v, mask, self.p if self.training else 0.0, causal)
            return y.transpose(1, 2).flatten(2)
        if mask is None:
            mask = torch.tril(torch.ones(q.shape[2], q.shape[2], dtype=torch.bool))
        score = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~mask, -1e6)
        return (self.dropout(torch.softmax(score, -1)) @ v).transpose(1, 2).flatten(2)


class Heads(nn.Module):
    """The textbook's: three products before, one behind."""

    def __init__(self, width, heads, dropout, fused):
        super().__init__()
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.attention = Attention(width, heads, dropout, fused)

    def forward(self, q, kv, mask):
        return self.W_o(self.attention(self.W_q(q), self.W_k(kv), self.W_v(kv), mask))


class Block(nn.Module):
    """Of the encoder or, with two attentions, of the decoder."""

    def __init__(self, hidden, heads, ffn, dropout, fused, n_attentions):
        super().__init__()
        self.attentions = nn.ModuleList(Heads(hidden, heads, dropout, fused) for _ in range(n_attentions))
        self.ffn = nn.Sequential(nn.Linear(hidden, ffn), nn.ReLU(), nn.Linear(ffn, hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(n_attentions + 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, own, memory, mask):
        x = self.norms[0](x + self.dropout(self.attentions[0](x, x, own)))
        if memory is not None:
            x = self.norms[1](x + self.dropout(self.attentions[1](x, memory, mask)))
        return self.norms[-1](x + self.dropout(self.ffn(x)))


class Side(nn.Module):
    def __init__(self, vocabulary, hidden, layers, *block):
        super().__init__()
        self.embedding, self.hidden, self.dropout = nn.Embedding(vocabulary, hidden), hidden, nn.Dropout(block[2])
        self.blocks = nn.ModuleList(Block(hidden, *block) for _ in range(layers))
        angle = torch.arange(1000).reshape(-1, 1) / torch.pow(10000, torch.arange(0, hidden, 2) / hidden)
        self.register_buffer("P", torch.stack([torch.sin(angle), torch.cos(angle)], 2).flatten(1))

    def forward(self, tokens, own, memory=None, mask=None):
        x = self.dropout(self.embedding(tokens) * math.sqrt(self.hidden) + self.P[:tokens.shape[1]])
        for block in self.blocks:
            x = block(x, own, memory, mask)
        return x


class Transformer(nn.Module):
    def __init__(self, source, target, fused, hidden=32, layers=2, heads=4, ffn=64, dropout=0.1):
        super().__init__()
        self.encoder = Side(source, hidden, layers, heads, ffn, dropout, fused, 1)
        self.decoder = Side(target, hidden, layers, heads, ffn, dropout, fused, 2)
        self.dense = nn.Linear(hidden, target)

    def forward(self, source, source_len, target_in):
        mask = (torch.arange(source.shape[1]) < source_len.reshape(-1, 1))[:, None, None]
        return self.dense(self.decoder(target_in, None, self.encoder(source, mask), mask))


class Gpt2(nn.Module):
    class Block(nn.Module):
        def __init__(self, width, heads, fused):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.attention = Attention(width, heads, 0.0, fused)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

        def forward(self, x):
            x = x + self.c_proj(self.attention(*self.c_attn(self.ln_1(x)).chunk(3, -1), None))
            return x + self.mlp(self.ln_2(x))

    def __init__(self, vocabulary, context, layers, heads, width, fused):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.Sequential(*(Gpt2.Block(width, heads, fused) for _ in range(layers)))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens):
        return self.lm_head(self.ln_f(self.h(self.wte(tokens) + self.wpe.weight[:tokens.shape[1]])))


# --------------------------------------------------------------------------------------------------------------- loops

def vocabulary(sentences):
    count = collections.Counter(word for s in sentences for word in s if word != "<eos>")
    names = ["<pad>", "<bos>", "<eos>", "<unk>"] + [w for w, n in count.most_common() if n >= MIN_FREQ]
    return {name: i for i, name in enumerate(names)}


def arrays(sentences, known):
    tokens = torch.zeros(len(sentences), LONGEST, dtype=torch.int64)
    for i, s in enumerate(sentences):
        tokens[i, :len(s)] = torch.tensor([known.get(w, known["<unk>"]) for w in s])
    return tokens, torch.tensor([len(s) for s in sentences])


def translation(path, fused):
    sides = read_pairs(path)
    known = [vocabulary(s) for s in sides]
    (source, source_len), (target, target_len) = (arrays(*side) for side in zip(sides, known))
    net = Transformer(len(known[0]), len(known[1]), fused)
    target_in = torch.cat([torch.full((len(target), 1), known[1]["<bos>"]), target[:, :-1]], 1)
    order = {"at": 0, "is": torch.randperm(len(source))}

    def step():
        if order["at"] + 64 > len(source):
            order.update(at=0, **{"is": torch.randperm(len(source))})
        i = order["is"][order["at"]:order["at"] + 64]
        order["at"] += 64
        logits = net(source[i], source_len[i], target_in[i])
        loss = functional.cross_entropy(logits.flatten(0, 1), target[i].flatten(), ignore_index=0)
        return loss, int(target_len[i].sum())

    return net, torch.optim.Adam(net.parameters(), 5e-3, fused=fused), 1.0, step


def gpt2(tokens, batch, context, make, fused):
    net = make()

    def step():
        at = torch.randint(len(tokens) - context, (batch,))
        x = torch.stack([tokens[i:i + context + 1] for i in at.tolist()])
        return functional.cross_entropy(net(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten()), batch * context

    return net, torch.optim.AdamW(net.parameters(), 1e-4, fused=fused), None, step


def workload(work, path, fused):
    if work == "translation":
        return translation(path, fused)
    if work == "shakespeare":
        text = open(path, encoding="utf-8").read()
        number = {c: i for i, c in enumerate(sorted(set(text)))}
        tokens = torch.tensor([number[c] for c in text])
        return gpt2(tokens, 12, 64, lambda: Gpt2(len(number), 64, 4, 4, 128, fused), fused)
    tokens = torch.from_numpy(numpy.fromfile(path, numpy.uint16, offset=1024).astype(numpy.int64))
    return gpt2(tokens, 4, 64, lambda: Gpt2(GPT2_VOCABULARY, 1024, 12, 12, 768, fused), fused)


def train(work, path, steps, way):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net, optimizer, clip, step = workload(work, path, way == "fused")
    warm_up, n_tokens = min(WARM_UP, steps), 0
    for i in range(steps + warm_up):
        if i == warm_up:
            begin, n_tokens = time.perf_counter(), 0
        loss, n = step()
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        n_tokens += n
    print(f"{n_tokens / (time.perf_counter() - begin):.1f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


# --------------------------------------------------------------------------------------------------------------- curve

def published(name):
    """GPT-2's name of a tensor of Gpt2, and whether it lies there as (inputs, outputs)."""
    for ours, theirs in ((".mlp.0.", ".mlp.c_fc."), (".mlp.2.", ".mlp.c_proj."), (".c_attn.", ".attn.c_attn."),
                         (r"^(h\.\d+)\.c_proj\.", r"\1.attn.c_proj.")):
        name = re.sub(ours if ours.startswith("^") else re.escape(ours), theirs, name)
    return name, name.endswith(".weight") and ".c_" in name


def load_gpt2(path):
    from safetensors.torch import load_file

    weights = load_file(path)
    layers = sum(name.endswith(".ln_1.weight") for name in weights)
    (vocabulary, width), context = weights["wte.weight"].shape, len(weights["wpe.weight"])
    net = Gpt2(vocabulary, context, layers, width // 64, width, True)
    with torch.no_grad():
        for name, p in net.named_parameters():
            theirs, turned = published(name)
            p.copy_(weights[theirs].T if turned else weights[theirs])
    return net


def curve(path, weights, batch, sequence, metrics):
    torch.set_num_threads(1)
    with open(metrics, encoding="utf-8") as f:
        ours = [float(row["train.loss"]) for row in csv.DictReader(f)]
    tokens = torch.from_numpy(numpy.fromfile(path, numpy.uint16, offset=1024).astype(numpy.int64))
    net, largest = load_gpt2(weights), 0.0
    groups = [{"params": [p for p in net.parameters() if (p.ndim > 1) == decays], "weight_decay": 0.1 * decays}
              for decays in (True, False)]
    optimizer = torch.optim.AdamW(groups, 6e-4, (0.9, 0.95))
    print("step  lockstep  torch     difference")
    for step, own in enumerate(ours):
        at = [(step * batch + i) * sequence for i in range(batch)]
        x, y = (torch.stack([tokens[i + k:i + k + sequence] for i in at]) for k in (0, 1))
        loss = functional.cross_entropy(net(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        largest = max(largest, abs(own - loss.item()))
        print(f"{step + 1:4}  {own:.6f}  {loss.item():.6f}  {own - loss.item():+.1e}", flush=True)
    print(f"largest difference {largest:.1e}")


def main():
    what, *args = sys.argv[1:]
    if what == "pairs":
        make_pairs(*args)
    elif what == "tokens":
        make_tokens(*args)
    elif what == "curve":
        curve(args[0], args[1], int(args[2]), int(args[3]), args[4])
    else:
        train(args[0], args[1], int(args[2]), args[3])


if __name__ == "__main__":
    main()
