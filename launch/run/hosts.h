/* The hosts that workers may be started on. */
#ifndef LK_HOSTS_H
#define LK_HOSTS_H

#include "engine/engine.h"

typedef struct host {
    char *name;      /* owned */
    int64_t slots;   /* workers that it may run */
    bool gone;       /* it did not answer when it was last asked */
} host;

typedef struct hosts {
    host *host;      /* (n) owned */
    size_t n;        /* 0: nobody named any */
} hosts;

/* From a hostfile of Open MPI's: "NAME slots=N" a line, several lines of a name add up.  Errors: LK_ERR_USAGE with file
 * and line. */
lk_status hosts_read(const char *path, hosts *out);
/* The nodes of the Slurm allocation that we are in, with equal parts of its n_tasks.  Errors: LK_ERR_SYSTEM. */
lk_status hosts_of_slurm(int64_t n_tasks, hosts *out);
void      hosts_free(hosts *hosts);

/* Of all of them, or of those that are not gone. */
int64_t   hosts_slots(const hosts *hosts, bool all);
/* How many of `asked` workers are left with the hosts: all, as long as their slots suffice; as many to a slot as there
 * were at first. */
int64_t   hosts_workers(const hosts *hosts, int64_t asked);

#endif
