#!/bin/sh
# The experiments with pictures: recipes of launch/recipes on parts of CIFAR-10, over seeds, Lockstep's beside
# PyTorch's, one worker and one thread each.  Networks are a quarter as wide, so that it does not take days.
#
#   CIFAR=FOLDER tests/bench/vision.sh resnet|few|finetune|swin ...
#
# CIFAR has CIFAR-10's binary files.  SEEDS (3): 0 to SEEDS-1.  EPOCHS (10, at least 2): of `resnet`, and of the
# training on eight classes that `few` and `swin` begin with.  LOCKSTEP and PYTHON name the programs, OUT
# (vision-results) the folder for runs and results, NAME.lockstep and NAME.torch.  Lockstep and PyTorch run beside each
# other, on two cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
recipes=$top/launch/recipes
lockstep=$(realpath "${LOCKSTEP:-$top/build/lockstep}")
python=${PYTHON:-python3}
cifar=$(realpath "${CIFAR:?CIFAR=FOLDER names the folder of data_batch_1.bin and the others}")
seeds=${SEEDS:-3}
epochs=${EPOCHS:-10}
mkdir -p "${OUT:-vision-results}"
cd "${OUT:-vision-results}"
export PYTHONDONTWRITEBYTECODE=1

# ours NAME RECIPE OVERRIDES...
ours() {
    name=$1 recipe=$recipes/$2
    shift 2
    runs=
    for seed in $(seq 0 $((seeds - 1))); do
        "$lockstep" train "$recipe" "$@" run.seed="$seed" run.dir="$name-$seed" >"$name-$seed.log" 2>&1
        runs="$runs $name-$seed"
    done
    # shellcheck disable=SC2086  # names of runs, without blanks
    "$python" "$here/courses.py" $runs >"$name.lockstep"
}

# compare NAME RECIPE OVERRIDES...
compare() {
    ours "$@" &
    mine=$!
    name=$1 recipe=$recipes/$2
    shift 2
    "$python" "$here/vision_reference.py" "$recipe" "$@" --seeds "$seeds" >"$name.torch"
    wait $mine
    for who in lockstep torch; do sed "s/^/$name, $who: /" "$name.$who"; done
}

# folders: eight classes to learn from, two with 50 pictures each
folders() {
    [ -d few ] && return
    make=$top/launch/pictures/cifar_folders.py
    old=bird,cat,deer,dog,frog,horse,ship,truck
    "$python" "$make" eight/train "$cifar/data_batch_1.bin" "$cifar/data_batch_2.bin" --classes $old --each 1250
    "$python" "$make" eight/validation "$cifar/test_batch.bin" --classes $old --each 100
    "$python" "$make" few/train "$cifar/data_batch_5.bin" --classes airplane,automobile --each 50
    "$python" "$make" few/validation "$cifar/test_batch.bin" --classes airplane,automobile --each 500
} >&2

# first NAME RECIPE OVERRIDES...: the training that others begin with, as NAME.safetensors
first() {
    [ -f "$1.safetensors" ] && return
    name=$1 recipe=$recipes/$2
    shift 2
    "$lockstep" train "$recipe" "$@" data.kind=images data.train=eight/train data.validation=eight/validation \
        train.lanes=1 train.best_metric=validation.accuracy run.dir="$name" >"$name.log" 2>&1
    "$lockstep" ckpt export "$name" -o "$name.safetensors"
    tail -n 1 "$name/metrics.csv"
} >&2

few="data.train=few/train data.validation=few/validation"

# from_both NAME RECIPE WEIGHTS OVERRIDES...: with weights, and from scratch
from_both() {
    both=$1 file=$2 weights=$3
    shift 3
    # shellcheck disable=SC2086  # two overrides
    compare "$both" "$file" $few "$@" init_from.checkpoint="$weights.safetensors"
    # shellcheck disable=SC2086
    compare "$both-scratch" "$file" $few "$@" init_from=null
}

resnet() {
    compare cifar-resnet18 cifar-resnet18.yaml model.width=0.25 train.lanes=1 train.epochs="$epochs" \
        scheduler.T_max="$epochs" data.train="[$cifar/data_batch_1.bin]" data.validation="$cifar/test_batch.bin"
}

few() {
    folders
    first eight-resnet18 cifar-resnet18.yaml model.width=0.25 train.epochs="$epochs" scheduler.T_max="$epochs" ema=null
    from_both few-resnet18 few-resnet18.yaml eight-resnet18
}

swin() {
    folders
    first eight-swin cifar-swin.yaml train.epochs="$epochs" \
        scheduler.warmup.total_iters=1 scheduler.T_max=$((epochs - 1))
    from_both few-swin few-swin.yaml eight-swin
}

# The same recipe, without its stages and all at once, is the training that it begins with.
finetune() {
    folders
    first eight-224 finetune-resnet18.yaml model.width=0.25 init_from=null stages=null train.epochs=4 train.batch=64
    from_both finetune-resnet18 finetune-resnet18.yaml eight-224 model.width=0.25
}

for experiment in "${@:?which: resnet, few, finetune, swin}"; do
    begin=$(date +%s)
    "$experiment"
    echo "$experiment: $(($(date +%s) - begin)) s"
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
