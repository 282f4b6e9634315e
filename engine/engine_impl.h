/* The inside of an engine, for its own files: engine.c (its life), run.c (lanes), plans.c, choices.c, memory.c,
 * cache.c, taps.c, and device.c, which reaches its device. */
#ifndef LK_ENGINE_IMPL_H
#define LK_ENGINE_IMPL_H

#include "engine/graph/plan.h"
#include "engine/model/trainable.h"

typedef struct lk_reservation lk_reservation;

struct lk_engine {
    const lk_backend *backend;
    const lk_device_calls *device; /* the backend's; NULL in host memory */
    const void *collectives;  /* of the module that it came from; NULL: none */
    void *ctx;
    const lk_model *model;    /* borrowed */
    lk_trainable *everything; /* owned; the set in use before any other */
    const lk_trainable *trainable; /* the set in use */
    uint64_t trainable_id;    /* its; plans of training are made for it */
    lk_recompute recompute;   /* its patterns are borrowed */
    lk_precision precision;
    uint64_t seed;
    bool dry;                 /* nothing runs, and memory is addresses alone */
    lk_reservation *reserved; /* owned; of a dry engine */
    lk_plan **plans;          /* owned */
    int n_plans;
    double *node_seconds;     /* borrowed while a lane is profiled: its kernels' times go there; else NULL */
    const lk_plan *tapped;    /* of the last lane with taps; NULL: none, or it has gone */
    void *act;                /* owned, engine memory: activations of the plan that runs */
    size_t act_bytes;
    void *scratch;            /* owned, engine memory: of the kernel that runs */
    size_t scratch_bytes;
    void *output;             /* owned, engine memory: where a device's lanes leave their output to be fetched */
    size_t output_bytes;
    void *features;           /* owned, engine memory: where a device's lanes leave their features to be fetched */
    size_t features_bytes;
    void *taps;               /* owned, engine memory */
    size_t taps_bytes;
    void *sums;               /* owned, engine memory: of each output, lk_loss_n_sums() doubles */
    size_t sums_bytes;
};

struct lk_cache {
    lk_engine *engine;      /* borrowed */
    lk_cache_layout layout;
    void *memory, *spare;   /* owned, engine memory: layout.nbytes each; spare is for reorder, NULL before the first */
};

/* memory.c: replaces shared memory that holds nothing between runs by a larger one, if need be; a dry engine only
 * counts. */
lk_status lk_engine_make_room(lk_engine *engine, void **memory, size_t *has, size_t nbytes);

/* plans.c: the plan of a program, compiled now if it was not before. */
lk_status lk_engine_plan(lk_engine *engine, const lk_program *program, lk_plan **out);
/* Waits for what is queued, which may be work of a plan about to be freed.  Should it fail, a later call says so. */
void lk_engine_finish_plans(lk_engine *engine);

/* device.c.  Begins a lane: on a device *args changes, as lk_device_calls.begin says. */
lk_status lk_engine_begin(lk_engine *engine, const lk_graph *graph, lk_launch_args *args);
/* Where the lane's output is written: fetched from there where that is not lane->output. */
float *lk_engine_output(const lk_engine *engine, const lk_lane *lane);
/* The same of the frozen side's features. */
void *lk_engine_features(const lk_engine *engine, const lk_lane *lane);
/* Few floats that differ from step to step, to engine memory, in the compute queue.  n <= 2 * LK_N_SLOTS. */
lk_status lk_engine_put(lk_engine *engine, float *to, const float *values, size_t n);
/* lk_engine_upload(), and with keep false what it does for a lane that comes without; fields of `reads` alone. */
lk_status lk_engine_upload_fields(lk_engine *engine, lk_lane *lane, unsigned reads, bool keep);

#endif
