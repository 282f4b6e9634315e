/*
 * The inside of a world, for the files of dist/ alone: its struct, and who started it.  The parts, lowest first:
 *
 *     heartbeat   where the workers of this host are       mpi      the door to MPI
 *     wait        waiting for other workers                end      the end of a job that one worker ends
 *     roll        do other hosts answer?                   stack    where the main thread is
 *     report      the words of a hang                      watchdog names who is stuck
 *     places      the order of workers over lanes
 *     agree, collectives, order, replicas, world           what dist.h promises
 */
#ifndef LK_DIST_WORLD_H
#define LK_DIST_WORLD_H

#include <mpi.h>
#include <pthread.h>

#include "dist/dist.h"

enum { LK_HOST_BYTES = 64, LK_AGREED_BYTES = 2048 };

typedef struct lk_watchdog lk_watchdog;
typedef struct lk_heartbeats lk_heartbeats;

struct lk_world {
    bool mpi;                     /* false: a world of one, MPI untouched */
    bool threads;                 /* MPI lets a second thread call it */
    int rank, size;
    int host_rank, host_size, n_hosts;
    int place;                    /* of this worker among all, in which workers of a host are neighbours */
    int *rank_at;                 /* owned, (size): the rank in each place */
    bool shares_cores;            /* this host has fewer cores than workers */
    bool looks;                   /* waiting goes by looks, not behind the lock: cores or hosts are several */
    MPI_Comm comm;                /* what the main thread says */
    MPI_Comm reduce_comm;         /* gradients, also from the communication thread */
    MPI_Comm host_comm;           /* workers of this host */
    char (*hosts)[LK_HOST_BYTES]; /* owned, (size) */
    pthread_mutex_t mpi_lock;     /* guards every call of MPI */
    lk_heartbeats *heartbeats;    /* owned by the watchdog; NULL while the world is being made */
    lk_watchdog *watchdog;        /* owned */
    lk_order *order;              /* borrowed, between begin and wait */
    MPI_Request order_request;
    char agreed[LK_AGREED_BYTES]; /* the last failure that all agreed on */
    pthread_mutex_t end_lock;     /* guards on_end: the watchdog's thread may end the job */
    void (*on_end)(void *arg);    /* called when the job is ended from here; NULL: nothing to do */
    void *on_end_arg;
    bool said_shared;             /* that workers share devices */
    struct lk_wide *wide;         /* owned: what it was, while it is narrowed (subset.c); else NULL */
};

/* Places: hosts in the order of their first ranks, within them the ranks.  first: (size), the lowest rank of each
 * rank's host; rank_at: (size).  Returns the place of `rank`.  Local. */
int lk_places_make(const int *first, int size, int rank, int *rank_at);

/* Where the launcher's words about this job are: how many workers it says it started, 0 when it says nothing, and
 * whether it is there at all. */
typedef struct lk_launch { const char *launcher; int n_workers; } lk_launch;
lk_launch lk_launch_find(void); /* Local, as all below */
/* Settings of the MPI library that must be in the environment before it starts. */
void lk_launch_tune(void);

/* "Open MPI 4.1.4". */
void lk_mpi_library(char *text, size_t nbytes);
/* The same of what MPI_Get_library_version() writes, which is cut up on the way. */
void lk_mpi_library_name(char *version, char *text, size_t nbytes);
/* Whether MPI reads and writes device memory: LOCKSTEP_CUDA_AWARE=0 or 1 if it is set, else what MPI says of itself
 * once it is initialised. */
bool lk_mpi_cuda_aware(void);

#endif
