#!/bin/sh
# ResNet-18 against torchvision's, side by side in one run: images per second of whole training steps (forward, backward,
# SGD), one worker and one thread each, and the most memory held.  At 32 pixels with the stem for small images and batches
# of 128, at 224 with batches of 32.  PyTorch runs in its default layout and in channels_last; the better one counts.
#
#   PYTHON=/path/to/python tests/bench/resnet.sh [32|224|frozen ...]
#
# `frozen` is fine-tuning at 224: seconds of one epoch and of ten over IMAGES (default 256) pictures in batches of 32, the
# last layer training on frozen ones, whose features Lockstep keeps (train.cache_frozen) and PyTorch's loop computes anew.
# Lockstep's are those of the whole command, its start and end included, PyTorch's those of the loop alone.
#
# PYTHON needs torch, torchvision, numpy and h5py.  STEPS (default 4) is how many steps are timed, RUNS (default 3) how
# often each is run, alternating so that all see the same machine; PRECISION (default fp32) is Lockstep's.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
lockstep=${LOCKSTEP:-$root/build/lockstep}
python=${PYTHON:-python3}
. "$root/tests/bench/lib.sh"
steps=${STEPS:-4}
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# recipe SIDE BATCH STEM LENGTH: resnet.yaml, its `train` begun with LENGTH
recipe() {
    cat >"$work/resnet.yaml" <<RECIPE
run: {name: bench, dir: $work/run}
engine: {kind: cpu, precision: ${PRECISION:-fp32}, threads: 1}
data: {kind: hdf5, train: $work/$1.h5, transforms: [{kind: normalize, mean: [0.5], std: [0.25]}]}
model: {kind: resnet18, stem: $3}
loss: {kind: cross_entropy}
optimizer: {kind: sgd, lr: 0.01, momentum: 0.9, weight_decay: 5e-4}
train: {$4, batch: $2, lanes: 1}
RECIPE
    rm -rf "$work/run"
}
train() { peak "$lockstep" train "$work/resnet.yaml"; }

# ours SIDE BATCH STEM: a line "images/s MiB".
ours() {
    recipe "$@" "steps: $steps"
    mib=$(train)
    echo "$(rate "$work/run/summary.json") $mib"
}

# ours_frozen EPOCHS: a line "seconds MiB".
ours_frozen() {
    recipe frozen 32 imagenet "epochs: $1, freeze: ['*'], unfreeze: ['fc.*'], cache_frozen: memory"
    begin=$(date +%s.%N)
    mib=$(train)
    echo "$(date +%s.%N) $begin $mib" | awk '{ printf "%.2f %s", $1 - $2, $3 }'
}

frozen() {
    "$python" "$root/tests/bench/resnet.py" data "$work/frozen.h5" "${IMAGES:-256}" 224
    for run in $(seq "${RUNS:-3}"); do
        for epochs in 1 10; do
            ours_frozen $epochs >"$work/mine"
            for layout in default channels_last; do
                "$python" "$root/tests/bench/resnet.py" frozen "$work/frozen.h5" 32 $epochs $layout
            done | sort -g | head -n 1 >"$work/theirs"
            echo "$(cat "$work/mine") $(cat "$work/theirs")" >>"$work/frozen.$epochs"
            echo "frozen, run $run, $epochs epochs: lockstep $(cat "$work/mine"), torch (the better) $(cat "$work/theirs")" \
                "(s MiB)"
        done
    done
    for epochs in 1 10; do
        awk '{ print $3 / $1, $0 }' "$work/frozen.$epochs" | sort -g | awk -v epochs=$epochs '{ v[NR] = $0 } END {
            split(v[int((NR + 1) / 2)], m, " ")
            printf "frozen, %d epochs, median: lockstep %.2f s, torch %.2f s; ratio %.2f; peak %.0f and %.0f MiB\n",
                   epochs, m[2], m[4], m[1], m[3], m[5] }'
    done
}

# compare SIDE BATCH STEM
compare() {
    "$python" "$root/tests/bench/resnet.py" data "$work/$1.h5" "$(($2 * (steps + 1)))" "$1"
    for run in $(seq "${RUNS:-3}"); do
        ours "$@" >>"$work/ours.$1"
        for layout in default channels_last; do
            "$python" "$root/tests/bench/resnet.py" torch "$work/$1.h5" "$2" "$steps" $layout >>"$work/$layout.$1"
        done
        echo "$1 pixels, run $run: lockstep $(tail -n 1 "$work/ours.$1"), torch $(tail -n 1 "$work/default.$1")," \
            "channels_last $(tail -n 1 "$work/channels_last.$1") (images/s MiB)"
    done
    best=default
    [ "$(median <"$work/channels_last.$1" | awk -v d="$(median <"$work/default.$1")" '{ print ($1 > d) }')" = 1 ] &&
        best=channels_last
    awk -v a="$(median <"$work/ours.$1")" -v b="$(median <"$work/$best.$1")" -v name=$best \
        -v am="$(cut -d' ' -f2 "$work/ours.$1" | median)" -v bm="$(cut -d' ' -f2 "$work/$best.$1" | median)" -v side="$1" \
        'BEGIN { printf "%s pixels, medians: lockstep %.1f, torch (%s) %.1f images/s; ratio %.2f; peak %.0f and %.0f MiB\n",
                        side, a, name, b, a / b, am, bm }'
}

for side in "${@:-32 224 frozen}"; do
    for each in $side; do
        case $each in
            frozen) frozen ;;
            32) compare 32 128 cifar ;;
            *) compare "$each" 32 imagenet ;;
        esac
    done
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
"$python" -c 'import torch; print("torch", torch.__version__)'
