/*
 * The engine: one backend for one model.  Lanes are run.c's, plans plans.c's, memory is memory.c's, and what only a
 * device has is device.c's.
 */
#include "engine/engine_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct lk_found_backend {
    const lk_backend *backend;
    const void *collectives; /* of its module */
} lk_found_backend;

static const char *kind_name(lk_engine_kind kind)
{
    switch (kind) {
#define KIND_NAME(name, word) case name: return word;
        LK_ENGINE_LIST(KIND_NAME)
#undef KIND_NAME
    }
    return "unknown";
}

static lk_status in_program(lk_found_backend *out)
{
    *out = (lk_found_backend){.backend = &lk_cpu_backend};
    return LK_OK;
}

static lk_status in_module(lk_found_backend *out)
{
    const lk_module *module;

    LK_TRY(lk_module_open(&module));
    *out = (lk_found_backend){.backend = module->backend, .collectives = module->collectives};
    return LK_OK;
}

static bool always(void) { return true; }

/* The one list of backends, best first: `auto` takes the first that is likely and has something to run on. */
static const struct entry {
    lk_engine_kind kind;
    bool (*likely)(void);
    lk_status (*find)(lk_found_backend *out);
} backends[] = {
    {LK_ENGINE_CUDA, lk_module_likely, in_module},
    {LK_ENGINE_CPU, always, in_program},
};

static lk_status find_backend(lk_engine_kind kind, lk_found_backend *out)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        const struct entry *e = &backends[i];

        if (kind == e->kind) return e->find(out);
        if (kind == LK_ENGINE_AUTO && e->likely() && e->find(out) == LK_OK && out->backend->available() > 0)
            return LK_OK;
    }
    return LK_FAIL(LK_ERR_USAGE, "this build has no %s engine; use --engine cpu or engine.kind=cpu", kind_name(kind));
}

lk_status lk_engine_new(const lk_engine_options *options, const lk_model *model, lk_engine **out)
{
    lk_found_backend in;

    *out = NULL;
    LK_TRY(find_backend(options->kind, &in));
    if (options->threads < 1)
        return LK_FAIL(LK_ERR_USAGE, "engine.threads is %d; it must be at least 1", options->threads);
    if (options->precision == LK_TF32 && !in.backend->device)
        return LK_FAIL(LK_ERR_USAGE, "engine.precision: tf32 is the cuda engine's; the %s engine has fp32 and bf16",
                       in.backend->name);
    lk_engine *engine = calloc(1, sizeof *engine);
    LK_TRY_ALLOC(engine, sizeof *engine);
    *engine = (lk_engine){.backend = in.backend, .device = in.backend->device, .collectives = in.collectives,
                          .model = model, .precision = options->precision, .seed = options->seed, .dry = options->dry};
    lk_status status = lk_trainable_new(model, NULL, &engine->everything);
    if (status == LK_OK) status = in.backend->open(options, &engine->ctx);
    if (status != LK_OK) {
        lk_trainable_free(&engine->everything);
        free(engine);
        return lk_trace(status, __FILE__, __LINE__);
    }
    lk_engine_set_trainable(engine, engine->everything);
    *out = engine;
    return LK_OK;
}

void lk_engine_free(lk_engine **engine)
{
    if (!engine || !*engine) return;
    lk_engine *e = *engine;

    lk_engine_finish_plans(e);
    for (int i = e->n_plans - 1; i >= 0; i--) lk_plan_free(&e->plans[i]);
    free(e->plans);
    lk_engine_release(e, &e->sums);
    lk_engine_release(e, &e->taps);
    lk_engine_release(e, &e->features);
    lk_engine_release(e, &e->output);
    lk_engine_release(e, &e->scratch);
    lk_engine_release(e, &e->act);
    e->backend->close(e->ctx);
    lk_trainable_free(&e->everything);
    free(e);
    *engine = NULL;
}

bool lk_engine_expected(lk_engine_kind kind)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (kind == backends[i].kind) return backends[i].likely();
    return false;
}

void lk_engine_describe(lk_engine_kind kind, char *text, size_t nbytes)
{
    lk_found_backend in;

    if (find_backend(kind, &in) == LK_OK) in.backend->describe(text, nbytes);
    else snprintf(text, nbytes, "%s", lk_error_message());
}

void lk_engine_platform(const lk_engine *engine, lk_platform *out)
{
    *out = (lk_platform){.device = ""};
    engine->backend->platform(engine->ctx, out);
}

const char *lk_engine_name(const lk_engine *engine) { return engine->backend->name; }
const lk_model *lk_engine_model(const lk_engine *engine) { return engine->model; }
const lk_trainable *lk_engine_trainable(const lk_engine *engine) { return engine->trainable; }

const lk_backend *lk_engine_backend(const lk_engine *engine, void **ctx)
{
    *ctx = engine->ctx;
    return engine->backend;
}

const void *lk_engine_collectives(const lk_engine *engine) { return engine->collectives; }

const void *lk_engine_find_collectives(lk_engine_kind kind)
{
    lk_found_backend in;

    return find_backend(kind, &in) == LK_OK ? in.collectives : NULL;
}

