#!/bin/sh
# A run that version 0.1.0 left, stopped in its second epoch on two workers: its checkpoint of format 1 is read, shown and
# resumed to the bits that 0.1.0 itself came to without a stop.  golden/format-1.tar.gz holds nothing that a program
# since then has written.
set -u
. "$(dirname "$0")/../support/lib.sh"

tar xzf "$here/../golden/format-1.tar.gz"
cat >format-1.yaml <<'E2'
run: {name: format-1, seed: 5}
data: {kind: regression, samples: 96, validation_samples: 32, n_features: 4, noise: 0.1, seed: 3}
model: {kind: mlp, layers: [4, 8, 1], norm: batch, dropout: 0.1}
loss: {kind: mse}
optimizer: {kind: adamw, lr: 0.05}
ema: {beta: 0.9, update_after_step: 2, update_every: 1}
scheduler: {kind: reduce_on_plateau, metric: validation.loss, patience: 1}
train: {epochs: 3, batch: 16, lanes: 2, early_stop: {metric: ema.validation.loss, patience: 9}}
checkpoint: {every: 8, unit: step, keep: 9}
E2

same "digest of the old checkpoint" "$("$lockstep" ckpt digest format-1)" e196cbe8906dc9bd2dbdd01e88301ca2
status 0 alone ckpt verify format-1/checkpoints/step-00000008
status 0 alone ckpt show format-1
says '^  8 steps, 1 epochs and 2 batches of the next; 2 lanes, batch 16, seed 5; written by lockstep 0.1.0$'
status 0 alone ckpt list format-1
says '^step-00000008 .* latest +best$'

cp -a format-1 alone
status 0 alone train format-1.yaml run.dir=alone --resume
status 0 workers 2 train format-1.yaml run.dir=format-1 --resume
for run in alone format-1; do
    same "$run resumed: digests" "$(digests $run)" bd88fd926139697bf84c7c21f2d9d1e1:1c60a053a48f9a915ffff62308458c0d
    same "$run resumed: steps kept" "$(ls -d $run/checkpoints/step-* | wc -l)" 3
done
finish
