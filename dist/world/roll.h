/* The roll call: watchdogs of different hosts ask one another whether they are still there. */
#ifndef LK_DIST_ROLL_H
#define LK_DIST_ROLL_H

#include "dist/world/world.h"

typedef struct lk_roll lk_roll;

/* *out stays NULL in a world of one host, and where MPI lets only one thread speak.  Collective. */
lk_status lk_roll_open(lk_world *world, lk_roll **out);
/* Collective. */
void      lk_roll_close(lk_roll **roll);
/* Answers who asks; for the first worker of a host, again and again.  Local. */
void      lk_roll_reply(lk_world *world, lk_roll *roll, bool moving);

typedef struct lk_roll_result {
    int silent;    /* the first worker of the first host that does not answer; -1: all do, or nobody could be asked */
    bool speaks;   /* this host is the first of those that answer: it speaks for all */
    bool moving;   /* some host has a worker that moves */
} lk_roll_result;

/* Asks the first worker of every other host, and gives them a few seconds.  Local. */
lk_roll_result lk_roll_call(lk_world *world, lk_roll *roll);

#endif
