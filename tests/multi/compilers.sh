#!/bin/sh
# The promise goes over compilers: the program of another one (LOCKSTEP_OTHER) trains the bits of this one (LOCKSTEP), on
# the same machine with the same libraries: a plain network with EMA, one with batch norm, dropout and tanh under an
# expression's schedule, a CNN, on two workers and on one.
set -u
. "$(dirname "$0")/../support/lib.sh"
other=${LOCKSTEP_OTHER:?set LOCKSTEP_OTHER to the program of the other compiler}

# both NAME RECIPE OVERRIDES...
both() {
    name=$1
    shift
    status 0 alone train "$@" train.lanes=2 run.dir="$name"
    status 0 timeout 120 mpirun --oversubscribe -n 2 "$other" train "$@" train.lanes=2 run.dir="$name-other"
    same "$name: digests" "$(digests "$name-other")" "$(digests "$name")"
    same "$name: metrics" "$(cksum <"$name-other/metrics.csv")" "$(cksum <"$name/metrics.csv")"
}

"$lockstep" --version
"$other" --version | grep 'built from'
both ema "$recipes/ema-regression.yaml" train.epochs=3 ema.update_after_step=10
both polynomial "$recipes/lambda-polynomial.yaml" train.epochs=3
both batch-norm "$recipes/ema-regression.yaml" train.epochs=2 model.norm=batch model.dropout=0.3 model.activation=tanh
sh "$here/make_idx.sh" "$work/images" 300 60
both cnn "$recipes/fashion-cnn.yaml" data.train=images/train-images data.train_labels=images/train-labels \
    data.validation=images/test-images data.validation_labels=images/test-labels train.batch=64 train.epochs=2
finish
