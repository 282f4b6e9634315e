/*
 * The engine under test with a model, its parameters and its gradients: what tests of the passes over arenas begin
 * with. A test program has one; the arrays are here, and calls take what is there (host_mirror.h).
 */
#ifndef ENGINE_ARRAYS_H
#define ENGINE_ARRAYS_H

#include "tests/support/host_mirror.h"

static lk_model *model;
static lk_engine *engine;
static mirrors arrays;
static float *params, *grads;

/* The parameters are 0. */
static inline void open_engine(const lk_model_spec *spec)
{
    const lk_engine_options options = {.kind = engine_under_test(), .threads = 1};
    void *ctx;

    cr_assert_eq(lk_model_new(spec, &model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, model, &engine), LK_OK, "%s", lk_error_message());
    const lk_backend *backend = lk_engine_backend(engine, &ctx);
    mirrors_open(&arrays, backend, ctx);
    params = host_mirror_new(&arrays, lk_model_n_elem(model) * sizeof *params);
    grads = host_mirror_new(&arrays, lk_trainable_n_grads(lk_engine_trainable(engine)) * sizeof *grads);
}

static inline void close_engine(void)
{
    mirrors_close(&arrays);
    lk_engine_free(&engine);
    lk_model_free(&model);
}

#endif
