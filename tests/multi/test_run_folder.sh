#!/bin/sh
# A run's folder: found from anywhere, never overwritten, written in by one process at a time; and what --resume does when
# there is nothing to resume, nothing left, or the recipe has changed.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.epochs=3 data.samples=333 train.lanes=4

mkdir -p "far away"
(cd "far away" && status 0 alone train "$@" run.name=abc)
status 0 workers 2 eval "far away/runs/abc"
says 'far away/runs/abc/checkpoints/step-'

mkdir mine && echo hello >mine/notes.txt
status 0 alone train "$@" run.dir=mine
same "a folder without a run is used" "$(cat mine/notes.txt)" hello
status 0 alone train "$@" run.dir=mine/
says 'mine.* held an earlier run: kept as .*/mine.1 '
same "the earlier run is whole" "$(digests mine.1)" "$(digests mine)"

# A link keeps both runs on the disk it was set for.
mkdir scratch && ln -s scratch/a linked && mkdir scratch/a
status 0 alone train "$@" run.dir=linked
status 0 alone train "$@" run.dir=linked
same "the second run is behind the link" "$(digests scratch/a)" "$(digests linked)"
same "the first is beside it" "$(digests scratch/a.1):$([ -L linked ] && [ ! -e linked.1 ] && echo link)" "$(digests linked):link"

# What a run that died before its first checkpoint left is nothing to keep when it is asked to go on.
for try in 1 2; do
    mkdir -p died && echo 'run: {}' >died/recipe.yaml
    status 0 alone train "$@" run.dir=died --resume
    [ $try = 1 ] && rm -rf died/checkpoints
done
same "folders of a run that died" "$(ls -d died* | tr '\n' ' ')" "died "

status 0 workers 2 train "$@" run.dir=new --resume
says 'no checkpoint in new to resume: starting from the beginning'
status 0 workers 3 train "$@" run.dir=new --resume
says 'nothing left to do'

before=$(cksum <new/recipe.yaml)
status 2 workers 2 train "$@" run.dir=new --resume run.seed=9 train.epochs=5
says 'the checkpoint belongs to another run: run.seed 42 -> 9, data.seed'
same "what is refused all the same is not advised" "$(grep -c -- '--change' out.txt)" 0
status 2 workers 2 train "$@" run.dir=new --resume run.seed=9 train.epochs=5 --change
says 'run.seed: the checkpoint was trained with 42'
status 4 alone train "$@" run.dir=new --resume 'model.layers=[20, 8, 1]' train.epochs=5 --change
says 'model/0.weight was saved with shape'
status 2 alone train "$@" run.dir=new --resume train.lanes=2 train.epochs=5
says 'trained in 4 lanes'
same "a refused resume leaves the run's recipe" "$(cksum <new/recipe.yaml)" "$before"

# Early stopping added later starts to count then; without it, or with more patience, a stopped run goes on.
sed 's/ early_stop:.*//; s/^scheduler:.*//' "$recipes/ema-regression.yaml" >plain.yaml
status 0 alone train plain.yaml train.epochs=2 run.dir=added
status 0 alone train "$recipes/ema-regression.yaml" train.epochs=40 run.dir=added --resume
says 'stopped by epochs after 40 epochs'
status 0 alone train "$recipes/ema-regression.yaml" train.early_stop.patience=2 run.dir=patient
says 'stopped by early_stop'
stopped=$(grep -o '"steps": *[0-9]*' patient/summary.json)
status 0 alone train "$recipes/ema-regression.yaml" train.early_stop.patience=2 run.dir=patient --resume
says 'nothing left to do'
status 0 alone train "$recipes/ema-regression.yaml" run.dir=patient --resume
same "with more patience it goes on" "$([ "$(grep -o '"steps": *[0-9]*' patient/summary.json)" != "$stopped" ] && echo yes)" yes

status 0 alone train "$recipes/ema-regression.yaml" train.early_stop.patience=2 train.early_stop.min_epochs=60 run.dir=least
says 'stopped by early_stop after (6[0-9]|7[0-9]) epochs'

# An end by train.steps between two regular evaluations leaves no trace in what follows.
status 0 alone train "$@" run.dir=straight train.epochs=6 train.evaluate_every=2 scheduler.patience=0
status 0 alone train "$@" run.dir=halted train.epochs=6 train.evaluate_every=2 scheduler.patience=0 train.steps=29
says 'stopped by steps'
status 0 workers 2 train "$@" run.dir=halted train.epochs=6 train.evaluate_every=2 scheduler.patience=0 --resume
same "continued past train.steps: digests" "$(digests halted)" "$(digests straight)"
status 0 alone train "$@" run.dir=capped train.steps=1000
says 'stopped by epochs'

workers 2 train "$recipes/ema-regression.yaml" run.dir=busy train.epochs=100000 checkpoint.every=50 \
    train.early_stop.patience=100000 >busy.txt 2>&1 &
job=$!
wait_for busy/checkpoints/latest
status 7 alone train "$@" run.dir=busy
says 'busy is being trained in by another process'
status 7 workers 2 train "$@" run.dir=busy --resume --change
says 'busy is being trained in by another process'
kill -9 "$(worker_of busy)"
wait $job
same "a run that was killed has no summary" "$([ -e busy/summary.json ] && echo yes || echo no)" no
status 0 alone train "$recipes/ema-regression.yaml" train.lanes=4 run.dir=busy --resume train.epochs=1
finish
