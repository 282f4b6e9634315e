/* What a run computed, step by step, and where another run parts from it. */
#ifndef LK_RECORD_H
#define LK_RECORD_H

#include "launch/launch.h"

/* One digest.  They are ordered by step, then as a step computes them: gradients lane by lane, weights, EMA. */
typedef struct record_cell {
    int64_t step;
    int64_t group;      /* 0 ...: that lane's gradients; RECORD_WEIGHTS, RECORD_EMA */
    size_t tensor;
    uint64_t value;
    const char *name;   /* "lane 1 fc.weight"; borrowed from its file, like the next */
    const char *who;    /* "rank 1 of 2 (host)" */
} record_cell;

enum { RECORD_WEIGHTS = INT32_MAX - 1, RECORD_EMA = INT32_MAX };

typedef struct record {
    lk_digests_table **file; /* (n_files) owned */
    size_t n_files;
    record_cell *cell;       /* (n) owned, in order; what several workers hold is there once for each */
    size_t n;
} record;

/* All of RUN/digests, of all starts of the run.  Release it, also when it fails.  Errors: LK_ERR_DATA. */
lk_status record_read(const char *run, record *out);
void      record_free(record *r);
int64_t   record_steps(const record *r); /* the last one */
bool      record_has_gradients(const record *r); /* not those of a device */

enum { RECORD_WHAT_BYTES = 768 };
typedef struct record_difference {
    int64_t step;                   /* 0: there is none */
    char what[RECORD_WHAT_BYTES];   /* which array of which worker */
} record_difference;

/* The first digest of `is` that is not that of `want`, or is missing in either.  Compared with itself, a run tells
 * where its own workers part. */
void record_compare(const record *want, const record *is, record_difference *out);

#endif
