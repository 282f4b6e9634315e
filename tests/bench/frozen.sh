#!/bin/sh
# Frozen features computed once: seconds of the first epoch and of each later one of a small cnn whose classifier trains,
# one worker and one thread, with train.cache_frozen no, memory and disk in turn.
#
#   tests/bench/frozen.sh
#
# Medians of RUNS (default 5) runs.  A run of one epoch and one of MORE (default 5) are timed whole; what is beyond the
# first is the difference, an evaluation in each.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
lockstep=${LOCKSTEP:-$root/build/lockstep}
more=${MORE:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
sh "$root/tests/multi/make_idx.sh" . 4096 512
cat >frozen.yaml <<'RECIPE'
run: {name: frozen}
data: {kind: idx, train: train-images, train_labels: train-labels, validation: test-images, validation_labels: test-labels}
model: {kind: cnn, channels: [32, 64], kernel: 3, hidden: [64], norm: batch}
loss: {kind: cross_entropy}
optimizer: {kind: adam, lr: 1e-3}
train: {batch: 32, lanes: 1, freeze: ['features.*']}
RECIPE

seconds() { # ARGS...: of a run
    begin=$(date +%s.%N)
    "$lockstep" train frozen.yaml "$@" run.dir=run >/dev/null 2>&1
    echo "$(date +%s.%N) $begin" | awk '{ print $1 - $2 }'
    rm -rf run
}
for run in $(seq "${RUNS:-5}"); do
    for kept in no memory disk; do
        one=$(seconds train.cache_frozen=$kept train.epochs=1)
        all=$(seconds train.cache_frozen=$kept train.epochs=$((1 + more)))
        echo "$one $(echo "$all $one $more" | awk '{ print ($1 - $2) / $3 }')" >>"$kept"
        echo "run $run: $kept: first epoch $one s, later ones $(tail -n 1 "$kept" | cut -d' ' -f2) s"
    done
done
median() { sort -g | awk '{ v[NR] = $1 } END { printf "%.3f", v[int((NR + 1) / 2)] }'; }
for kept in no memory disk; do
    echo "$kept: first epoch $(cut -d' ' -f1 "$kept" | median) s, later ones $(cut -d' ' -f2 "$kept" | median) s"
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
