#!/bin/sh
# A run that one worker's kill -9 ends in mid-epoch, resumed on another number of workers, ends with the bits and the
# metrics of the run that was never broken.
set -u
. "$(dirname "$0")/../support/lib.sh"

# EPOCHS: under a sanitizer a run is long enough in fewer of them.
set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs="${EPOCHS:-60}" model.norm=batch checkpoint.every=37 \
    checkpoint.unit=step data.samples=1611 train.early_stop.patience=1000
status 0 workers 4 train "$@" run.dir=whole

for pair in "4 3" "3 1" "2 4"; do
    before=${pair% *} after=${pair#* }
    break_and_resume "$before" "$after" whole "$@"
done

# A save after every step: one is still in flight when the next is due, and none may be published before all have written.
for n in 2 3; do
    status 0 workers $n train "$recipes/ema-regression.yaml" train.lanes=4 data.samples=333 \
        train.epochs=$((${EPOCHS:-60} / 3)) checkpoint.every=1 checkpoint.unit=step run.dir="dense-$n"
    status 0 alone ckpt verify "dense-$n"
done
finish
