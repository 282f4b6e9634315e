#!/bin/sh
# What a person sees of a run that has no terminal, as under mpirun: a line at the start, one an evaluation with the loss in it,
# what was decided, and a table at the end that says what was best and how to go on.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=4 data.samples=333 train.epochs=5
value() { # NAME STEP: its value in run/metrics.csv as the lines print it
    awk -F, -v name="$1" -v step="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i} $1 == step {printf "%.4g", $c}' run/metrics.csv
}

status 0 workers 2 train "$@" run.dir=run 'scheduler={kind: reduce_on_plateau, metric: train.loss, mode: max, patience: 0, factor: 0.5}'
says '^ema-regression: 3457 weights, 333 samples, batches of 32 in 4 lanes on 2 workers, cpu engine, fp32, in run$'
same "a line an evaluation" "$(grep -c '^epoch ' out.txt)" 5
says "^epoch   3  step 33  lr [0-9.e-]+  train $(value train.loss 33)  val $(value validation.loss 33)  ema $(value ema.validation.loss 33)[*]  [0-9.kM]+ samples/s  [0-9:]+\$"
says '^plateau: train.loss is .*: the learning rate falls to 0.0005'
says '^ema-regression: stopped by epochs after 5 epochs, 55 steps; [0-9:]+, '
says '^ +train +val +ema$'
says '^  mae .* EMA [+-][0-9.]+ %$'
same "mse is the loss here, and not told twice" "$(grep -c '^  mse' out.txt)" 0
says '^  best saved: ema.validation.loss [0-9.]+ at epoch 5, step 55$'
says '^  to go on: more train.epochs and --resume$'
same "published is journalled with the checkpoint's step" \
    "$(grep '"published' run/journal.jsonl | grep -o '"step":[0-9]*' | tr '\n' ' ')" '"step":55 '

status 0 workers 2 train "$@" run.dir=run --resume train.epochs=6 scheduler=null
says '^ema-regression: going on at step 55, epoch 5$'

# What `lr` would warn of, training does, too, once.
status 0 workers 2 train "$@" run.dir=cut 'scheduler={kind: step, step_size: 9}' train.epochs=2 optimizer.lr=0.001 \
    'momentum_scheduler=null' 'weight_decay_scheduler={kind: multistep, milestones: [7]}'
same "a schedule's trap" "$(grep -c 'warning: ema-regression: milestone 7 is never reached' out.txt)" 1

# The untrained network is measured and saved, and the run goes on from it as if it had just begun.
status 0 workers 2 train "$@" run.dir=straight
status 0 workers 2 train "$@" run.dir=zero train.epochs=0
says '^epoch   0  step 0  lr 1.0e-03  val '
same "the untrained network is saved" "$(ls -d zero/checkpoints/step-*)" zero/checkpoints/step-00000000
status 0 workers 2 train "$@" run.dir=zero --resume
same "and trained from there: digests" "$(digests zero)" "$(digests straight)"

# What `plan` says of saves is what the leader's files hold, but for their structure: below 2 % for a network of this size.
status 0 workers 2 plan "$@" 'model.layers=[20,512,512,1]' 
planned=$(awk '$1 == "save" {print $2 * 1048576; exit}' out.txt)
says '^  save +[0-9.]+ MiB'
status 0 workers 2 train "$@" 'model.layers=[20,512,512,1]' run.dir=wide train.epochs=1
written=$(cat wide/checkpoints/step-*/shard-00000-of-00002.h5 wide/checkpoints/step-*/leader.h5 | wc -c)
same "bytes of the leader's files, $written, are planned, $planned" \
    "$(awk -v p="$planned" -v w="$written" 'BEGIN {print (w >= p && w <= 1.02 * p) ? "yes" : "no"}')" yes

# Lines that the checkpoint presupposes and the disk has lost.
sed -i '$d' run/metrics.csv
status 0 alone train "$@" run.dir=run --resume train.epochs=7 scheduler=null
says 'warning: run/metrics.csv has 5 evaluations of the 6 made before this checkpoint'
finish
