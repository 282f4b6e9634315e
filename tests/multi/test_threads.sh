#!/bin/sh
# All threads at once, briefly, for ThreadSanitizer (tests/run): buckets are summed while the backward pass goes on, the
# loader fills ahead, checkpoints are written while training goes on, the watchdog looks; then all of it again on resume.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" data.samples=240 data.validation_samples=60 train.batch=24 train.lanes=3 \
    dist.bucket_bytes=1024 dist.timeout=100 checkpoint.unit=step checkpoint.every=3 ema.update_after_step=2
status 0 workers 3 train "$@" train.epochs=2 run.dir=run
status 0 workers 3 train "$@" train.epochs=3 run.dir=run --resume
status 0 alone train "$@" train.epochs=3 run.dir=whole
same "digests on 3 workers, resumed" "$(digests run)" "$(digests whole)"
finish
