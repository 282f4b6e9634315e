#!/bin/sh
# Two hosts: two network namespaces with names of their own, joined by a cable (veth), with an agent in ssh's place.
# Two workers on each train the bits of one worker, in whatever order ranks are dealt to them; doctor lists both hosts;
# a worker killed on the far host ends the job, and so does a pulled cable, within launch/cluster/mpirun.conf's time and
# with a message; a worker that is stopped alone on its host is named.  Needs root: exit status 77 without.
set -u
. "$(dirname "$0")/../support/lib.sh"

. "$(dirname "$0")/../support/hosts.sh"

n_far=2 deal=
across() {
    ./on "$near" timeout -k 5 120 mpirun -n "$((2 + n_far))" --host "$near:2,$far:$n_far" --oversubscribe \
        $deal --tune "$here/../../launch/cluster/mpirun.conf" $reach "$lockstep" "$@"
}

status 0 across doctor
says "workers 0 \($near\) 1 \($near\) 2 \($far\) 3 \($far\)"
says 'mpi .* 4 workers on 2 hosts'

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=3 ema.update_after_step=10
status 0 alone train "$@" run.dir=one
status 0 across train "$@" run.dir=two-hosts
same "digests of 2 workers on each of 2 hosts" "$(digests two-hosts)" "$(digests one)"
status 0 across train "$@" run.dir=short-buckets dist.bucket_bytes=4096
same "the same in several buckets" "$(digests short-buckets)" "$(digests one)"
deal='--map-by node' # ranks 0 and 2 on one host: what is near is still added up first
status 0 across train "$@" run.dir=in-turn
same "digests of workers that were dealt to hosts in turn" "$(digests in-turn)" "$(digests one)"
deal=

# A run too long to end by itself.
set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=1000000 train.early_stop.patience=1000000 \
    checkpoint.every=20 checkpoint.unit=step

# begin RUN OPTIONS...: in the background; the first checkpoint is there.
begin() {
    run=$1
    shift
    across train "$@" run.dir="$run" >out.txt 2>&1 &
    job=$!
    wait_for "$run/checkpoints/latest"
    begun=$(date +%s)
}

# ended STATUS LIMIT: it has ended with that status, or any but 0, in so many seconds, and left nobody behind.
ended() {
    got=0
    wait "$job" || got=$?
    took=$(($(date +%s) - begun))
    [ "$1" = any ] && [ "$got" != 0 ] && [ "$got" != 124 ] && got=any
    same "$run: the job's status" "$got" "$1"
    same "$run: ended within $2 s ($took)" "$([ "$took" -le "$2" ] && echo yes || echo no)" yes
    sleep 1
    same "$run: workers left" "$(workers_of "$run" | wc -l)" 0
}

if begin asked "$@"; then
    kill -USR1 "$(pgrep -f "^mpirun .*run.dir=asked")"
    ended 75 20
fi
if begin killed "$@"; then
    kill -9 "$(far_worker killed)"
    ended any 15
    says "rank [23] .* on node $far exited on signal 9"
fi
if begin cut "$@"; then
    pull
    ended any 40
    says "Remote daemon: .* on node $far"
    mend
fi

# A worker alone on its host is stopped: nobody there can say so, the others name it.  mpirun could not follow 3 seconds.
# In a step, that is: who waits inside a call of MPI cannot ask, and between steps of this run there are many.
n_far=1
if begin frozen "$@" dist.timeout=3 checkpoint.every=3000 train.evaluate_every=1000000 dist.check_every=0; then
    sleep 0.5
    kill -STOP "$(far_worker frozen)"
    ended 6 75
    says 'a timeout of 3 s \(dist.timeout\) is stretched to 30 s'
    says "rank 2 \\($far\\) does not answer: its process is stopped, or its host or the network is gone; rank [01] \\($near\\) has waited at step"
    same "frozen: messages" "$(grep -c '^lockstep: rank' out.txt)" 1
fi
finish
