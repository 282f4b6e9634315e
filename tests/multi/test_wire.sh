#!/bin/sh
# dist.wire=bf16: gradients travel in half the bytes; the bits are those of one worker for any number of them, and other
# ones than fp32's.  What cannot sum so refuses it, and a resume may not change it.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=4 data.samples=333 train.epochs=30 ema.update_after_step=10
status 0 alone train "$@" run.dir=fp32
set -- "$@" dist.wire=bf16
status 0 alone train "$@" run.dir=bf16
same "bf16 gives other bits" "$([ "$(digests bf16)" != "$(digests fp32)" ] && echo yes || echo no)" yes
for n in 2 3 4; do same_on "$n" bf16 "$@" dist.bucket_bytes=4096; done
break_and_resume 4 2 bf16 "$@" checkpoint.every=1 checkpoint.unit=step

status 0 alone plan "$@"
says 'gradients of .* MB travel as bf16 \(dist.wire\)'
status 2 workers 2 train "$@" run.dir=mpi dist.reduction=mpi
says 'dist.wire=bf16 sums in the tree alone'
status 2 alone train "$@" run.dir=bf16 train.epochs=31 dist.wire=fp32 --resume
says 'dist.wire'
finish
