#!/bin/sh
# lockstep run over two hosts (network namespaces, as in multi/test_hosts.sh): the cable of one is pulled, it is left out,
# and the run ends on the other with the bits of one worker.  Needs root: exit status 77 without.
set -u
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hosts.sh"

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=20 checkpoint.every=20 checkpoint.unit=step \
    train.early_stop.patience=1000
status 0 alone train "$@" run.dir=whole

# mpirun asks a silent host after 1 s, three times.
printf '%s slots=2\n%s slots=2\n' "$near" "$far" >hosts
timeout -k 5 120 ./on "$near" "$lockstep" run --hostfile hosts "$@" run.dir=cut --backoff 0.1 --probe 3 -- $reach \
    --mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3 >out.txt 2>&1 &
job=$!
wait_for cut/checkpoints/latest && pull
wait $job
same "a host cut off: exit status" $? 0
says "^lockstep: host $far does not answer within 3 s: left out"
says "^lockstep run: restart 1 of 3 on 2 workers from step [0-9]+, after: host $far was lost"
same "a host cut off: digests" "$(digests cut)" "$(digests whole)"
same "a host cut off: metrics" "$(cksum <cut/metrics.csv)" "$(cksum <whole/metrics.csv)"
same "workers at the end" "$(grep -o '"workers": *[0-9]*' cut/summary.json | grep -o '[0-9]*$')" 2
finish
