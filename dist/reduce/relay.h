/*
 * Relays: a way to add up the roots of many workers in which nobody sends or receives more than a few messages.  A
 * bucket is cut into segments; the sum of a node of the tree, in one segment, is made by a worker that holds one of its
 * children, and the finished sum goes back the way it came.  Who adds is another worker in every segment.
 */
#ifndef LK_DIST_RELAY_H
#define LK_DIST_RELAY_H

#include "dist/reduce/tree.h"

enum { LK_RELAY_SEGMENTS = 8 };

/* What one worker does in one round; all that are of a round may be under way at once, adding comes after. */
typedef enum lk_relay_kind {
    LK_RELAY_SEND,    /* own root `root` to the peer, to be added there */
    LK_RELAY_RECEIVE, /* from the peer into scratch, then added to own root `root` */
    LK_RELAY_ADD,     /* own root `from` to own root `root` */
    LK_RELAY_GIVE,    /* the finished sum, in root 0, to the peer */
    LK_RELAY_GET,     /* it from the peer, into root 0 */
    LK_RELAY_MOVE,    /* the finished sum from own root `from` to root 0 */
} lk_relay_kind;

typedef struct lk_relay_act {
    lk_relay_kind kind;
    int segment, round;
    int peer;        /* worker */
    int root, from;  /* numbers of this worker's roots */
} lk_relay_act;

typedef struct lk_relay {
    lk_relay_act *act; /* owned, (n), by round; two workers have theirs with one another in the same order */
    int n, n_rounds;
    int most_messages; /* of a round */
    int most_received; /* segments that a round adds */
} lk_relay;

/* What worker `rank` does when a bucket is cut into n_segments.  Local, as all here. */
lk_status lk_relay_new(const lk_tree_join *join, int rank, int n_segments, lk_relay *out);
void      lk_relay_clear(lk_relay *relay);

#endif
