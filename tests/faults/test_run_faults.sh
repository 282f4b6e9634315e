#!/bin/sh
# lockstep run through what hurts one worker: the leader killed, one killed while a checkpoint gets its name, a worker
# stopped dead, a clock that jumps, a disk without room for one worker's part until somebody makes some.  Each time the
# run ends with the bits of the run that nothing happened to.
set -u
. "$(dirname "$0")/../support/lib.sh"

healed() { # RUN OPTIONS...
    run=$1
    shift
    timeout 120 "$lockstep" run -n 3 "$@" run.dir="$run" --backoff 0.1 -- --oversubscribe
}
healed_same() { # RUN WHAT
    same "$2: digests" "$(digests "$1")" "$(digests whole)"
    same "$2: metrics" "$(cksum <"$1/metrics.csv")" "$(cksum <whole/metrics.csv)"
}
# leader_of RUN: the worker that mpirun calls its first.
leader_of() {
    for process in $(workers_of "$1"); do
        grep -qzx OMPI_COMM_WORLD_RANK=0 "/proc/$process/environ" && echo "$process"
    done
}

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=30 checkpoint.every=37 checkpoint.unit=step \
    data.samples=1611 train.early_stop.patience=1000
status 0 alone train "$@" run.dir=whole

healed leader "$@" >out.txt 2>&1 &
job=$!
wait_for leader/checkpoints/latest && kill -9 "$(leader_of leader)"
wait $job
same "the leader killed: exit status" $? 0
says 'restart 1 of 3 .* after: rank 0 on node .* exited on signal 9'
healed_same leader "the leader killed"

healed frozen "$@" dist.timeout=2 >out.txt 2>&1 &
job=$!
wait_for frozen/checkpoints/latest && kill -STOP "$(worker_of frozen)"
wait $job
same "a worker stopped dead: exit status" $? 0
says 'rank [0-2] \(.*\) is stuck at step [0-9]+ .*: its process is stopped or dead \(process [0-9]+, state T\)'
says 'restart 1 of 3 .* after: .*rank [0-2] \(.*\) is stuck'
healed_same frozen "a worker stopped dead"

if ! can_bad_files; then
    echo "skipped: this program cannot be given another file system"
    finish
fi
LK_TOLD=$work/killed LK_BAD_FILES=killed LD_PRELOAD=$BAD_FILES status 0 healed publish "$@"
says 'restart 1 of 3 .* after: rank 0 on node .* exited on signal 9'
healed_same publish "killed while a checkpoint gets its name"

LD_PRELOAD=$BAD_CLOCK status 0 healed clock "$@"
healed_same clock "a clock that jumps"

LK_BAD_PATH=shard-00001 LK_BAD_FILES=full LD_PRELOAD=$BAD_FILES status 1 healed full "$@"
says 'given up, for the same came again, with no new checkpoint: exit status 1: rank 1 \(.*\).*No space left on device'
status 0 healed full "$@"
healed_same full "a full disk, and then room"
finish
