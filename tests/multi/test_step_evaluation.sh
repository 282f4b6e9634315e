#!/bin/sh
# Evaluations by steps: lines, best and plateau where they are due, the same on any number of workers and through a resume
# within an epoch; a part of the validation data, the same each time; stages with their own.
set -u
. "$(dirname "$0")/../support/lib.sh"

# 96 steps in an epoch, so none of the evaluations but one lies at an end of it.
set -- "$recipes/ema-regression.yaml" data.samples=1536 data.validation_samples=200 train.batch=16 train.lanes=4 \
    ema.update_after_step=10 train.epochs=1000 train.early_stop=null train.evaluate_unit=step train.evaluate_every=25 \
    train.evaluate_batches=4 'checkpoint={keep: 3}' 'metrics={measure: [rmse], train: true}' \
    'scheduler={kind: reduce_on_plateau, metric: validation.rmse, patience: 0, threshold: 0.2, factor: 0.5}'

status 0 alone train "$@" train.steps=110 run.dir=whole
same "evaluated at steps" "$(cut -d, -f1 whole/metrics.csv | tr '\n' ' ')" "step 25 50 75 100 110 "
same "checkpoints at steps" "$(ls whole/checkpoints | grep -c 'step-0*\(75\|100\|110\)$')" 3
same "rmse is measured on both parts" \
    "$(head -n 1 whole/metrics.csv | tr ',' '\n' | grep -c '^\(train_eval\|validation\|ema.validation\).rmse$')" 3
grep -q plateau whole/journal.jsonl ||
    { echo "FAILED: no plateau though no evaluation may be 20 % better"; n_failed=$((n_failed + 1)); }

for n in 2 3 4; do same_on $n whole "$@" train.steps=110; done

# Stopped at step 60, between two evaluations and within the epoch; that stop is evaluated and counts for nothing.
status 0 alone train "$@" train.steps=60 run.dir=halved
status 0 workers 2 train "$@" train.steps=110 run.dir=halved --resume
same "resumed within an epoch: digests" "$(digests halved)" "$(digests whole)"
same "resumed within an epoch: metrics" "$(grep -v '^60,' halved/metrics.csv | cksum)" "$(cksum <whole/metrics.csv)"

# 4 batches of 16 of the 200 samples: other metrics than of all, but those of the same samples each time.
status 0 alone train "$@" train.steps=25 optimizer.lr=0 run.dir=still
status 0 alone train "$@" train.steps=50 optimizer.lr=0 run.dir=still --resume
values() { awk -F, -v step="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "validation.loss") c = i } $1 == step { print $c }' still/metrics.csv; }
same "a part of the validation data is the same part" "$(values 50)" "$(values 25)"
status 0 alone eval still
if grep -q "validation.loss  *$(values 50 | cut -c1-6)" out.txt; then
    echo "FAILED: eval looks at $(values 50) of a part of the validation data, not at all"
    n_failed=$((n_failed + 1))
fi

# A stage evaluates by epochs again.
status 0 alone train "$@" run.dir=staged \
    'stages=[{name: one, steps: 30, evaluate_every: 10}, {name: two, epochs: 1, evaluate_unit: epoch, evaluate_every: 1, evaluate_batches: 0}]'
same "stages evaluate as they say" "$(cut -d, -f1 staged/metrics.csv | tr '\n' ' ')" "step 10 20 30 126 "
finish
