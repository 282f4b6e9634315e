#!/bin/sh
# lockstep ckpt show: which checkpoint is best and why, what the run decided, and what is shown without a run.
set -u
. "$(dirname "$0")/../support/lib.sh"

metric() { # NAME STEP: its value in run/metrics.csv, as show prints numbers; a pattern, in which + would repeat
    awk -F, -v name="$1" -v step="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) c = i} $1 == step {printf "%.6g", $c}' run/metrics.csv | tr + .
}

# A learning rate that blows up in the last epoch: the best weights are older than the last.  5 steps an epoch.
set -- "$recipes/lambda-polynomial.yaml" run.dir=run data.samples=250 checkpoint.every=2 checkpoint.keep=9
status 0 alone train "$@" train.epochs=8 'scheduler.expr=epoch < 7 ? 1 : 200' optimizer.lr=0.02

best=$(alone ckpt list run | awk '/best/ {print $1}')
best_step=$(echo "$best" | sed 's/step-0*//')
status 0 alone ckpt show run
says '^run/checkpoints/step-00000040 +latest|/run/checkpoints/step-00000040 +latest'
says '^  40 steps, 8 epochs; 2 lanes, batch 50, seed 42; written by lockstep'
says "^best checkpoint: $best\$"
says "^  validation.loss is $(metric validation.loss "$best_step"): this checkpoint has the best weights saved"
says "^  it is judged by the trained weights\$"
says "^  later checkpoints are no better: .*$(metric validation.loss 40) at step 40"
says '^  step +0  start '
says '^  step +35  lr +4 from epoch 7 on'
says '^  step +40  end +stopped by epochs'
same "changes of the learning rate that follow one another are one line" "$(grep -c '^  step .*  lr ' out.txt)" 1
says "^  validation.loss +$(metric validation.loss 40) +[0-9.]+\$"
says '^  model/0.weight +\(4, 5\)'
says '^recipe$'
says 'run:'

# Back to step 20 and on with a better schedule: the decisions after step 20 no longer hold.
rm -rf run/checkpoints/step-00000030 run/checkpoints/step-00000040
status 0 alone train "$@" train.epochs=8 'scheduler.expr=1' optimizer.lr=0.02 --resume
status 0 alone ckpt show run
says '^  step +20  resume '
says '^  \([0-9]+ more were undone when the run was resumed from an earlier step\)'
same "what was undone is not shown" "$(grep -c ' 4 from epoch 7' out.txt)" 0

# EMA against the weights it follows, and the evaluations between checkpoints.
status 0 alone train "$recipes/ema-regression.yaml" run.dir=ema train.epochs=7 checkpoint.every=5
status 0 alone ckpt show ema
says "^  it is judged by the EMA's weights \(predict --ema\); the trained ones are (better|worse|as good) there: validation.loss 0"

# A copy without its run, and a journal that is damaged, are shown with less.
cp -rL run/checkpoints/latest alone_copy
status 0 alone ckpt show alone_copy
says '^\(the decisions are unknown: cannot read .*journal.jsonl: No such file'
says '^  40 steps, 8 epochs'
says '^recipe$'
echo nonsense >>run/journal.jsonl
status 0 alone ckpt show run
says "^\(the decisions are unknown: .*journal.jsonl:[0-9]+: this is no line of a run's journal\)"
says "^best checkpoint: "
finish
