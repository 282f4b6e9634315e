#!/bin/sh
# A signal that schedulers send finishes the step, writes a checkpoint and ends all with 75; the run then resumes to the same
# bits.  One that comes before training began ends it with 75, too.  A worker that is stopped dead is named by the
# watchdog, which ends the job with 6.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=100 data.samples=1611 train.early_stop.patience=1000
status 0 workers 3 train "$@" run.dir=whole

for signal in TERM USR1 USR2 XCPU HUP; do
    run=stopped-$signal
    case $signal in
        TERM | USR1) start="workers 3" ;;
        *) start=alone ;;
    esac
    $start train "$@" run.dir="$run" checkpoint.every=1 >out.txt 2>&1 &
    job=$!
    wait_for "$run/checkpoints/latest"
    kill -$signal "$(worker_of "$run")"
    wait $job
    same "SIG$signal to a worker: exit status" $? 75
    says 'finishing step [0-9]+, then a checkpoint'
    says 'to go on: the same command with --resume'
    same "why it stopped" "$(grep -o '"stopped": *"[a-z_]*"' "$run/summary.json" | cut -d'"' -f4)" signal
    status 0 workers 2 train "$@" run.dir="$run" checkpoint.every=1 --resume
    same "SIG$signal, resumed: digests" "$(digests "$run")" "$(digests whole)"
done

# Under nohup a hangup stays ignored.
(trap '' HUP; exec "$lockstep" train "$@" run.dir=nohup >out.txt 2>&1) &
job=$!
wait_for nohup/checkpoints
kill -HUP $job
wait $job
same "SIGHUP under nohup: exit status" $? 0
same "SIGHUP under nohup: digests" "$(digests nohup)" "$(digests whole)"

# Data that take their time to be read: a pipe that nobody has written into yet.
mkfifo slow.csv
cat >slow.yaml <<'EOF'
run: {name: slow}
data: {kind: csv, train: slow.csv, target: y}
model: {kind: mlp, layers: [1, 1]}
loss: {kind: mse}
optimizer: {kind: sgd, lr: 0.01}
train: {epochs: 1, batch: 2}
EOF
alone train slow.yaml run.dir=slow >out.txt 2>&1 &
job=$!
exec 3>slow.csv # returns when the program has opened it to read
kill -TERM "$(worker_of slow)"
printf 'x,y\n1,2\n2,3\n' >&3
exec 3>&-
wait $job
same "SIGTERM while data are read: exit status" $? 75
says 'stopped on request before training began'

workers 3 train "$@" run.dir=stuck train.epochs=100000 checkpoint.every=50 dist.timeout=2 >out.txt 2>&1 &
job=$!
wait_for stuck/checkpoints/latest
victim=$(worker_of stuck)
kill -STOP "$victim"
wait $job
same "a worker stopped dead: exit status" $? 6
says 'rank [0-9]+ .*stuck'
kill -KILL "$victim" 2>/dev/null
finish
