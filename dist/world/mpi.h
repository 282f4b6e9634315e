/*
 * The door to MPI: every call of it, by one thread at a time, which is what MPI_THREAD_SERIALIZED asks for, with its
 * failures as statuses.
 *
 * No thread stays behind the lock in a call that waits for another host's worker for long (wait.h), so that the
 * communication thread and the watchdog get their turns.
 */
#ifndef LK_DIST_MPI_H
#define LK_DIST_MPI_H

#include "dist/world/world.h"

/* MPICH's MPI_STATUSES_IGNORE is the address 1, which gcc takes for an array without room. */
#if defined(MPICH) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif

/* Turns an error of MPI into LK_ERR_PEER; `call` is the text of the call.  Local. */
lk_status lk_mpi_fail(const lk_world *world, int code, const char *call, const char *file, int line);

#define LK_MPI(world, call)                                                                    \
    do {                                                                                       \
        pthread_mutex_lock(&(world)->mpi_lock);                                                \
        const int lk_mpi_ = (call);                                                            \
        pthread_mutex_unlock(&(world)->mpi_lock);                                              \
        if (lk_mpi_ != MPI_SUCCESS) return lk_mpi_fail((world), lk_mpi_, #call, __FILE__, __LINE__); \
    } while (0)

#endif
