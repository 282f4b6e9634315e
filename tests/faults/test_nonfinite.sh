#!/bin/sh
# train.on_nonfinite: skip passes over a step now and then; an epoch in which nothing was trained is an error all the same, and
# leaves no checkpoint that looks like a trained one.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=2 data.samples=333 train.epochs=3 train.on_nonfinite=skip
for n in 1 2; do
    status 5 workers $n train "$@" optimizer.lr=1e30 run.dir=lost-$n
    says 'epoch [0-9]+: no step had a finite loss and gradient'
done
status 5 alone train "$@" optimizer.lr=1e30 train.steps=20 train.epochs=9 run.dir=short

# Targets whose squares are infinite: not one step trains.
printf 'x,y\n1,1e30\n2,2e30\n3,3e30\n4,4e30\n' >huge.csv
cat >huge.yaml <<'EOF'
run: {name: huge, dir: never}
data: {kind: csv, train: huge.csv, target: y}
model: {kind: mlp, layers: [1, 1]}
loss: {kind: mse}
optimizer: {kind: sgd, lr: 0.01}
train: {epochs: 2, batch: 2, on_nonfinite: skip}
checkpoint: {every: 1}
EOF
status 5 alone train huge.yaml
says 'epoch 0: no step had a finite loss and gradient'
same "no checkpoint of untrained weights" "$(ls never/checkpoints)" ""
finish
