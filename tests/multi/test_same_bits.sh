#!/bin/sh
# The promise: weights, EMA and metrics are the same bits on 1, 2, 3 and 4 workers; for plain layers, and with batch
# norm and dropout on a data set that the batch does not divide; for a CNN in both precisions.
set -u
. "$(dirname "$0")/../support/lib.sh"

batch_norm="run.name=bn model.norm=batch model.dropout=0.3 data.samples=777 data.validation_samples=101"

# check NAME RECIPE OVERRIDES...
check() {
    name=$1
    shift
    set -- "$@" train.epochs=3 train.lanes=4 ema.update_after_step=10
    status 0 workers 1 train "$@" run.dir="$name"
    for n in 2 3 4; do same_on $n "$name" "$@"; done
}

check mlp "$recipes/ema-regression.yaml"
# shellcheck disable=SC2086
check bn "$recipes/ema-regression.yaml" $batch_norm
check clip "$recipes/ema-regression.yaml" optimizer.clip_norm=0.5 dist.bucket_bytes=4096
sh "$here/make_idx.sh" "$work/images" 300 60
cnn="data.train=$work/images/train-images data.train_labels=$work/images/train-labels
     data.validation=$work/images/test-images data.validation_labels=$work/images/test-labels train.batch=64"
# shellcheck disable=SC2086
check cnn "$recipes/fashion-cnn.yaml" $cnn
# shellcheck disable=SC2086
if alone plan "$recipes/fashion-cnn.yaml" $cnn engine.precision=bf16 2>&1 | grep -q 'cannot compute in bf16'; then
    echo "skipped: bf16: this processor cannot compute in it"
else
    check cnn-bf16 "$recipes/fashion-cnn.yaml" $cnn engine.precision=bf16
fi
finish
