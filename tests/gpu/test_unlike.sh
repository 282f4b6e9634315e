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

# Another card, another driver.
status 2 unlike STANDIN_CARD=B "$@" run.dir=cards
says "not alike.*device of rank 1 .* is .stand-in B, compute 9.0, 4 SMs., of rank 0 .* .stand-in on the host, compute 9.0"
status 0 unlike STANDIN_CARD=B "$@" run.dir=cards-anyhow dist.reduction=mpi
says "warning: the workers are not alike: device of rank 1"
status 0 unlike STANDIN_DRIVER=99010 "$@" run.dir=drivers
says "warning: the workers are not alike: driver of rank 1 .* is .99.1, fits runtime"

# A checkpoint keeps them; who resumes on another card is told, and trains.
status 0 workers 2 "$@" run.dir=moved
status 0 alone ckpt show moved
says "machine/device +stand-in on the host, compute 9.0, 4 SMs"
status 0 workers 2 "$@" run.dir=moved train.epochs=3 --resume
same "warnings where nothing moved" "$(grep -c 'another machine' out.txt)" 0
export STANDIN_CARD=B
status 0 workers 2 "$@" run.dir=moved train.epochs=4 --resume
says "resuming on another machine.*: device stand-in on the host, compute 9.0, 4 SMs -> stand-in B, compute 9.0, 4 SMs$"
unset STANDIN_CARD

# The driver against the CUDA that the module was built with.
fit() { STANDIN_DRIVER=$1 "$lockstep" doctor | grep '^cuda engine'; }
same "a newer driver" "$(fit 99000 | grep -cE 'driver 99.0, fits runtime [0-9.]+$')" 1
same "a driver of an older major version" "$(fit 11080 | grep -c 'knows CUDA up to 11.8 and this build is of CUDA')" 1

# Where it has nothing, a plain product does it, and that is said once for each layer.
export STANDIN_GEMM_REFUSE=all
status 0 workers 2 "$@" run.dir=plain
same "layers said to be slow" "$(grep -c 'plain and slow kernel.*cuBLASLt' out.txt)" 2
status 0 alone plan "$recipes/ema-regression.yaml" --engine cuda
says "plain and slow kernel does it: cuBLASLt has no algorithm"
unset STANDIN_GEMM_REFUSE
finish
