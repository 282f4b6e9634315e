#!/bin/sh
# launch/cluster/slurm.sh on a real Slurm: a controller and two nodes on this machine, each with a host name of its own.  A
# task is killed, the job is asked to stop and queued up again, a node is lost: it ends with the bits of one worker.
# Needs root and Slurm's programs: exit status 77 without.  SLURM_ROOT=DIR: of packages that were unpacked into DIR (dpkg -x
# of slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins) and not installed.
set -u
. "$(dirname "$0")/../support/lib.sh"

skip() {
    echo "skipped: $1"
    exit 77
}
root=${SLURM_ROOT:-} library=$(ls -d "${SLURM_ROOT:-}"/usr/lib/*/slurm-wlm 2>/dev/null | head -n 1)
PATH=$root/usr/sbin:$root/usr/bin:$PATH
[ -n "$root" ] && export LD_LIBRARY_PATH="$library:$(dirname "$library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
program() { command -v "$1-wlm" || command -v "$1"; } # Debian's names, and others'
[ "$(id -u)" = 0 ] || skip "only root may give hosts names of their own"
for name in slurmctld slurmd slurmstepd sbatch srun; do
    program $name >which.txt || skip "no $name: install slurmctld, slurmd and slurm-client"
done
unshare --uts true 2>why.txt || skip "no host name of its own may be given here: $(cat why.txt)"

# ------------------------------------------------------------------------------ a cluster

port=$((20000 + $$ % 20000))
export SLURM_CONF="$work/slurm.conf"
cat >slurm.conf <<END
ClusterName=lk$$
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/ctld.pid
SlurmdPidFile=$work/%n.pid
SlurmctldLogFile=$work/ctld.log
SlurmdLogFile=$work/%n.log
TmpFS=$work/tmp-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0
MpiDefault=none
SlurmdTimeout=5
KillWait=5
NodeName=n1 NodeHostname=n1 NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=2
NodeName=n2 NodeHostname=n2 NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2
PartitionName=all Nodes=n1,n2 Default=YES
${library:+PluginDir=$library}
END
mkdir -p state spool-n1 spool-n2 tmp-n1 tmp-n2 build
ln -s "$lockstep" build/lockstep

# processes_of NODE: all that have its name for their host's, its daemon first.
processes_of() {
    daemon=$(cat "$1.pid" 2>/dev/null) || return
    space=$(readlink "/proc/$daemon/ns/uts") || return
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/ns/uts" 2>/dev/null)" = "$space" ] && echo "${process#/proc/}"
    done
}
lose() { for process in $(processes_of "$1"); do kill -9 "$process" 2>/dev/null; done; }
remove_cluster() {
    lose n1
    lose n2
    [ -e ctld.pid ] && kill -9 "$(cat ctld.pid)"
    cd / && rm -rf "$work"
}
trap remove_cluster EXIT
trap 'exit 1' HUP INT TERM

"$(program slurmctld)" || skip "slurmctld does not run here: $(tail -n 1 ctld.log)"
for node in n1 n2; do
    unshare --uts sh -c 'hostname "$1"; shift; exec "$@"' sh $node "$(program slurmd)" -N $node -d "$(program slurmstepd)" ||
        skip "slurmd does not run here: $(tail -n 1 $node.log)"
done
timeout 20 srun --nodes=2 true >srun.txt 2>&1 || skip "no job runs here: $(tail -n 1 srun.txt)"
srun --mpi=list 2>&1 | grep -q pmix || skip "this Slurm has no pmix"

# ---------------------------------------------------------------------------------- a job

set -- "$recipes/ema-regression.yaml" train.lanes=4 train.epochs=20 checkpoint.every=20 checkpoint.unit=step \
    train.early_stop.patience=1000
status 0 alone train "$@" run.dir=whole

job_state() { squeue --noheader --jobs="$1" --format=%T 2>/dev/null; }
until_state() { # STATE, "": it has left
    n=0
    until [ "$(job_state "$id")" = "$1" ] || [ $((n += 1)) -gt 600 ]; do sleep 0.1; done
}
# saved_since NAME: until the newest checkpoint is another.
saved_since() {
    n=0
    until [ "$(readlink run/checkpoints/latest)" != "$1" ] || [ $((n += 1)) -gt 600 ]; do sleep 0.05; done
}

id=$(sbatch --parsable --ntasks-per-node=2 --output=out.txt "$here/../../launch/cluster/slurm.sh" "$@" run.dir=run \
    --backoff 0.1 --probe 3)
saved_since ""
victim=$(for process in $(processes_of n2); do workers_of run | grep -x "$process"; done | tail -n 1)
kill -9 "$victim"
n=0
until grep -q '"restart"' run/journal.jsonl || [ $((n += 1)) -gt 600 ]; do sleep 0.05; done
saved_since "$(readlink run/checkpoints/latest)"
scancel --signal=USR1 "$id"
until_state PENDING
says '^lockstep run: restart 1 of 3 on 4 workers from step [0-9]+, after: task 3 on node n2: Killed'
says 'finishing step [0-9]+, then a checkpoint'
says '^status 75: the job queues up again'
before=$(readlink run/checkpoints/latest)
# Not in two minutes, as Slurm would have it; but within two seconds slurmd takes it for the job that was just ended.
sleep 3
n=0
until [ "$(job_state "$id")" = RUNNING ] || [ $((n += 1)) -gt 60 ]; do
    scontrol update "JobId=$id" StartTime=now >/dev/null 2>&1
    sleep 0.5
done
saved_since "$before"
lose n2
until_state ""
says '^lockstep: host n2 does not answer within 3 s: left out'
says '^lockstep run: restart 1 of 3 on 2 workers from step [0-9]+, after: host n2 was lost'
same "killed, queued up again and on fewer nodes: digests" "$(digests run)" "$(digests whole)"
same "killed, queued up again and on fewer nodes: metrics" "$(cksum <run/metrics.csv)" "$(cksum <whole/metrics.csv)"
finish
