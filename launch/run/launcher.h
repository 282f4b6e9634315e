/* What starts workers: mpirun, or srun in an allocation of Slurm's. */
#ifndef LK_LAUNCHER_H
#define LK_LAUNCHER_H

#include "launch/launch.h"
#include "launch/run/hosts.h"
#include "launch/run/process.h"
#include "launch/run/words.h"

enum { LAUNCHER_PATH_BYTES = 4096 };

typedef struct launcher {
    bool slurm;                         /* srun */
    char path[LAUNCHER_PATH_BYTES];     /* of mpirun or srun */
    char self[LAUNCHER_PATH_BYTES];     /* of this program */
    const char *const *passed;          /* (n_passed) options for it; borrowed */
    int n_passed;
    hosts hosts;
} launcher;

/* LK_MPIRUN's program, in an allocation srun, else mpirun, and the hosts of --hostfile or of the allocation;
 * n_workers: how many will be asked for, 0: as many as the hosts have slots.  Release it, also when it fails.
 * Errors: LK_ERR_USAGE (there is none; the hostfile). */
lk_status launcher_open(const options *opt, int64_t n_workers, launcher *out);
void      launcher_close(launcher *l);
/* The command line up to this program's path: n workers on the hosts that are not gone. */
void      launcher_begin(const launcher *l, int64_t n_workers, words *argv);
/* Asks each host, by starting `true` there as workers are started, for at most so many seconds, and tells on stderr who
 * is gone, or back; *changed: somebody is. */
lk_status launcher_ask_hosts(launcher *l, requests *r, double seconds, bool *changed);

#endif
