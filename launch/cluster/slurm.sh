#!/bin/bash
# A training job under Slurm that survives preemption, its time limit and lost nodes:
#
#   sbatch launch/cluster/slurm.sh RECIPE [KEY=VALUE...]
#
# Submit it from Lockstep's folder, on a file system that all nodes share.  `lockstep run` starts srun, and when a task or a
# node is lost starts it again on the nodes that still answer, from the newest good checkpoint.  Two minutes before the time
# limit Slurm sends SIGUSR1 (and SIGTERM at a preemption) to the tasks; they finish the step, write a checkpoint and leave
# with 75, and the job queues up again.  On any number of tasks up to train.lanes the bits are the same.

#SBATCH --job-name=lockstep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4         # one task per core, or per GPU with --gpus-per-task=1
#SBATCH --cpus-per-task=1           # engine.threads
#SBATCH --hint=nomultithread        # whole cores
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120           # to the job step, 120 s before the end
#SBATCH --no-kill                   # a lost node ends the step, not the allocation
#SBATCH --requeue                   # after the loss of the node that this script runs on, and `scontrol requeue`
#SBATCH --open-mode=append          # one log over all starts
#SBATCH --output=%x-%j.log

[ $# -ge 1 ] || { echo "usage: sbatch launch/cluster/slurm.sh RECIPE [KEY=VALUE...]" >&2; exit 2; }

# Behind `--` are srun's options.  --wait: when one worker has ended the others have 30 s; --kill-on-bad-exit would turn some
# workers' 75 into a kill.  `srun --mpi=list` must name pmix; without it, let mpirun start them:
#   LK_MPIRUN=mpirun build/lockstep run "$@" -n "$SLURM_NTASKS" -- --tune launch/cluster/mpirun.conf --bind-to core
build/lockstep run "$@" -- --mpi=pmix --cpu-bind=cores --kill-on-bad-exit=0 --wait=30
status=$?

# 75: stopped on request.  7: an earlier job still trains in the run's folder, and will have ended soon.
if [ "$status" -eq 75 ] || [ "$status" -eq 7 ]; then
    echo "status $status: the job queues up again"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
