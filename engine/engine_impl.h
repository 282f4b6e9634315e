/* The inside of an engine, for its own files: engine.c (life and runs), plans.c, memory.c, and device.c, which reaches its
 * device. */
#ifndef LK_ENGINE_IMPL_H
#define LK_ENGINE_IMPL_H

#include "engine/graph/plan.h"
#include "engine/model/trainable.h"

typedef struct lk_reservation lk_reservation;

struct lk_engine {
    const lk_backend *backend;
    const lk_device_calls *device; /* the backend's; NULL in host memory */
    const void *collectives;
    void *ctx;
    const lk_model *model;    /* borrowed */
    lk_trainable *everything; /* owned; the set in use before any other */
    const lk_trainable *trainable; /* the set in use */
    uint64_t trainable_id;    /* its; plans of training are made for it */
    lk_precision precision;
    uint64_t seed;
    bool dry;                 /* nothing runs, and memory is addresses alone */
    lk_reservation *reserved; /* owned; of a dry engine */
    lk_plan **plans;          /* owned */
    int n_plans;
    void *act;                /* owned, engine memory: activations of the plan that runs */
    size_t act_bytes;
    void *scratch;            /* owned, engine memory: of the kernel that runs */
    size_t scratch_bytes;
    void *output;             /* owned, engine memory: an evaluation's output when nobody asks for it, or on a device */
    size_t output_bytes;
    void *sums;               /* owned, engine memory: (lk_model_n_sums); on a device */
    float *zeros;             /* owned, host memory */
    size_t n_zeros;
};

/* memory.c: replaces shared memory that holds nothing between runs by a larger one, if need be; a dry engine only counts. */
lk_status lk_engine_make_room(lk_engine *engine, void **memory, size_t *has, size_t nbytes);

/* plans.c: the plan, compiled if it is not there. */
lk_status lk_engine_get_plan(lk_engine *engine, lk_mode mode, int64_t n, lk_plan **out);
/* Waits for what is queued, which may be work of a plan about to be freed.  Should it fail, a later call says so. */
void lk_engine_finish_plans(lk_engine *engine);

#endif
