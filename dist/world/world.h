/*
 * The inside of a world, for the files of dist/ alone: its struct, mpi_lock to MPI, and what the watchdog reads.
 *
 * One lock: LK_MPI makes every call of MPI, one thread at a time, which is what MPI_THREAD_SERIALIZED asks for.  The
 * main thread may stay behind mpi_lock in a call that waits; the communication thread only polls (p2p.h), so neither
 * keeps the other from making progress for ever.
 */
#ifndef LK_DIST_WORLD_H
#define LK_DIST_WORLD_H

#include <mpi.h>
#include <pthread.h>

#include "dist/dist.h"

enum { LK_HOST_BYTES = 64, LK_AGREED_BYTES = 2048 };

typedef struct lk_watchdog lk_watchdog;

struct lk_world {
    bool mpi;                     /* false: a world of one, MPI untouched */
    bool threads;                 /* MPI lets a second thread call it */
    int rank, size;
    int host_rank, host_size, n_hosts;
    bool shares_cores;            /* this host has fewer cores than workers */
    MPI_Comm comm;                /* what the main thread says */
    MPI_Comm reduce_comm;         /* gradients, also from the communication thread */
    MPI_Comm host_comm;           /* workers of this host */
    char (*hosts)[LK_HOST_BYTES]; /* owned, (size) */
    pthread_mutex_t mpi_lock;
    lk_watchdog *watchdog;        /* owned */
    lk_order *order;              /* borrowed, between begin and wait */
    MPI_Request order_request;
    char agreed[LK_AGREED_BYTES]; /* the last failure that all agreed on */
    pthread_mutex_t end_lock;     /* guards on_end: the watchdog's thread may end the job */
    void (*on_end)(void *arg);    /* called when the job is ended from here; NULL: nothing to do */
    void *on_end_arg;
    bool said_shared;             /* that workers share devices */
};

/* Where the launcher's words about this job are: how many workers it says it started, 0 when it says nothing, and
 * whether it is there at all. */
typedef struct lk_launch { const char *launcher; int n_workers; } lk_launch;
lk_launch lk_launch_find(void);
/* Settings of the MPI library that must be in the environment before it starts. */
void lk_launch_tune(void);

/* "Open MPI 4.1.4". */
void lk_mpi_library(char *text, size_t nbytes);
/* The same of what MPI_Get_library_version() writes, which is cut up on the way. */
void lk_mpi_library_name(char *version, char *text, size_t nbytes);
/* Whether MPI reads and writes device memory: LOCKSTEP_CUDA_AWARE=0 or 1 if it is set, else what MPI says of itself once
 * it is initialised. */
bool lk_mpi_cuda_aware(void);

/* ---------------------------------------------------------------- mpi_lock */

/* Turns an error of MPI into LK_ERR_PEER; `call` is the text of the call. */
lk_status lk_mpi_fail(const lk_world *world, int code, const char *call, const char *file, int line);

#define LK_MPI(world, call)                                                                    \
    do {                                                                                       \
        pthread_mutex_lock(&(world)->mpi_lock);                                                \
        const int lk_mpi_ = (call);                                                            \
        pthread_mutex_unlock(&(world)->mpi_lock);                                              \
        if (lk_mpi_ != MPI_SUCCESS) return lk_mpi_fail((world), lk_mpi_, #call, __FILE__, __LINE__); \
    } while (0)

/* The same for collectives that wait for other workers, by the main thread: the watchdog does not blame who waits, and
 * where cores are shared the wait is for all to be there, so that the call itself is short. */
#define LK_MPI_WAIT(world, call)                                                               \
    do {                                                                                       \
        lk_wait_begin(world);                                                                  \
        int lk_mpi_ = lk_wait_meet(world);                                                     \
        if (lk_mpi_ == MPI_SUCCESS) {                                                          \
            pthread_mutex_lock(&(world)->mpi_lock);                                            \
            lk_mpi_ = (call);                                                                  \
            pthread_mutex_unlock(&(world)->mpi_lock);                                          \
        }                                                                                      \
        lk_wait_end(world);                                                                    \
        if (lk_mpi_ != MPI_SUCCESS) return lk_mpi_fail((world), lk_mpi_, #call, __FILE__, __LINE__); \
    } while (0)

/* ----------------------------------------------------------------- waiting */

/* Before MPI starts and before any thread, which inherit it. */
void lk_wait_tune(void);
/* Sets shares_cores.  Collective. */
lk_status lk_wait_find_sharing(lk_world *world);
/* After look number 0, 1, ... at something that is not done yet. */
void lk_give_way(const lk_world *world, int look);
/* Until all these requests are done. */
lk_status lk_wait_all(lk_world *world, int n, MPI_Request *request);
/* Where cores are shared: until every worker is here.  MPI's code. */
int lk_wait_meet(lk_world *world);

/* ---------------------------------------------------------------- watchdog */

/* Collective. */
lk_status lk_watchdog_new(lk_world *world, double timeout_s);
void      lk_watchdog_free(lk_world *world);
lk_status lk_watchdog_set_timeout(lk_world *world, double timeout_s);
/* Where this worker was last seen, for messages. */
void      lk_watchdog_position(const lk_world *world, int64_t *step, char *phase, size_t nbytes);

/* The main thread begins and ends to wait for other workers. */
void lk_wait_begin(lk_world *world);
void lk_wait_end(lk_world *world);
/* The main thread waits for its device, whose work may wait for other workers; until it next tells progress. */
void lk_wait_on_device(lk_world *world);
/* Whether nobody of this host has said yet why the job ends. */
bool lk_watchdog_speaks_first(lk_world *world);
/* Leaves who spoke first the time to end the job. */
void lk_watchdog_hold_back(void);

/* What must be given up when the job ends from here; it gets a few seconds, also on the watchdog's thread.  NULL: nothing
 * any more. */
void lk_world_on_end(lk_world *world, void (*on_end)(void *arg), void *arg);

/* Ends the job with this exit status, without a word and without flushing: also for threads that must not wait for
 * another's lock.  Does not return. */
void lk_world_end(lk_world *world, int exit_status) __attribute__((noreturn));

#endif
