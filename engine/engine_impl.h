/* The inside of an engine, for engine.c, which makes and runs it, and device.c, which reaches its device. */
#ifndef LK_ENGINE_IMPL_H
#define LK_ENGINE_IMPL_H

#include "engine/graph/plan.h"
#include "engine/model/trainable.h"

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
    lk_plan **plans;          /* owned */
    int n_plans;
    void *act;                /* owned, engine memory: activations of the plan that runs */
    size_t act_bytes;
    void *output;             /* owned, engine memory: an evaluation's output when nobody asks for it, or on a device */
    size_t output_bytes;
    void *sums;               /* owned, engine memory: (lk_model_n_sums); on a device */
    float *zeros;             /* owned, host memory */
    size_t n_zeros;
};

#endif
