#!/bin/sh
# GPT-2's loss curve beside PyTorch's: both train from the same random weights (Lockstep's first ones, as `ckpt export` writes
# them) on the same tokens of a text in the same order, by AdamW with weight decay on matrices alone, clipped.  Prints both
# losses of every step, and the largest difference.
#
#   PYTHON=/path/to/python TEXT=input.txt MERGES=vocab.bpe tests/bench/curve.sh
#
# PYTHON needs torch, numpy and safetensors.  MODEL (default: gpt2, 124 million weights) is the model's row of the recipe, STEPS
# (20), BATCH (4) and SEQUENCE (64) say how much is seen.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
lockstep=${LOCKSTEP:-$root/build/lockstep}
python=${PYTHON:-python3}
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/curve.yaml" <<RECIPE
run: {name: curve, dir: $work/run, seed: 1}
engine: {kind: cpu, threads: 1}
data: {kind: tokens, train: $work/tokens, sequence: ${SEQUENCE:-64}, shuffle: false}
model: ${MODEL:-"{kind: gpt2, dropout: 0}"}
loss: {kind: cross_entropy}
optimizer: {kind: adamw, lr: 6e-4, betas: [0.9, 0.95], weight_decay: 0.1, clip_norm: 1}
train: {steps: ${STEPS:-20}, batch: ${BATCH:-4}, lanes: 1, evaluate_unit: step, evaluate_every: 1}
checkpoint: {every: 0}
RECIPE
"$lockstep" tokenize "$TEXT" --merges "$MERGES" --out "$work/tokens" >/dev/null
"$lockstep" train "$work/curve.yaml" train.steps=1 optimizer.lr=0 run.dir="$work/first" >/dev/null
"$lockstep" ckpt export "$work/first" -o "$work/first.safetensors" >/dev/null
rm -rf "$work/first"
"$lockstep" train "$work/curve.yaml" init_from="$work/first.safetensors" >/dev/null
"$python" "$root/tests/bench/sequences.py" curve "$work/tokens" "$work/first.safetensors" "${BATCH:-4}" "${SEQUENCE:-64}" \
    "$work/run/metrics.csv"
