#!/bin/sh
# TensorBoard's event files of a run that goes back to an older checkpoint: each step once, on any number of workers, and
# the same weights as without them.
set -u
. "$(dirname "$0")/../support/lib.sh"

# 4 epochs of 13 steps; then the last two checkpoints are lost, and the run goes on to 6.
set -- "$recipes/ema-regression.yaml" data.samples=416 train.early_stop=null checkpoint.every=1 checkpoint.keep=9
status 0 workers 2 train "$@" train.epochs=4 run.dir=run metrics.tensorboard=true metrics.log_every=5 metrics.histograms=2
rm -rf run/checkpoints/step-00000052 run/checkpoints/step-00000039
status 0 workers 3 train "$@" train.epochs=6 run.dir=run metrics.tensorboard=true metrics.log_every=5 metrics.histograms=2 --resume
status 0 workers 1 train "$@" train.epochs=6 run.dir=without
same "weights with and without event files" "$(digests run)" "$(digests without)"
same "a file for each start" "$(ls run/tensorboard | wc -l | tr -d ' ')" 2
same "no files unless asked for" "$(ls -d without/tensorboard 2>/dev/null)" ""

status 2 alone train "$@" run.dir=no metrics.tensorbord=true
says 'metrics.tensorbord=true: no such key; did you mean .metrics.tensorboard.'
status 2 alone train "$@" run.dir=no metrics.log_every=0
says 'metrics.log_every=0: 0 is out of range: at least 1'

python=
for candidate in "${LK_PYTHON:-}" python3 /usr/bin/python3; do
    [ -n "$candidate" ] && "$candidate" -c 'import tensorboard' 2>/dev/null && python=$candidate && break
done
if [ -z "$python" ]; then
    echo "not checked: no python3 with tensorboard was found: pip install tensorboard, or set LK_PYTHON"
    finish
fi
"$python" "$here/../golden/check_tensorboard.py" run/tensorboard >read.txt

steps_of() { awk -v tag="$1" '$2 == tag {printf "%s%s", n++ ? " " : "", $3}' read.txt; }
want_every() { seq "$1" "$1" "$2" | tr '\n' ' ' | sed 's/ $//'; }

same "steps of the loss" "$(steps_of step/train.loss)" "$(want_every 5 78)"
same "steps of the learning rate" "$(steps_of step/lr)" "$(want_every 5 78)"
same "evaluations" "$(steps_of epoch/ema.validation.r2)" "$(want_every 13 78)"
same "histograms of weights" "$(steps_of weights/0.weight)" "$(want_every 26 78)"
same "histograms of gradients" "$(steps_of gradients/0.weight)" "$(want_every 26 78)"
same "the recipe, once a start" "$(steps_of recipe)" "1 27"
same "the recipe's lines" "$(grep -c '^text recipe .*kind: regression.*reduce_on_plateau' read.txt)" 2
same "weights in a histogram" "$(awk '$2 == "weights/0.weight" && $3 == 26 {for (i = 4; i <= NF; i++) {split($i, part, ":"); n += part[3]}} END {print n}' read.txt)" 1280

# The values are those of metrics.csv, to the precision of the file's float32.
column=$(head -n 1 run/metrics.csv | tr ',' '\n' | grep -n '^validation.loss$' | cut -d: -f1)
same "values" "$(awk '$2 == "epoch/validation.loss" {printf "%.5g ", $4}' read.txt)" \
    "$(awk -F, -v c="$column" 'NR > 1 {printf "%.5g ", $c}' run/metrics.csv)"
finish
