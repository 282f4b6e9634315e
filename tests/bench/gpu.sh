#!/bin/sh
# Speed of the CUDA engine beside PyTorch on one device, in one run: the optimizer's pass over 124 M parameters
# against a copy (target: 0.85), products (target: 0.95 of PyTorch's), and samples per second of two recipes,
# fashion-cnn on made-up pictures.  From a build folder or a bundle made with --tests.
#
#   PYTHON=python3 tests/bench/gpu.sh [BUILD]          PYTHON needs torch; without it, our figures alone
#
# MILLIONS of parameters, EPOCHS of the recipes, PICTURES of fashion-cnn: smaller ones for a trial where nothing
# is measured.
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

# PyTorch with the machine's libraries, without those of a bundle (launch/bundle).
torch() { LD_LIBRARY_PATH="${LOCKSTEP_HOST_LIBRARY_PATH-${LD_LIBRARY_PATH:-}}" "$python" "$@" 2>"$work/errors"; }
no_torch() { echo "no figures of PyTorch: $(tail -n 1 "$work/errors")"; }

parts() {
    "$bench" ${MILLIONS:-} >"$work/ours"
    torch "$root/tests/bench/gpu_torch.py" >"$work/theirs" || no_torch
    awk 'FILENAME == ARGV[1] { theirs[$1] = $2; next }
         { printf "%-28s %10s %-8s", $1, $2, $3
           if ($1 in theirs) printf " torch %10s  ratio %.2f", theirs[$1], $2 / theirs[$1]
           print "" }' \
        "$work/theirs" "$work/ours"
    grep '^torch ' "$work/theirs" || true
}

# whole RECIPE OVERRIDES...: both train it, without EMA, for which PyTorch needs another package.
whole() {
    recipe=$1
    shift
    "$LOCKSTEP" train "$recipes/$recipe.yaml" --engine cuda ema=null "$@" train.lanes=1 run.dir="$work/$recipe" \
        >"$work/log" 2>&1 || { tail -n 3 "$work/log"; exit 1; }
    rate=$(sed -n 's/.*"samples_per_second": *\([0-9.e+]*\).*/\1/p' "$work/$recipe/summary.json" | head -n 1)
    echo "$recipe: $rate samples/s"
    torch "$root/tests/bench/reference.py" "$recipes/$recipe.yaml" --device cuda --compile ema=null "$@" \
        >"$work/theirs" || no_torch
    sed -n 's/^samples_per_second *\([^ ]*\).*/    torch.compile \1/p' "$work/theirs"
}

"$LOCKSTEP" doctor | grep -E '^(cuda engine|mpi)'
parts
sh "$root/tests/multi/make_idx.sh" "$work/pictures" "${PICTURES:-12800}" 100
whole ema-regression scheduler.metric=validation.loss train.early_stop=null train.epochs="${EPOCHS:-60}"
whole fashion-cnn engine.precision=bf16 train.batch=512 train.epochs="${EPOCHS:-4}" train.best_metric=validation.loss \
    data.train="$work/pictures/train-images" data.train_labels="$work/pictures/train-labels" \
    data.validation="$work/pictures/test-images" data.validation_labels="$work/pictures/test-labels"
