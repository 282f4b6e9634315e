#!/bin/sh
# Speed of the CUDA engine beside PyTorch on one device, in one run: the optimizer's pass over 124 M parameters against a
# copy (target: 0.85), products (target: 0.95 of PyTorch's), samples per second of ema-regression.  From a build folder or
# a bundle made with --tests.  All tensors are zeros on both sides: on real numbers products are some 10 % slower.
#
#   PYTHON=python3 tests/bench/gpu.sh [BUILD]          PYTHON needs torch; without it, our figures alone
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build}
if [ -x "$root/bin/lockstep" ]; then
    bench=$root/tests/bin/bench_gpu LOCKSTEP=$root/lockstep recipes=$root/recipes
    export LOCKSTEP_CUDA_MODULE="${LOCKSTEP_CUDA_MODULE:-$root/bin/lockstep-cuda.so}"
else
    bench=$build/tests/bench_gpu LOCKSTEP=$build/lockstep recipes=$root/launch/recipes
    export LOCKSTEP_CUDA_MODULE="${LOCKSTEP_CUDA_MODULE:-$build/lockstep-cuda.so}"
fi
export LOCKSTEP
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$LOCKSTEP" doctor | grep -E '^(cuda engine|mpi)'
"$bench" ${MILLIONS:-} >"$work/ours"
"$python" "$root/tests/bench/gpu_torch.py" >"$work/theirs" 2>/dev/null || echo "no PyTorch on a device: ours alone"
awk 'FILENAME == ARGV[1] { theirs[$1] = $2; next }
     { printf "%-28s %10s %-8s", $1, $2, $3; if ($1 in theirs) printf " torch %10s  ratio %.2f", theirs[$1], $2 / theirs[$1]; print "" }' \
    "$work/theirs" "$work/ours"
grep '^torch ' "$work/theirs" || true
"$LOCKSTEP" train "$recipes/ema-regression.yaml" --engine cuda train.lanes=1 train.epochs="${EPOCHS:-60}" \
    run.dir="$work/run" >/dev/null
echo "ema-regression: $(sed -n 's/.*"samples_per_second": *\([0-9.e+]*\).*/\1/p' "$work/run/summary.json" | head -n 1) samples/s"
