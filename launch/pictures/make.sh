#!/bin/sh
# Draws the pictures of README.md and tests/bench/RESULTS.md anew: trains the recipes that they show and plots them.
#
#     LOCKSTEP=build/lockstep AIRFOIL=airfoil_self_noise.dat PAIRS=fra.txt VISION=vision-results launch/pictures/make.sh
#
# Half a minute.  Without the airfoil table and the pairs of sentences (see launch/recipes/stages-airfoil.yaml and
# fra-eng-transformer.yaml) their pictures stay as they are, and so do those of vision without VISION, the folder of runs
# that tests/bench/vision.sh leaves.  pngquant, where installed, makes the files a third as large.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
recipes=$top/launch/recipes
lockstep=$(realpath "${LOCKSTEP:-$top/build/lockstep}")
airfoil=${AIRFOIL:-$top/../shared/data/airfoil-self-noise/airfoil_self_noise.dat}
[ -f "$airfoil" ] && airfoil=$(realpath "$airfoil")
pairs=${PAIRS:-$top/../shared/data/fra-eng/fra.txt.xz}
[ -f "$pairs" ] && pairs=$(realpath "$pairs")
vision=${VISION:+$(realpath "$VISION")}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

train() { "$lockstep" train "$@" 2>&1 | grep stopped; }

rate=$recipes/lambda-polynomial.yaml
train "$rate" run.dir='0.05 × 0.95^epoch'
train "$rate" run.dir='constant 0.03' run.name=constant-0.03 scheduler=null optimizer.lr=0.03
train "$rate" run.dir='constant 0.01' run.name=constant-0.01 scheduler=null optimizer.lr=0.01
"$lockstep" plot '0.05 × 0.95^epoch' 'constant 0.03' 'constant 0.01' -o lambda-polynomial.png

train "$recipes/ema-regression.yaml" run.dir=ema-regression
"$lockstep" plot ema-regression -o ema-regression.png

if [ -f "$airfoil" ]; then
    train "$recipes/stages-airfoil.yaml" data.train="$airfoil" run.dir=stages-airfoil
    "$lockstep" plot stages-airfoil -o stages-airfoil.png
else
    echo "skipped stages-airfoil.png: no $airfoil; AIRFOIL=FILE names it" >&2
fi

if [ -f "$pairs" ]; then
    train "$recipes/fra-eng-transformer.yaml" data.train="$pairs" run.dir=pairs
    "$lockstep" translate pairs --attention attention.png "I'm home."
else
    echo "skipped attention.png: no $pairs; PAIRS=FILE names it" >&2
fi

(cd "$recipes/schedules" && "$lockstep" lr warmup-cosine-exp.yaml onecycle.yaml wsd.yaml \
    warm-restarts.yaml --plot "$work/schedules.png")

# beside NAME: a run that began with weights, and the one from scratch; the runs of the first seed
beside() {
    ln -s "$vision/$1-0" pretrained
    ln -s "$vision/$1-scratch-0" scratch
    "$lockstep" plot pretrained scratch -o "$1.png"
    rm pretrained scratch
}
if [ -n "$vision" ]; then
    "$lockstep" plot "$vision/cifar-resnet18-0" -o cifar-resnet18.png
    for name in few-resnet18 few-swin finetune-resnet18; do beside $name; done
else
    echo "skipped the pictures of vision: VISION=FOLDER names the runs of tests/bench/vision.sh" >&2
fi

if command -v pngquant >/dev/null; then pngquant --force --ext .png 64 ./*.png; fi
mv ./*.png "$here"
