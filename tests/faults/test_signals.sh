#!/bin/sh
# SIGTERM to one worker finishes the step, writes a checkpoint and ends all with 75; the run then resumes to the same
# bits.  A worker that is stopped dead is named by the watchdog, which ends the job with 6.
set -u
. "$(dirname "$0")/../support/lib.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=100 data.samples=1611 train.early_stop.patience=1000
status 0 workers 3 train "$@" run.dir=whole

for signal in TERM USR1; do
    run=stopped-$signal
    workers 3 train "$@" run.dir="$run" checkpoint.every=1 >out.txt 2>&1 &
    job=$!
    wait_for "$run/checkpoints/latest"
    kill -$signal "$(worker_of "$run")"
    wait $job
    same "SIG$signal to a worker: exit status" $? 75
    same "why it stopped" "$(grep -o '"stopped": *"[a-z_]*"' "$run/summary.json" | cut -d'"' -f4)" signal
    status 0 workers 2 train "$@" run.dir="$run" checkpoint.every=1 --resume
    same "SIG$signal, resumed: digests" "$(digests "$run")" "$(digests whole)"
done

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
