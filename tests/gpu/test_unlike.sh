#!/bin/sh
# Workers that are not alike: refused where the bits are promised, for a lane would have other bits on another worker.
# Only the stand-in can be told to be another card or another library, so it is skipped on a device.
set -u
. "$(dirname "$0")/../support/lib.sh"
. "$here/device.sh"
grep -q stand-in doctor.txt || { echo "skipped: the workers of a machine are alike"; exit 77; }

set -- train "$recipes/ema-regression.yaml" --engine cuda train.lanes=2 train.epochs=2 data.samples=64 \
    data.validation_samples=16

# unlike VARIABLE=VALUE ARGS...: two workers, of which the second alone has the variable.
unlike() {
    variable=$1
    shift
    timeout 120 mpirun --oversubscribe -n 1 "$lockstep" "$@" : -n 1 env "$variable" "$lockstep" "$@"
}

# A library that has less, on one worker: another algorithm there.
status 0 unlike NOTHING=1 "$@" run.dir=alike
status 2 unlike STANDIN_GEMM_REFUSE=vector "$@" run.dir=libraries
says "samples. the libraries of rank 1 .* chose otherwise than those of rank 0"
status 0 unlike STANDIN_GEMM_REFUSE=vector "$@" run.dir=anyhow dist.reduction=mpi

# Where it has nothing, a plain product does it, and that is said once for each layer.
export STANDIN_GEMM_REFUSE=all
status 0 workers 2 "$@" run.dir=plain
same "layers said to be slow" "$(grep -c 'plain and slow kernel.*cuBLASLt' out.txt)" 2
status 0 alone plan "$recipes/ema-regression.yaml" --engine cuda
says "plain and slow kernel does it: cuBLASLt has no algorithm"
unset STANDIN_GEMM_REFUSE
finish
