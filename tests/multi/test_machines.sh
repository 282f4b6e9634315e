#!/bin/sh
# Workers on processors that differ are refused where the bits are promised, warned of elsewhere; a checkpoint keeps what it
# was trained on, and who resumes elsewhere is told.  oneDNN takes this processor for an old one where it is told to.
set -u
. "$(dirname "$0")/../support/lib.sh"
old='DNNL_MAX_CPU_ISA=SSE41'

set -- train "$recipes/ema-regression.yaml" --engine cpu train.lanes=2 train.epochs=1 data.samples=64 data.validation_samples=16
# unlike ARGS...: two workers, the second on an old processor.
unlike() { timeout 120 mpirun --oversubscribe -n 1 "$lockstep" "$@" : -n 1 env $old "$lockstep" "$@"; }
older() { env $old timeout 120 "$lockstep" "$@"; }

older doctor | grep -q '^cpu engine.*sse4.1' || { echo "skipped: this oneDNN cannot be told what processor it is on"; exit 77; }
status 2 unlike "$@" run.dir=unlike
says "not alike.*device of rank 1 .* is .sse4.1., of rank 0"
same "folders of runs that were refused" "$(ls -d unlike 2>/dev/null)" ""
status 0 unlike "$@" run.dir=anyhow dist.reduction=mpi
says "warning: the workers are not alike: device of rank 1"

status 0 workers 2 "$@" run.dir=run
same "warnings among equals" "$(grep -c alike out.txt)" 0
status 0 older "$@" run.dir=run train.epochs=2 --resume
says "resuming on another machine.*: device .* -> sse4.1$"
status 0 alone ckpt show run
says "machine/device +sse4.1"
says "machine/build +commit .*-march="
status 0 older "$@" run.dir=run train.epochs=3 --resume
same "warnings where nothing moved" "$(grep -c 'another machine' out.txt)" 0
finish
