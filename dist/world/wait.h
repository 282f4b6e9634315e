/* Waiting for other workers, without holding up those who share this worker's cores, and seen by the watchdog. */
#ifndef LK_DIST_WAIT_H
#define LK_DIST_WAIT_H

#include "dist/world/heartbeat.h"
#include "dist/world/mpi.h"

/* Before MPI starts and before any thread, which inherit it.  Local. */
void lk_wait_tune(void);
/* Sets shares_cores and looks.  Collective. */
lk_status lk_wait_choose(lk_world *world);
/* After look number 0, 1, ... at something that is not done yet.  Local. */
void lk_give_way(const lk_world *world, int look);
/* Until all these requests are done.  Collective for those whose messages they are. */
lk_status lk_wait_all(lk_world *world, int n, MPI_Request *request);
/* Where waiting goes by looks: until every worker is here.  MPI's code.  Collective. */
int lk_wait_meet(lk_world *world);

/* LK_MPI for collectives that wait for other workers, by the main thread: the watchdog does not blame who waits, and
 * where waiting goes by looks it is for all to be there, so that the call itself is short. */
#define LK_MPI_WAIT(world, call)                                                               \
    do {                                                                                       \
        lk_wait_begin(world, #call);                                                                \
        int lk_mpi_ = lk_wait_meet(world);                                                     \
        if (lk_mpi_ == MPI_SUCCESS) {                                                          \
            pthread_mutex_lock(&(world)->mpi_lock);                                            \
            lk_mpi_ = (call);                                                                  \
            pthread_mutex_unlock(&(world)->mpi_lock);                                          \
        }                                                                                      \
        lk_wait_end(world);                                                                    \
        if (lk_mpi_ != MPI_SUCCESS) return lk_mpi_fail((world), lk_mpi_, #call, __FILE__, __LINE__); \
    } while (0)

#endif
