#!/bin/sh
# train.accumulate: lanes in micro-batches have the same bits on 1 to 4 workers and through a kill and a resume; over stages of
# their own, with batch norm and kept features; with sentences of many lengths and a tied table; and, without batch norm, they
# are the whole lanes' but for rounding.  Another number of them is another run.  And train.recompute, which changes no bit.
set -u
. "$(dirname "$0")/../support/lib.sh"

cat >staged.yaml <<'RECIPE'
run: {name: staged, seed: 3}
data: {kind: regression, samples: 146, validation_samples: 50, n_features: 20, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [20, 32, 16, 1], norm: batch, activation: gelu}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.9, update_after_step: 2, update_every: 1}
train: {epochs: 2, batch: 40, lanes: 4, accumulate: 3}   # the last batch has lanes of 7 and 6
stages:
  - {name: pretrain}
  - {name: head, freeze: ['*'], unfreeze: ['8.*'], accumulate: 2, cache_frozen: memory}
  - {name: all, unfreeze: ['*'], accumulate: 1}
RECIPE
status 0 workers 1 train staged.yaml run.dir=staged
for n in 2 3 4; do same_on $n staged staged.yaml; done
same_on 2 staged staged.yaml stages.head.cache_frozen=no

# The last batch has lanes of 1 and of no samples.
cat >plain.yaml <<'RECIPE'
run: {name: plain, seed: 5}
data: {kind: regression, samples: 157, validation_samples: 50, n_features: 8, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [8, 24, 1], dropout: 0.2, activation: tanh}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-3, clip_norm: 0.5}
ema: {beta: 0.9, update_after_step: 2, update_every: 1}
checkpoint: {every: 3, unit: step}
train: {epochs: 2, batch: 22, lanes: 4, accumulate: 5}
RECIPE
status 0 workers 2 train plain.yaml train.epochs=25 run.dir=plain-long
break_and_resume 3 2 plain-long plain.yaml train.epochs=25
status 0 alone train plain.yaml run.dir=plain
status 0 alone train plain.yaml train.accumulate=1 run.dir=at-once
status 1 alone ckpt diff plain at-once
largest=$(sed -n 's/.*model.* differ, by up to \(.*\)/\1/p' out.txt | sort -g | tail -n 1)
# A dozen steps of 1e-3 each: some hundred roundings of weights around 1.
same "rounding alone lies between them: ${largest:-nothing}" "$(awk -v d="${largest:-1}" 'BEGIN { print d < 1e-5 }')" 1

status 2 alone train plain.yaml train.epochs=3 train.accumulate=2 run.dir=plain --resume
says 'the checkpoint belongs to another run: train.accumulate 5 -> 2; .*--change'
status 0 alone train plain.yaml train.epochs=3 train.accumulate=2 run.dir=plain --resume --change
status 2 alone train plain.yaml train.accumulate=6 run.dir=none
says 'train.accumulate: batches of 22 samples in 4 lanes cannot be cut into 6 micro-batches a lane'
status 2 alone train staged.yaml data.samples=143 run.dir=none
says "in 4 lanes make a lane of 5 and, by train.accumulate: 3, a micro-batch of 1; layer 1: .*train.accumulate"

awk 'BEGIN { for (i = 1; i <= 60; i++) { s = ""; for (k = 0; k <= i * 7 % 9; k++) s = s (k ? " " : "") "w" (i * k) % 10; print s "\t" s } }' >pairs.txt
cat >pairs.yaml <<'RECIPE'
run: {name: pairs}
data: {kind: pairs, train: pairs.txt, validation_fraction: 0.2}
model: {kind: transformer, layers: [1, 1], hidden: 16, heads: 2, ffn: 32, dropout: 0.1, tie: all}
loss: {kind: cross_entropy, label_smoothing: 0.1}
optimizer: {kind: adam, lr: 5e-3}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
train: {epochs: 2, batch: 20, lanes: 3, accumulate: 3}
RECIPE
status 0 alone train pairs.yaml run.dir=pairs
same_on 3 pairs pairs.yaml

# train.recompute changes no bit.
same_on 2 pairs pairs.yaml train.recompute=blocks
status 0 alone train staged.yaml run.dir=again 'train.recompute=["0", "[1-7]"]' stages.head.recompute=none
same "layers computed again: digests" "$(digests again)" "$(digests staged)"
status 0 alone plan pairs.yaml train.recompute=blocks
says '^    recomputed: [0-9.]+ of the MFLOP, for [0-9.]+ MB of activations instead of [0-9.]+'
status 2 alone train pairs.yaml 'train.recompute=[encoder.block7]' run.dir=none
says 'train.recompute: `encoder.block7` matches no layer'
status 2 alone train plain.yaml train.recompute=blocks run.dir=none
says 'train.recompute: mlp has no blocks of its own'

# Memory: activations are those of a micro-batch, gradients stay what they were.
line() { grep "^  $1 " out.txt | tr -s ' ' | cut -d' ' -f"$2"-; }
set -- plan "$recipes/ema-regression.yaml" 'model.layers=[20, 64, 64, 1]' train.lanes=1 train.batch=1024
status 0 alone "$@"
gradients=$(line gradients 3) activations=$(sed -n 's/^  1024 samples: .* \([0-9.]*\) MB of activations.*/\1/p' out.txt)
status 0 alone "$@" train.accumulate=16
same "gradients of 16 micro-batches" "$(line gradients 3)" "$gradients"
says '^a micro-batch of training, 16 a lane'
micro=$(sed -n 's/^  64 samples, added: .* \([0-9.]*\) MB of activations.*/\1/p' out.txt)
same "activations are $micro of $activations MB: less than an eighth" "$(awk -v a="$micro" -v b="$activations" 'BEGIN { print a && a < b / 8 }')" 1
finish
