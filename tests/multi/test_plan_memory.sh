#!/bin/sh
# `plan` tells all memory of a worker that grows with the model, the batch and the data: its sum is the peak of the run beyond
# that of a plan over a few samples, which links the same libraries, within 5 %.  And it takes none of it but the data's.
. "$(dirname "$0")/../support/lib.sh"

# Sanitizers keep memory of their own, and what was freed.
can_bad_files || { echo "skipped: the program is built with a sanitizer"; exit 77; }

# compare ARGS...: into $verdict what plan.txt says of this run, and what one takes.
compare() {
    rm -rf "$name"
    peak=$("$PEAK" "$lockstep" train "$@" run.dir="$name" 2>&1 | tee train.txt | tail -n 1)
    said=$(sed -n 's/^  all together *\([0-9.]* [KMGT]iB\).*/\1/p' plan.txt)
    verdict=$(awk -v said="$said" -v took=$((peak - base)) 'BEGIN {
        split(said, s, " ")
        n = s[1] * 1024 ^ (index("KMGT", substr(s[2], 1, 1)))
        off = (n - took) / took
        printf "%s, the run took %.1f MiB, %+.1f %%: %s", said, took / 1048576, 100 * off, (off * off < 0.05 * 0.05) ? "yes" : "no"
    }')
}

# agrees NAME LESS ARGS...: what plan says of this run and what the run takes.  LESS, overrides, leaves a few samples.
agrees() {
    name=$1 less=$2
    shift 2
    # shellcheck disable=SC2086
    base=$("$PEAK" "$lockstep" plan "$@" $less run.dir="$name" | tail -n 1)
    "$lockstep" plan "$@" run.dir="$name" >plan.txt
    compare "$@"
    # What libraries hold for a moment depends on the order of threads: the lesser of two runs is the run's own.
    case $verdict in
    *no) echo "once more: $name: plan says $verdict"; compare "$@" ;;
    esac
    case $verdict in
    *yes) echo "ok: $name: plan says $verdict" ;;
    *)
        echo "FAILED: $name: plan says $verdict"
        cat plan.txt train.txt
        n_failed=$((n_failed + 1)) ;;
    esac
}

sh "$here/make_idx.sh" idx 1024 256
sh "$here/make_idx.sh" few 16 16
few="data.train=few/train-images data.train_labels=few/train-labels data.validation=few/test-images
    data.validation_labels=few/test-labels"
images="data.train=idx/train-images data.train_labels=idx/train-labels data.validation=idx/test-images
    data.validation_labels=idx/test-labels train.lanes=1 train.epochs=1 train.batch=512"
grep -v '^ema:' "$recipes/fashion-cnn.yaml" >plain-cnn.yaml

agrees mlp "data.samples=16 data.validation_samples=16" "$recipes/ema-regression.yaml" \
    'model.layers=[20, 2000, 2000, 1]' train.lanes=2 train.batch=1024 train.epochs=1 data.samples=2048 data.validation_samples=512 checkpoint.every=1
# shellcheck disable=SC2086
agrees cnn "$few" plain-cnn.yaml $images model.norm=none train.best_metric=validation.accuracy
# shellcheck disable=SC2086
agrees cnn-with-norm-and-ema "$few" "$recipes/fashion-cnn.yaml" $images

# What frozen layers give is memory too, and evaluation needs no batches of images.
# shellcheck disable=SC2086
agrees features "$few" plain-cnn.yaml $images 'model.channels=[32]' 'train.freeze=["features.*"]' train.cache_frozen=memory train.best_metric=validation.accuracy

# The samples count: all of those in memory, and blocks of those that are read as they are wanted.
for set in "train 40000" "validation 2000" "few 16"; do "$MAKE_IMAGES" "${set% *}.h5" "${set#* }" uint8; done
cat >images.yaml <<'RECIPE'
run: {name: images}
data:
  kind: hdf5
  train: train.h5
  validation: validation.h5
  transforms: [{kind: normalize, mean: [0.3], std: [0.3]}]
model: {kind: mlp, layers: [784, 512, 10]}
loss: {kind: cross_entropy}
optimizer: {kind: sgd, lr: 1e-3}
train: {epochs: 1, steps: 8, batch: 2000, lanes: 1}
RECIPE
agrees images "data.train=few.h5 data.validation=few.h5" images.yaml
agrees streamed "data.train=few.h5 data.validation=few.h5" images.yaml data.memory=32 "model.layers=[784, 2048, 10]"

# 70 billion parameters: a terabyte and a half that this machine has not, planned in a few MiB.
layers="[20$(printf ', 34000%.0s' $(seq 61)), 1]"
small=$("$PEAK" "$lockstep" plan "$recipes/ema-regression.yaml" | tail -n 1)
large=$("$PEAK" "$lockstep" plan "$recipes/ema-regression.yaml" model.layers="$layers" train.lanes=1 | tee big.txt | tail -n 1)
same "weights of the large plan" "$(sed -n 's/.*: \([0-9]*\) of .*/\1/p' big.txt | head -n 1)" 69362788001
same "the large plan took less than 64 MiB more than the small" "$([ $((large - small)) -lt 67108864 ] && echo yes)" yes

finish
