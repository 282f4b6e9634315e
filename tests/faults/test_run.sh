#!/bin/sh
# lockstep run: a run whose workers are killed twice ends by itself with the bits of the run that never was, and tells why;
# what would come again is not tried again; Ctrl-C finishes the step and ends all; a finished run is left alone.
set -u
. "$(dirname "$0")/../support/lib.sh"

healed() { # RUN WORKERS OPTIONS...
    run=$1 n=$2
    shift 2
    timeout 120 "$lockstep" run -n "$n" "$@" run.dir="$run" --backoff 0.1 -- --oversubscribe
}
restarts() { grep -c '"event":"restart"' "$1/journal.jsonl"; }
# starter_of RUN: the process of `lockstep run`.
starter_of() {
    for process in $(workers_of "$1"); do grep -qzxF run "/proc/$process/cmdline" && echo "$process"; done
}
# left RUN: how many of its processes are still there.
left() { workers_of "$1" | wc -l; }
# newer RUN NAME: until the newest checkpoint is another than NAME.
newer() {
    while [ "$(readlink "$1/checkpoints/latest")" = "$2" ]; do
        kill -0 "$job" 2>/dev/null || return 1
        sleep 0.02
    done
}

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs="${EPOCHS:-30}" checkpoint.every=37 checkpoint.unit=step \
    data.samples=1611 train.early_stop.patience=1000
status 0 alone train "$@" run.dir=whole

healed twice 3 "$@" >out.txt 2>&1 &
job=$!
if wait_for twice/checkpoints/latest; then
    kill -9 "$(worker_of twice)"
    while [ "$(restarts twice)" = 0 ]; do sleep 0.05; done
    newer twice "$(readlink twice/checkpoints/latest)" && kill -9 "$(worker_of twice)"
fi
wait $job
same "killed twice: exit status" $? 0
says '^lockstep run: restart 1 of 3 on 3 workers from step [0-9]+, after: rank 2 on node .* exited on signal 9'
same "killed twice: restarts in the journal" "$(restarts twice)" 2
same "killed twice: digests" "$(digests twice)" "$(digests whole)"
same "killed twice: metrics" "$(cksum <twice/metrics.csv)" "$(cksum <whole/metrics.csv)"
before=$(cksum <twice/metrics.csv)
status 0 healed twice 2 "$@"
says 'nothing left to do'
same "a finished run is left alone" "$(cksum <twice/metrics.csv)" "$before"

# There is an end to it, and none was begun where none was asked for.
healed once 2 "$@" --restarts 0 >out.txt 2>&1 &
job=$!
wait_for once/checkpoints/latest && kill -9 "$(worker_of once)"
wait $job
same "no restarts: exit status" $? 6
says '^lockstep: given up, not restarted: rank 1 on node .* exited on signal 9'
same "in the journal, too" "$(grep -c '"event":"given_up"' once/journal.jsonl)" 1

# What would come again.
status 2 healed bad 2 "$@" optimizer.lr=fast
status 2 healed bad 2 "$@" train.lanes=1
says 'given up, for the same would come again: exit status 2: .*train.lanes'
printf 'x,y\n1,2\n2,three\n' >bad.csv
status 3 healed bad 2 "$@" 'data={kind: csv, train: bad.csv, validation: bad.csv, target: y}' model.layers=[1,1]
says 'given up, for the same would come again: exit status 3: .*bad.csv:3'
# What cannot be written, each time anew.
mkdir -p full/metrics.csv
status 1 healed full 2 "$@"
says 'restart 1 of 3 on 2 workers from the beginning, after: exit status 1: .*full/metrics.csv'
says '^lockstep: given up, for the same came again, with no new checkpoint: exit status 1: .*full/metrics.csv'
status 2 alone run "$@"
says 'say how many workers with -n N'
status 2 alone run "$@" -n 2.5
says '`2.5` is no whole number'
status 2 alone train "$@" -n 2
says 'lockstep train does not take --workers'
LK_MPIRUN=./nothing status 2 healed bad 2 "$@"
says 'LK_MPIRUN: ./nothing is no program'
printf 'a slots=2\nb\n' >hosts
status 2 alone run "$@" --hostfile hosts
says 'hosts:2: say how many workers b may run'

# Ctrl-C reaches all; the second ends them at once.
set -- "$@" train.epochs=100000
healed asked 3 "$@" >out.txt 2>&1 &
job=$!
wait_for asked/checkpoints/latest && kill -INT "$(starter_of asked)"
wait $job
same "Ctrl-C: exit status" $? 75
says 'finishing step [0-9]+, then a checkpoint'
same "Ctrl-C: processes left" "$(left asked)" 0
same "Ctrl-C: restarts" "$(restarts asked)" 0
healed hurry 3 "$@" >out.txt 2>&1 &
job=$!
if wait_for hurry/checkpoints/latest; then
    first=$(starter_of hurry)
    pkill -STOP -P "$(pgrep -P "$first")" # workers that cannot finish a step
    kill -INT "$first"
    sleep 0.3
    kill -INT "$first"
fi
wait $job
same "Ctrl-C twice: exit status" $? 75
sleep 1
same "Ctrl-C twice: processes left" "$(left hurry)" 0
finish
