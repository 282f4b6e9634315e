#!/bin/sh
# A Swin with drop path and both dropouts, on images that its windows do not divide: the same weights, EMA and metrics on 1, 2,
# 3 and 4 workers, and through a worker's death and a resume on another number of them, in fp32 and in bf16.
set -u
. "$(dirname "$0")/../support/lib.sh"

sh "$here/make_idx.sh" "$work" 150 40
cat >swin.yaml <<'RECIPE'
run: {name: swin}
data: {kind: idx, train: train-images, train_labels: train-labels, validation: test-images, validation_labels: test-labels}
model: {kind: swin_t, width: 0.0625, patch: 4, window: 4, stochastic_depth: 0.3, dropout: 0.1, attention_dropout: 0.1}
loss: {kind: cross_entropy}
optimizer: {kind: adamw, lr: 2e-3}
ema: {beta: 0.9, update_after_step: 0, update_every: 1}
checkpoint: {every: 2, unit: step}
train: {epochs: 2, batch: 32, lanes: 4}   # the last batch is short
RECIPE

# check NAME OVERRIDES...
check() {
    name=$1
    shift
    status 0 workers 1 train swin.yaml "$@" run.dir="$name"
    for n in 2 3 4; do same_on $n "$name" swin.yaml "$@"; done
    status 0 workers 2 train swin.yaml "$@" train.epochs=4 run.dir="$name-long"
    break_and_resume 3 2 "$name-long" swin.yaml "$@" train.epochs=4
    rm -rf broken-3-2
    # What the frozen stages give is kept, with the bits of layers that run in every epoch.
    set -- "$@" model.stochastic_depth=0 model.dropout=0 model.attention_dropout=0 train.frozen_piece=5 \
        'train.freeze=["*"]' 'train.unfreeze=["head.*"]'
    status 0 alone train swin.yaml "$@" train.cache_frozen=memory run.dir="$name-kept"
    status 0 workers 3 train swin.yaml "$@" train.cache_frozen=no run.dir="$name-none"
    same "$name, kept nothing: digests" "$(digests "$name-none")" "$(digests "$name-kept")"
}

check fp32
status 0 alone train swin.yaml model.stochastic_depth=0 run.dir=no-drop-path
[ "$(digests no-drop-path)" != "$(digests fp32)" ]
same "drop path changes what is learnt" $? 0
if alone plan swin.yaml engine.precision=bf16 2>&1 | grep -q 'cannot compute in bf16'; then
    echo "skipped: bf16: this processor cannot compute in it"
else
    check bf16 engine.precision=bf16
fi

status 2 alone train swin.yaml model.patch=29
says 'model.patch: a patch of 29 pixels does not fit an image of 28 x 28'
status 2 alone train swin.yaml model.norm=batch
says 'model.norm=batch: kind swin_t does not take it: it is for mlp, cnn, plugin'
finish
