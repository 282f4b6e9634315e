/* Sending and receiving floats, as the algorithms that sum do it: post a round of messages, then complete it. */
#ifndef LK_DIST_P2P_H
#define LK_DIST_P2P_H

#include <stdatomic.h>

#include "dist/world/world.h"

enum { LK_P2P_MAX_ELEM = 1 << 30 };  /* of one message: MPI counts are int */

/* n values of `from` come into `into`. */
typedef struct lk_p2p_unpack { float *into; const uint16_t *from; size_t n; } lk_p2p_unpack;

typedef struct lk_p2p {
    lk_world *world;          /* borrowed */
    MPI_Request *request;     /* owned, (capacity) */
    int *peer;                /* owned, (capacity): whose message each is, by rank */
    int n, capacity;
    bool may_halve;           /* set before reserving: some rounds send bf16 */
    bool halves;              /* what is sent now has been rounded to bf16 and travels so */
    uint16_t *packed;         /* owned, (packed_capacity): what travels as bf16 in this round */
    size_t n_packed, packed_capacity;
    lk_p2p_unpack *unpack;    /* owned, (capacity): what is to be taken out of it */
    int n_unpack;
    bool background;          /* used by the communication thread */
    _Atomic bool hurry;       /* somebody waits for it: poll without sleeping */
    _Atomic int64_t bytes_sent;
} lk_p2p;

/* Room for the most messages that one round posts, and for the elements of all of them.  Local. */
lk_status lk_p2p_reserve(lk_p2p *p2p, int messages, size_t n_elem);
size_t    lk_p2p_nbytes(const lk_p2p *p2p); /* of that, what may be large; Local */
void      lk_p2p_close(lk_p2p *p2p); /* Local */
/* Post; to and from are places.  Local. */
lk_status lk_p2p_send(lk_p2p *p2p, const float *from, size_t n_elem, int to);
lk_status lk_p2p_receive(lk_p2p *p2p, float *into, size_t n_elem, int from);
/* Waits until all that was posted is done: Collective for those who posted to one another. */
lk_status lk_p2p_complete(lk_p2p *p2p);
/* Sums in place over all workers, in the order MPI likes.  Collective. */
lk_status lk_p2p_all_reduce(lk_p2p *p2p, float *values, size_t n_elem);

#endif
