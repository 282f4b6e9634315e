/* Runs that must have the same bits, and what became of them. */
#ifndef LK_VERIFY_H
#define LK_VERIFY_H

#include "launch/run/launcher.h"
#include "launch/verify/record.h"

enum {
    VERIFY_DIR_BYTES = 4096, VERIFY_NAME_BYTES = 128, VERIFY_PATH_BYTES = VERIFY_DIR_BYTES + 2 * VERIFY_NAME_BYTES,
    VERIFY_MOST_COUNTS = 16,
};

/* One run, and how it compares with the first. */
typedef struct verdict {
    int64_t workers;
    int64_t killed_at;    /* step after which a worker was killed; 0: it was not broken */
    int64_t resumed_from, resumed_on; /* step and workers; 0: not broken */
    int64_t steps;
    char name[VERIFY_NAME_BYTES];     /* of its folder */
    char digest[LK_HASH_BYTES];       /* of all tensors of its last checkpoint: weights, EMA, states of the optimizer */
    bool differs;
    record_difference first;          /* where; step 0: not in the digests of steps */
} verdict;

typedef struct verification {
    const options *opt;
    launcher launcher;
    requests requests;
    lk_recipe *recipe;                /* owned */
    int64_t count[VERIFY_MOST_COUNTS]; /* workers, upwards */
    size_t n_counts;
    int64_t steps, lanes;             /* steps: as asked for */
    char dir[VERIFY_DIR_BYTES];      /* of all runs; "": not made yet */
    record want;                      /* of the first run */
    verdict verdict[VERIFY_MOST_COUNTS + 1]; /* the first is what the others are compared with */
    size_t n_verdicts;
} verification;

/* try.c.  Trains once, in the folder of this name: on n workers, with `more` words behind.  *status is that of its
 * launcher, what it said is in DIR/NAME.log.  Errors: LK_STOPPED. */
lk_status try_training(verification *v, const char *name, int64_t n_workers, const words *more, int *status);
/* Fails with what the log of that name says. */
lk_status try_failed(const verification *v, const char *name, int status);

/* page.c */
void      page_begin(const verification *v);
void      page_verdict(const verification *v, const verdict *of);
void      page_end(const verification *v);
lk_status page_write_json(const verification *v, const char *path);

#endif
