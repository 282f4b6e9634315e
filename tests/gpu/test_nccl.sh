#!/bin/sh
# Gradients over NCCL: the bits of one worker, plain ncclAllReduce, a failure that ends the job.  With several devices by
# NCCL itself; on the stand-in, which acts as four devices, by its small NCCL over sockets; on one device with one worker.
set -u
. "$(dirname "$0")/../support/lib.sh"
export STANDIN_DEVICES=4
. "$here/device.sh"

devices=$(sed -n 's|^cuda engine .*; \([0-9]*\) devices*;.*|\1|p' doctor.txt)
set -- "$recipes/ema-regression.yaml" --engine cuda train.lanes=4 train.epochs=3 data.samples=333 \
    data.validation_samples=101 dist.bucket_bytes=4096

status 0 workers 1 train "$@" run.dir=one
status 0 workers 1 train "$@" run.dir=plain dist.reduction=nccl
same "one worker, plain nccl: digests" "$(digests plain)" "$(digests one)"
[ "$devices" -ge 4 ] || { echo "skipped: NCCL between workers: $devices device"; finish; }

for n in 2 3 4; do same_on $n one "$@"; done

# The epoch's last batch is regular for one worker (lanes of 2) and short for the other (lanes of 1), which has not seen it
# before: whether NCCL's operations are captured must not depend on that.
set -- "$@" train.batch=8 data.samples=62
status 0 workers 1 train "$@" run.dir=short
same_on 2 short "$@"
status 0 workers 3 train "$@" run.dir=anyhow dist.reduction=nccl

# An operation that fails on the way: one message, exit status 6, nobody left.
if grep -q stand-in doctor.txt; then
    export STANDIN_NCCL_FAIL_AFTER=10
    status 6 workers 3 train "$@" run.dir=broken
    says "NCCL"
fi
finish
