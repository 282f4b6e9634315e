#!/bin/sh
# Draws the README's pictures anew: trains the recipes that they show and plots them.  About ten seconds.
#
#     LOCKSTEP=build/lockstep AIRFOIL=airfoil_self_noise.dat launch/pictures/make.sh
#
# Without the airfoil table (see launch/recipes/stages-airfoil.yaml) its picture stays as it is.  pngquant, where
# installed, makes the files a third as large.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
recipes=$top/launch/recipes
lockstep=$(realpath "${LOCKSTEP:-$top/build/lockstep}")
airfoil=${AIRFOIL:-$top/../shared/data/airfoil-self-noise/airfoil_self_noise.dat}
[ -f "$airfoil" ] && airfoil=$(realpath "$airfoil")

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

(cd "$recipes/schedules" && "$lockstep" lr warmup-cosine-exp.yaml onecycle.yaml wsd.yaml \
    warm-restarts.yaml --plot "$work/schedules.png")

if command -v pngquant >/dev/null; then pngquant --force --ext .png 64 ./*.png; fi
mv ./*.png "$here"
