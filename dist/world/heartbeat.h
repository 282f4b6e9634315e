/* Heartbeats: where every worker of this host is, in a table that all of them read. */
#ifndef LK_DIST_HEARTBEAT_H
#define LK_DIST_HEARTBEAT_H

#include <stdatomic.h>

#include "dist/world/verdict.h"
#include "dist/world/world.h"

enum {
    LK_HEARTBEAT_PADDING = 64,
    LK_PHASE_WORDS = 4,
    LK_PHASE_BYTES = LK_PHASE_WORDS * 8,
    LK_LAYER_WORDS = 8,
    LK_LAYER_BYTES = LK_LAYER_WORDS * 8,
};

/* Whether the stack of a stuck worker was asked for by another of its host, and has been told. */
enum { LK_STACK_UNASKED, LK_STACK_ASKED, LK_STACK_TOLD };

/* Written by its worker alone, read by all of its host; each field is atomic by itself, so a phase caught while it
 * changes can only spoil a word in a message. */
typedef struct lk_heartbeat {
    _Atomic int64_t step;
    _Atomic double since;              /* clock when progress was last told, or waiting began or ended */
    _Atomic double beat;               /* clock of the watchdog's last beat, 0 when it is off */
    _Atomic uint64_t phase[LK_PHASE_WORDS];
    _Atomic int waiting;
    _Atomic uint64_t awaits[LK_PHASE_WORDS]; /* while it waits: a call of MPI, or words */
    _Atomic int bucket, n_buckets;     /* the bucket that is reduced, 1 .. n_buckets; 0: none */
    _Atomic int peer;                  /* one more than the rank that is waited for; 0: several */
    _Atomic uint64_t layer[LK_LAYER_WORDS]; /* in which it is stuck, by its watchdog */
    _Atomic int rank, pid;
    _Atomic uint64_t pid_space;        /* in which namespace that number counts */
    _Atomic int stack;                 /* LK_STACK_UNASKED, ... */
    _Atomic int spoken, asking;        /* in the first heartbeat: a worker of this host is ending the job, asks
                                        * others */
    char padding[LK_HEARTBEAT_PADDING]; /* keeps neighbours out of each other's cache lines, wherever MPI begins */
} lk_heartbeat;

struct lk_heartbeats {
    lk_heartbeat *table; /* (n), owned by the window or, alone, by `own` */
    lk_heartbeat *mine;
    int n;
    MPI_Win window;
    lk_heartbeat *own;   /* owned; NULL with a window */
    const char *phase;   /* what mine->phase holds; main thread only, as below */
    const char *awaits;
    bool device_wait;    /* it waits for its device */
};

/* All here are Local.  Where this worker was last seen, for messages. */
void lk_heartbeat_position(const lk_world *world, int64_t *step, char phase[LK_PHASE_BYTES]);
void lk_heartbeat_phase(const lk_heartbeat *heartbeat, char phase[LK_PHASE_BYTES]);
void lk_heartbeat_set_phase(lk_heartbeats *heartbeats, const char *phase);
void lk_heartbeat_awaits(const lk_heartbeat *heartbeat, char awaits[LK_PHASE_BYTES]);
/* Empty: none. */
void lk_heartbeat_layer(const lk_heartbeat *heartbeat, char layer[LK_LAYER_BYTES]);
void lk_heartbeat_set_layer(lk_heartbeats *heartbeats, const char *layer);
/* Of this worker: the bucket that is being reduced, by whatever thread; 0 of 0: none. */
void lk_heartbeat_set_bucket(lk_world *world, size_t bucket, size_t n_buckets);
/* And the one worker that it waits for in that; -1: several. */
void lk_heartbeat_set_peer(lk_world *world, int rank);
/* Progress now, by a worker that does not wait. */
void lk_heartbeat_stamp(lk_heartbeat *heartbeat);
/* The table at this moment; ages count from `floor` at the earliest.  view: (n). */
void lk_heartbeat_look(const lk_heartbeats *heartbeats, double now, double floor, lk_heartbeat_view *view);
/* Whether nobody of this host has said yet why the job ends. */
bool lk_heartbeat_speaks_first(lk_world *world);

#define LK_AWAITS_SUMS "sums over workers"

/* The main thread begins and ends to wait for other workers.  what: a string constant, words behind "waits for ", or
 * the text of a call of MPI, of which messages show the name. */
void lk_wait_begin(lk_world *world, const char *what);
void lk_wait_end(lk_world *world);
/* The main thread waits for its device, whose work may wait for other workers; until it next tells progress. */
void lk_wait_on_device(lk_world *world);

#endif
