#!/bin/bash
# A training job under Slurm that survives preemption, its time limit and lost nodes:
#
#   sbatch launch/cluster/slurm.sh RECIPE [KEY=VALUE...]
#
# Submit it from Lockstep's folder, on a file system that all nodes share.  Two minutes before the time limit Slurm sends
# SIGUSR1 (and SIGTERM at a preemption); Lockstep finishes the step, writes a checkpoint and exits with 75, and the job
# queues up again.  It always starts with --resume: the newest good checkpoint, or the beginning; on any number of tasks up to
# train.lanes the bits are the same.

#SBATCH --job-name=lockstep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4         # one task per core, or per GPU with --gpus-per-task=1
#SBATCH --cpus-per-task=1           # engine.threads
#SBATCH --hint=nomultithread        # whole cores
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120           # to the job step, 120 s before the end
#SBATCH --requeue                   # after a lost node, and `scontrol requeue`
#SBATCH --open-mode=append          # one log over all starts
#SBATCH --output=%x-%j.log

[ $# -ge 1 ] || { echo "usage: sbatch launch/cluster/slurm.sh RECIPE [KEY=VALUE...]" >&2; exit 2; }

# --wait: when one worker has ended the others have 30 s; --kill-on-bad-exit would turn some workers' 75 into a kill.
# `srun --mpi=list` must name pmix.  Without it:  mpirun --tune launch/cluster/mpirun.conf --bind-to core build/lockstep ...
srun --mpi=pmix --cpu-bind=cores --kill-on-bad-exit=0 --wait=30 build/lockstep train "$@" --resume
status=$?

# 75: stopped on request.  7: an earlier job still trains in the run's folder, and will have ended soon.
if [ "$status" -eq 75 ] || [ "$status" -eq 7 ]; then
    echo "status $status: the job queues up again"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
