#!/bin/sh
# train.cache_frozen: what frozen layers give is kept, and the bits and metrics are those of layers that run in the same
# pieces in every epoch: on 1 to 3 workers, through kills and resumes, over stages that begin and end it, with an EMA,
# lanes and a last batch that pieces do not divide, and images.  What cannot be kept is refused with its reason.
set -u
. "$(dirname "$0")/../support/lib.sh"
# Of runs without an EMA too.
digests() { echo "$("$lockstep" ckpt digest "$1"):$("$lockstep" ckpt digest "$1" --ema 2>/dev/null)"; }

cat >staged.yaml <<'E3'
run: {name: staged, seed: 3}
data: {kind: regression, samples: 1013, validation_samples: 203, n_features: 20, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [20, 64, 32, 1], norm: batch, activation: gelu}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.99, update_after_step: 10, update_every: 1}
train: {epochs: 2, batch: 40, lanes: 4, evaluate_batch: 64}
stages:
  - {name: pretrain, epochs: 2}
  - {name: head, epochs: 4, freeze: ['*'], unfreeze: ['8.*'], optimizer: {lr: 1e-2}, cache_frozen: memory}
  - {name: upper, epochs: 2, unfreeze: ['4.*', '5.*'], frozen_piece: 7, cache_frozen: memory}
  - {name: all, unfreeze: ['*'], cache_frozen: no, optimizer: {lr: 1e-4}}
checkpoint: {every: 13, unit: step, keep: 100, best: false}
E3

status 0 alone train staged.yaml run.dir=whole
says '^frozen layers: training: features of 1013 samples kept'
says '^frozen layers: validation: features of 203 samples kept'
same "stages that keep features" "$(grep -c '^frozen layers: training: .* kept' out.txt)" 2
want=$(digests whole)
status 0 alone train staged.yaml run.dir=again stages.head.cache_frozen=no stages.upper.cache_frozen=no
same "kept nothing: digests" "$(digests again)" "$want"
same "kept nothing: metrics" "$(cksum <again/metrics.csv)" "$(cksum <whole/metrics.csv)"
for n in 2 3; do same_on $n whole staged.yaml; done
status 0 workers 3 train staged.yaml run.dir=disk stages.head.cache_frozen=disk stages.upper.cache_frozen=disk
says '^frozen layers: training: features of 1013 samples kept on disk'
same "on disk: digests" "$(digests disk)" "$want"
same "on disk: metrics" "$(cksum <disk/metrics.csv)" "$(cksum <whole/metrics.csv)"
same "on disk: features left behind" "$(find disk/features -type f)" ""

# Batches of 40 over 1013 samples are 26 an epoch: the stages begin at steps 0, 52, 156 and 208.
for step in 52 91 156; do
    rm -rf part
    status 0 workers 2 train staged.yaml run.dir=part
    for saved in part/checkpoints/step-*; do
        [ "$(echo "${saved##*-}" | sed "s/^0*//")" -gt "$step" ] && rm -r "$saved"
    done
    rm -f part/checkpoints/latest part/summary.json
    status 0 workers 3 train staged.yaml run.dir=part --resume
    same "resumed at step $step: digests" "$(digests part)" "$want"
    same "resumed at step $step: metrics" "$(cksum <part/metrics.csv)" "$(cksum <whole/metrics.csv)"
done

status 0 alone train staged.yaml stages.head.epochs=60 run.dir=long
break_and_resume 3 2 long staged.yaml stages.head.epochs=60
break_and_resume 2 3 long staged.yaml stages.head.epochs=60 stages.head.cache_frozen=disk

# Images: convolutions, pooling and flattening are frozen; the classifier trains.
sh "$here/make_idx.sh" "$work" 120 40
cat >pictures.yaml <<'E3'
run: {name: pictures}
data: {kind: idx, train: train-images, train_labels: train-labels, validation: test-images, validation_labels: test-labels,
       transforms: [{kind: normalize, mean: [0.5], std: [0.25]}]}
model: {kind: cnn, channels: [4, 6], kernel: 3, hidden: [10], dropout: 0.2, norm: batch}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
train: {epochs: 3, batch: 24, lanes: 3, freeze: ['features.*'], cache_frozen: memory}
E3
precisions='fp32 bf16'
if alone plan pictures.yaml engine.precision=bf16 2>&1 | grep -q 'cannot compute in bf16'; then
    echo "skipped: bf16: this processor cannot compute in it"
    precisions=fp32
fi
for precision in $precisions; do
    status 0 alone train pictures.yaml engine.precision=$precision run.dir=$precision
    same_on 3 $precision pictures.yaml engine.precision=$precision
    status 0 workers 2 train pictures.yaml engine.precision=$precision train.cache_frozen=no run.dir=none
    same "$precision, kept nothing: digests" "$(digests none)" "$(digests $precision)"
    same "$precision, kept nothing: metrics" "$(cksum <none/metrics.csv)" "$(cksum <$precision/metrics.csv)"
done
# A piece of more samples than there are is all of them.
status 0 alone train pictures.yaml train.frozen_piece=1000000000 run.dir=all
same "all samples a piece: digests" "$(digests all)" "$(digests fp32)"
# What it saves is said before: three columns, and what is kept.
status 0 workers 2 plan pictures.yaml
says '^what freezing saves +everything +this stage +from features$'
says '^  a step of a lane +[0-9.]+ [kM]FLOP +[0-9.]+ [kM]FLOP +[0-9.]+ kFLOP$'
says '^  features of training: 120 samples of 1.148 KiB, 137.8 KiB in the memory of each worker, in pieces of 8: flatten$'
status 0 alone plan pictures.yaml train.cache_frozen=disk
says '^  features of validation: 40 samples of .* on disk for all workers, in pieces of 8: flatten$'
status 0 alone plan pictures.yaml train.freeze='[]' train.cache_frozen=no
same "a stage that freezes nothing saves nothing" "$(grep -c 'freezing saves' out.txt)" 0
# An evaluation of some batches alone computes what it looks at, and comes to the same.
status 0 alone train pictures.yaml train.evaluate_batches=1 run.dir=some
status 0 workers 2 train pictures.yaml train.evaluate_batches=1 train.cache_frozen=no run.dir=some-none
same "some batches: metrics" "$(cksum <some-none/metrics.csv)" "$(cksum <some/metrics.csv)"

refused() { # pattern, arguments
    pattern=$1
    shift
    status 2 workers 2 train "$@" run.dir=refused
    says "$pattern"
}
refused 'train.cache_frozen=memory: train.cache_frozen: no frozen layer lies in front of the first one that trains' \
    pictures.yaml train.freeze='["classifier.*"]' train.cache_frozen=memory
refused 'pictures.yaml:[0-9]*: train.cache_frozen: layer features.1: it normalises by .*frozen_mode: train.*layer features.4' \
    pictures.yaml train.frozen_mode=train
refused 'cache_frozen: data.transforms=.*: data.transforms.0.: hflip makes another picture' \
    pictures.yaml 'data.transforms=[{kind: hflip}]'
refused 'train.cache_frozen of stage head: layer 3: dropout draws anew in every step, and layer 4 behind it is frozen' \
    staged.yaml model.dropout=0.1
same "nothing was trained for what is refused" "$(ls -d refused 2>/dev/null)" ""
# Without keeping, none of this is in the way.
status 0 workers 2 train staged.yaml model.dropout=0.1 stages.head.cache_frozen=no stages.upper.cache_frozen=no run.dir=drawn
finish
