/*
 * What the two halves of the loader share: loader.c decides who fills which slot when, batch.c what is in it.
 * Private to io/data.
 */
#ifndef LK_IO_LOADER_H
#define LK_IO_LOADER_H

#include <pthread.h>

#include "io/data/by_length.h"
#include "io/data/data.h"

enum { LK_MOST_THREADS = 64, LK_MESSAGE_BYTES = 1024, LK_MOST_AHEAD = 64 };

/* One batch and its storage; one thread at a time fills it. */
typedef struct lk_batch_slot {
    char *field[LK_MAX_FIELDS]; /* by the data set's fields: (own lanes, stride), owned; NULL: not wanted */
    int64_t *sample;        /* (batch), owned: of the whole global batch where terms are counted, else own rows */
    lk_batch_lane *lane;    /* (own lanes), owned */
    lk_easel easel;         /* for samples on their way */
    void *front[LK_MAX_FIELDS]; /* where samples are mixed: that in front of a lane's first, owned */
    lk_mixing mixing;
    lk_shuffle order;       /* its own, so that threads are not in each other's way; as the next */
    lk_by_length by_length; /* where the specification has them */
    lk_batch batch;
    lk_status status;
    char message[LK_MESSAGE_BYTES];
    bool busy, ready;       /* guarded by the loader's lock: being filled; filled */
} lk_batch_slot;

struct lk_loader {
    const lk_dataset *data; /* borrowed */
    lk_loader_spec spec;
    int64_t n_batches;      /* in an epoch */
    int64_t batch_capacity, lane_capacity;
    size_t stride[LK_MAX_FIELDS]; /* of the data set's fields: bytes from one lane to the next; 0: not wanted */
    int n_lanes;            /* own */
    bool mixes;             /* samples, with those in front of them */
    double sample_terms;    /* loss terms of each sample; -1: they differ, so they must be counted */
    lk_batch_slot *slots;         /* (n_slots), owned */
    int n_slots;            /* 1: lk_loader_next() fills it itself */

    /* Guarded by `lock` when there are threads. */
    int64_t epoch, index;   /* of the batch to be begun next */
    int first, begun;       /* slots [first, first + begun) are filled or being filled, in order */
    bool held, quit;        /* held: the first slot is the caller's */
    uint64_t seeks;         /* so that a batch begun before a seek is thrown away */
    pthread_mutex_t lock;
    pthread_cond_t is_filled, is_free;
    pthread_t thread[LK_MOST_THREADS];
    int n_threads;
};

int64_t   lk_batch_size(const lk_loader *loader, int64_t index);
/* Sizes of lanes and of what a slot holds, from the data and the specification; returns the bytes of a batch. */
size_t    lk_batch_plan(lk_loader *loader);
lk_status lk_batch_alloc(const lk_loader *loader, lk_batch_slot *slot);
void      lk_batch_free(lk_batch_slot *slot);
/* Puts batch `index` of `epoch` into a slot; what fails is kept there, for whoever takes the batch. */
void      lk_batch_fill(const lk_loader *loader, lk_batch_slot *slot, int64_t epoch, int64_t index);

#endif
