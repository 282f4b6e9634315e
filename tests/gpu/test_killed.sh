#!/bin/sh
# A worker of the CUDA engine is killed; resumed on one worker for a few steps more, the run has the bits of one
# that was never broken.  Small, so that it is quick on the stand-in: multi/test_crash_resume.sh does the same at
# length.
set -u
. "$(dirname "$0")/../support/lib.sh"
. "$here/device.sh"

set -- "$recipes/ema-regression.yaml" --engine cuda train.lanes=2 train.epochs=1000000 data.samples=90 \
    data.validation_samples=10 ema.update_after_step=3 train.early_stop.patience=1000000 \
    checkpoint.every=1 checkpoint.unit=step

workers 2 train "$@" run.dir=broken >broken.txt 2>&1 &
job=$!
wait_for broken/checkpoints/latest
victim=$(worker_of broken)
same "a worker is found" "$([ -n "$victim" ] && echo yes || echo no)" yes
kill -9 "$victim"
wait $job
case $? in 0) how="to its end" ;; 124) how="for ever" ;; *) how="until it was killed" ;; esac
same "the job ran" "$how" "until it was killed"

reached=$(readlink broken/checkpoints/latest | grep -oE '[1-9][0-9]*$')
status 0 workers 1 train "$@" run.dir=broken train.steps=$((reached + 5)) --resume
status 0 workers 2 train "$@" run.dir=whole train.steps=$((reached + 5))
same "resumed from step $reached: digests" "$(digests broken)" "$(digests whole)"
finish
