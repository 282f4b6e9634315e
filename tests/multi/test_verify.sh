#!/bin/sh
# lockstep verify: equal bits on several numbers of workers and through a kill are told as that; a worker that computes
# something else, and a cable that changes a number, are found with step, tensor and worker.
set -u
. "$(dirname "$0")/../support/lib.sh"

verify() { # OPTIONS...
    timeout 120 "$lockstep" verify "$@"
}
field() { grep -o "\"$2\": *[^,]*" "$1" | head -n "${3:-1}" | tail -n 1 | sed 's/.*: *//; s/"//g'; }

set -- "$recipes/ema-regression.yaml" run.dir=runs/ema ema.update_after_step=3
status 0 verify "$@" --workers 2,1 --steps 12 --json good.json
says '^  1 worker  .* [0-9a-f]{32}'
says '^  2 workers  .* the same'
says '^  2 workers, one killed after step 9; from step [36] on 1 .* the same'
says 'The same bits in all 3 runs'
same "runs left" "$(ls runs | wc -l)" 0
same "in JSON: runs, different" "$(field good.json runs) $(field good.json different)" "3 0"
same "in JSON: the digests of the killed run" "$(field good.json digest 3)" "$(field good.json digest 1)"

# The digest is that of the whole checkpoint of a run by hand.
status 0 verify "$@" --workers 1 --steps 4 --keep
same "kept: runs" "$(ls -d runs/verify-ema-regression-*/on-1* | grep -vc log)" 2
rm -rf runs

status 2 verify "$@" --workers 8
says '8 workers, but train.lanes is 4'
status 2 verify "$@" --steps 2
says '--steps: at least 3'
status 2 verify "$@" optimizer.lr=fast
says 'optimizer.lr'
status 2 verify "$@" --workers 1 train.epochs=1 train.batch=1600
says 'the recipe ends after 1 step'

# What a difference looks like.  Of a network of this size two arrays a step go each way: half of the own sum, and the other
# half when it is added up.
bad_cable() { # RANK MESSAGE ARGS...
    rank=$1 message=$2
    shift 2
    LK_BAD_RANK=$rank LK_BAD_MESSAGE=$message LD_PRELOAD=$BAD_CABLE timeout 120 "$lockstep" verify "$@"
}
if can_bad_files; then
    set -- "$@" --workers 1,2 --steps 8 model.layers=[20,256,64,1]
    status 5 bad_cable 0 9 "$@" --json bad.json
    says '^lockstep: the bits of on-2 differ from step 5 on: the weights `.*`, on all workers alike'
    same "in JSON: the first step" "$(field bad.json first_step)" 5
    status 5 bad_cable 0 10 "$@"
    says '^lockstep: the bits of on-2 differ from step 5 on: the weights `.*` of rank 1 of 2 '
    status 5 bad_cable 0 10 "$@" --workers 2
    says '^lockstep: the bits of on-2 differ from step 5 on: the weights `.*` of rank 1 of 2 '
else
    echo "skipped: this program cannot be given another cable"
fi
same "runs left after differences" "$(ls runs | wc -l)" 0

# Ctrl-C ends it, and its runs go.
timeout 120 "$lockstep" verify "$@" --workers 2 --steps 1000000 train.epochs=1000000 train.early_stop.patience=1000000 \
    >out.txt 2>&1 &
job=$!
n=0
until [ -n "$(ls runs/*/on-2/digests 2>/dev/null)" ] || [ $((n += 1)) -gt 600 ]; do sleep 0.05; done
kill -INT "$job" # timeout hands it on
wait "$job"
same "Ctrl-C: exit status" $? 75
same "Ctrl-C: runs left" "$(ls runs | wc -l)" 0

include=$(dirname "$lockstep")/include # what cmake --install copies
cc=${CC:-cc}
if command -v "$cc" >/dev/null && [ -d "$include/lockstep" ]; then
    "$cc" -shared -fPIC -O1 -I "$include" "$here/../plugin/uneven.c" -o uneven.so || exit 1
    cat >uneven.yaml <<'RECIPE'
run: {name: uneven}
data: {kind: regression, samples: 240, validation_samples: 60, n_features: 6, standardize: true}
model: {plugin: uneven.so, args: {inputs: 6}}
loss: {kind: mse}
optimizer: {kind: adamw, lr: 1e-3}
train: {epochs: 3, batch: 30, lanes: 2}
RECIPE
    status 5 verify uneven.yaml --workers 1,2 --steps 6
    says 'the bits of on-2 differ from step 1 on: the gradient `fc1.weight` of lane 1 of rank 1 of 2 '
fi
finish
