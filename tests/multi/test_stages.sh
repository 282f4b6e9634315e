#!/bin/sh
# Four stages that freeze, unfreeze, change batch, rate and schedule: the same bits on 1 to 4 workers, and when stopped
# at every boundary and inside every stage and resumed on another number of workers.
set -u
. "$(dirname "$0")/../support/lib.sh"

cat >staged.yaml <<'E2'
run: {name: staged, seed: 3}
data: {kind: regression, samples: 1008, validation_samples: 203, n_features: 20, noise: 0.1, standardize: true}
model: {kind: mlp, layers: [20, 64, 32, 1], norm: batch, dropout: 0.2}
loss: {kind: mse}
optimizer: {kind: adam, lr: 1e-3}
ema: {beta: 0.99, update_after_step: 10, update_every: 1}
train: {epochs: 5, batch: 32, lanes: 4}
stages:
  - {name: pretrain, epochs: 3}
  - {name: head, epochs: 2, freeze: ['*'], unfreeze: ['8.*'], optimizer: {lr: 1e-2},
     scheduler: {kind: lambda, expr: 0.9^epoch}}
  - {name: upper, steps: 50, unfreeze: ['4.*', '5.*'], batch: 50, norm: train}
  - {name: all, unfreeze: ['*'], optimizer: {lr: 1e-4}, epochs: 8,
     scheduler: {kind: reduce_on_plateau, metric: validation.loss, patience: 1},
     early_stop: {metric: ema.validation.loss, patience: 2}}
checkpoint: {every: 16, unit: step, keep: 100, best: false}
E2

status 0 alone train staged.yaml run.dir=whole
says '^  to go on: more stages.all.(epochs|early_stop.patience) and --resume$'
want=$(digests whole)
for n in 2 3 4; do same_on $n whole staged.yaml; done

# Goes back to step $1 of the whole run and resumes it from there on $2 workers.
resume_from() {
    rm -rf again
    cp -a whole again
    for step in again/checkpoints/step-*; do
        [ "$(echo "${step##*-}" | sed "s/^0*//")" -gt "$1" ] && rm -r "$step"
    done
    [ -d "$(printf 'again/checkpoints/step-%08d' "$1")" ] || { same "a checkpoint of step $1" none one; return; }
    rm -f again/checkpoints/latest again/summary.json
    status 0 workers "$2" train staged.yaml run.dir=again --resume
    same "resumed at step $1 on $2 workers: digests" "$(digests again)" "$want"
    same "resumed at step $1 on $2 workers: metrics" "$(cksum <again/metrics.csv)" "$(cksum <whole/metrics.csv)"
}

# Batches of 32 over 1008 samples are 32 an epoch: the stages begin at steps 0, 96, 160 and 210.
resume_from 48 2   # inside pretrain
resume_from 96 3   # pretrain is over
resume_from 112 1  # inside head
resume_from 160 4  # head is over
resume_from 176 3  # inside upper
resume_from 210 2  # upper is over, in mid-epoch
resume_from 240 1  # inside all

# A run that has ended goes on with a stage that its recipe gains.
sed '/name: all/,/early_stop/d' staged.yaml >three.yaml
status 0 workers 2 train three.yaml run.dir=grown
same "three stages end at step" "$(grep -o '"steps": *[0-9]*' grown/summary.json | grep -o '[0-9]*')" 210
status 0 workers 3 train staged.yaml run.dir=grown --resume
same "with the fourth added: digests" "$(digests grown)" "$want"
same "with the fourth added: metrics" "$(cksum <grown/metrics.csv)" "$(cksum <whole/metrics.csv)"

# One worker's kill -9, wherever it strikes, and the rest on two.
set -- staged.yaml stages.pretrain.epochs=40 stages.head.epochs=40 stages.all.epochs=40 stages.all.early_stop=null
status 0 alone train "$@" run.dir=long
workers 3 train "$@" run.dir=killed >killed.txt 2>&1 &
job=$!
if wait_for killed/checkpoints/step-00000032; then
    kill -9 "$(worker_of killed)"
    wait $job
    same "a killed worker ends the job: its status is 0" "$([ $? = 0 ] && echo yes || echo no)" no
    status 0 workers 2 train "$@" run.dir=killed --resume
    same "killed on 3 workers, resumed on 2: digests" "$(digests killed)" "$(digests long)"
    same "killed on 3 workers, resumed on 2: metrics" "$(cksum <killed/metrics.csv)" "$(cksum <long/metrics.csv)"
fi

status 2 alone train staged.yaml stages.head.freeze='["9.*"]' run.dir=bad
says "freeze of stage head: .9... matches no tensor"
status 2 alone train staged.yaml stages.head.unfreeze='["0.weigth"]' run.dir=bad
says "unfreeze of stage head: .0.weigth. matches no tensor; did you mean 0.weight"
status 2 alone train staged.yaml stages.head.freeze='["*"]' stages.head.unfreeze=null run.dir=bad
says "head: .*no tensor is left to train"
status 2 alone train staged.yaml stages.all.batch=3 run.dir=bad
says "train.batch: 3 samples cannot be cut into 4 lanes"
# What is wrong with a later stage is found before the first begins: a lane of one sample has no batch statistics.
status 2 alone train staged.yaml stages.all.batch=4 run.dir=bad
says "make a lane of 1; layer 1: batch norm"
same "nothing was trained for a stage that cannot be" "$(ls -d bad 2>/dev/null)" ""
finish
