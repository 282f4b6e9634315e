/* Sending and receiving floats, as the ways of summing do it: post a round of messages, then complete it. */
#ifndef LK_DIST_WIRE_H
#define LK_DIST_WIRE_H

#include <stdatomic.h>

#include "dist/world/world.h"

enum { LK_WIRE_MAX_ELEM = 1 << 30 }; /* of one message: MPI counts are int */

typedef struct lk_wire {
    lk_world *world;          /* borrowed */
    MPI_Request *request;     /* owned, (capacity) */
    int n, capacity;
    bool background;          /* used by the communication thread */
    _Atomic bool hurry;       /* somebody waits for it: poll without sleeping */
    _Atomic int64_t bytes_sent;
} lk_wire;

/* Room for the most messages that one round posts. */
lk_status lk_wire_reserve(lk_wire *wire, int messages);
void      lk_wire_close(lk_wire *wire);
lk_status lk_wire_send(lk_wire *wire, const float *from, size_t n_elem, int to);
lk_status lk_wire_receive(lk_wire *wire, float *into, size_t n_elem, int from);
/* Waits until all that was posted is done. */
lk_status lk_wire_complete(lk_wire *wire);
/* Sums in place over all workers, in the order MPI likes. */
lk_status lk_wire_all_reduce(lk_wire *wire, float *values, size_t n_elem);

#endif
