#!/bin/sh
# Two hosts: two network namespaces with names of their own, joined by a cable (veth), with an agent in ssh's place.
# Two workers on each train the bits of one worker; doctor lists both hosts; a worker killed on the far host ends the
# job, and so does a pulled cable, within launch/cluster/mpirun.conf's time and with a message; a worker that is stopped
# alone on its host is named.  Needs root: exit status 77 without.
set -u
. "$(dirname "$0")/../support/lib.sh"

skip() {
    echo "skipped: $1"
    exit 77
}

near=lk-near-$$ far=lk-far-$$ cable=lk0
[ "$(id -u)" = 0 ] || skip "only root may make network namespaces"
command -v ip >/dev/null || skip "no command ip; install iproute2"
ip netns add "$near" 2>ip.txt || skip "no network namespace may be made here: $(cat ip.txt)"

# Whatever still runs on the two hosts, for instance daemons behind the pulled cable, goes with them.
remove_hosts() {
    for host in "$near" "$far"; do
        for process in $(ip netns pids "$host" 2>/dev/null); do kill -9 "$process" 2>/dev/null; done
        ip netns del "$host" 2>/dev/null
    done
    rm -rf "$work"
}
trap remove_hosts EXIT
trap 'exit 1' HUP INT TERM

ip netns add "$far"
ip link add "$cable" netns "$near" type veth peer name "$cable" netns "$far" 2>ip.txt ||
    skip "no virtual cable may be made here: $(cat ip.txt)"
plug() { # host, its address
    ip -n "$1" address add "$2/24" dev "$cable"
    ip -n "$1" link set lo up
    ip -n "$1" link set "$cable" up
}
plug "$near" 10.0.0.1
plug "$far" 10.0.0.2

# on HOST COMMAND...: Open MPI knows hosts apart by their names, so each has its own (unshare --uts).
cat >on <<'END'
#!/bin/sh
exec ip netns exec "$1" unshare --uts sh -c 'hostname "$1"; shift; exec "$@"' sh "$@"
END
# What mpirun calls as it would ssh: HOST, then a command line for the host's shell.
cat >agent <<END
#!/bin/sh
host=\$1
shift
exec "$work/on" "\$host" sh -c "\$*"
END
chmod +x on agent
./on "$near" true 2>ip.txt || skip "no host name of its own may be given here: $(cat ip.txt)"

n_far=2
across() {
    ./on "$near" timeout -k 5 120 mpirun -n "$((2 + n_far))" --host "$near:2,$far:$n_far" --oversubscribe \
        --tune "$here/../../launch/cluster/mpirun.conf" --mca plm_rsh_agent "$work/agent" \
        --mca btl_tcp_if_include "$cable" --mca oob_tcp_if_include "$cable" "$lockstep" "$@"
}

# far_worker RUN: a process of the far host.
far_worker() {
    for process in $(workers_of "$1"); do
        ip netns pids "$far" | grep -x "$process" && return
    done
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

# The cable carries again, and neither host remembers the other as gone.
mend() {
    ip -n "$near" link set "$cable" up
    for host in "$near" "$far"; do
        until ip -n "$host" link show "$cable" | grep -q 'state UP'; do sleep 0.1; done
        ip -n "$host" neighbour flush dev "$cable"
    done
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
    ip -n "$near" link set "$cable" down
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
