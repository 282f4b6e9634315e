#!/bin/sh
# How well translation is learnt, Lockstep's beside PyTorch's over seeds, one worker and one thread each:
#
#   textbook   the 600 pairs of Dive into Deep Learning by heart (launch/recipes/fra-eng-transformer.yaml), with LAYERS (2):
#              its loss, BLEU-2 of the pairs, and what it says of three sentences
#   real       the first 100,000 pairs, of which 2,000 source sentences validate, and a larger network: corpus BLEU
#
#   PYTHON=/path/to/python FRA=fra.txt.xz tests/bench/translation.sh [textbook|real ...]
#
# PYTHON needs torch, numpy and sacrebleu.  SEEDS (8 and 1): 0 to SEEDS-1.  STEPS (1,500, two epochs): of `real`.  OUT
# (translation-results): the folder for runs and results.  Lockstep and PyTorch run beside each other, on two cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
lockstep=$(realpath "${LOCKSTEP:-$top/build/lockstep}")
python=${PYTHON:-python3}
fra=$(realpath "${FRA:?FRA=FILE names fra.txt or fra.txt.xz}")
layers=${LAYERS:-2}
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "${OUT:-translation-results}"
cd "${OUT:-translation-results}"

# number FILE PATH: of a summary.json
number() { "$python" -c 'import json, sys
at = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("/"): at = at[key]
print(at)' "$@"; }

theirs() { # WHAT ARGS...: seeds of translation.py
    what=$1
    shift
    for seed in $(seq 0 $((seeds - 1))); do "$python" "$here/translation.py" "$what" "$@" "$seed"; done >"$name.torch"
}

both() { # NAME: what `ours` and `theirs` made
    for who in lockstep torch; do "$python" "$here/translation.py" table "$name.$who" | sed "s/^/$name, $who: /"; done
}

textbook_ours() {
    for seed in $(seq 0 $((seeds - 1))); do
        run=$name-$seed
        "$lockstep" train "$top/launch/recipes/fra-eng-transformer.yaml" data.train="$fra" model.layers="$layers" train.lanes=1 \
            train.evaluate_every=200 run.seed="$seed" run.dir="$run" >"$run.log" 2>&1
        "$lockstep" translate "$run" 'Go.' 'I lost.' "I'm home." >"$run.said"
        awk -F '\t' -v loss="$(number "$run/summary.json" metrics/train.loss)" -v bleu="$(number "$run/summary.json" metrics/train_eval.bleu2)" '
            BEGIN { printf "{\"loss\": %s, \"bleu2\": %s", loss, bleu }
            { printf ", \"%s\": \"%s\"", NR == 1 ? "go ." : NR == 2 ? "i lost ." : "i'\''m home .", $2 }
            END { print "}" }' "$run.said"
    done >"$name.lockstep"
}

textbook() {
    name=textbook-$layers seeds=${SEEDS:-8}
    "$python" "$here/sequences.py" pairs "$fra" pairs.txt >/dev/null
    textbook_ours &
    theirs textbook pairs.txt "$layers"
    wait $!
    both
}

real_ours() {
    for seed in $(seq 0 $((seeds - 1))); do
        run=$name-$seed
        "$lockstep" train real.yaml run.seed="$seed" run.dir="$run" >"$run.log" 2>&1
        cut -f 1 pairs/validation.txt | "$lockstep" translate "$run" >"$run.said"
        echo "{\"bleu\": $("$python" "$here/translation.py" bleu pairs <"$run.said"), \"seconds\": $(number "$run/summary.json" seconds)}"
    done >"$name.lockstep"
}

real() {
    name=real seeds=${SEEDS:-1} steps=${STEPS:-1500}
    "$python" "$here/translation.py" split "$fra" pairs
    cat >real.yaml <<RECIPE
run: {name: real}
engine: {kind: cpu, threads: 1}
data: {kind: pairs, train: pairs/train.txt, validation: pairs/validation.txt, min_freq: 2}
model: {kind: transformer, layers: 2, hidden: 128, heads: 8, ffn: 512, dropout: 0.1}
loss: {kind: cross_entropy}
optimizer: {kind: adam, clip_norm: 1}
scheduler: {kind: onecycle, max_lr: 2e-3, pct_start: 0.1, total_steps: $steps, cycle_momentum: false, every: step}
train: {steps: $steps, batch: 128, lanes: 1, evaluate_every: $steps, evaluate_unit: step, best_metric: validation.loss}
checkpoint: {keep: 1}
RECIPE
    real_ours &
    theirs real pairs "$steps"
    wait $!
    both
}

for experiment in "${@:-textbook}"; do "$experiment"; done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
