/*
 * A training step allocates nothing: the whole of it on one worker (loader, forward, backward, reduction, inspection,
 * statistics, optimizer with EMA), counted at malloc's door after a few steps to warm up.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dist/dist.h"
#include "engine/engine.h"
#include "io/io.h"

static _Atomic long n_calls;
static _Atomic int counting;

/* glibc calls these by name from everywhere, so defining them here sees every allocation of the process. */
void *__libc_malloc(size_t nbytes);
void *__libc_calloc(size_t n, size_t nbytes);
void *__libc_realloc(void *p, size_t nbytes);
void *__libc_memalign(size_t alignment, size_t nbytes);

#if !defined(__SANITIZE_ADDRESS__)
void *malloc(size_t nbytes) { n_calls += counting; return __libc_malloc(nbytes); }
void *calloc(size_t n, size_t nbytes) { n_calls += counting; return __libc_calloc(n, nbytes); }
void *realloc(void *p, size_t nbytes) { n_calls += counting; return __libc_realloc(p, nbytes); }
void *aligned_alloc(size_t alignment, size_t nbytes) { n_calls += counting; return __libc_memalign(alignment, nbytes); }
int posix_memalign(void **out, size_t alignment, size_t nbytes)
{
    n_calls += counting;
    *out = __libc_memalign(alignment, nbytes);
    return *out ? 0 : 12;
}
#endif

enum { N_WARM = 3, N_COUNTED = 20, LANES = 4 };

typedef struct rig {
    lk_world *world;
    lk_dataset *train, *validation;
    lk_model *model;
    lk_engine *engine;
    lk_optimizer *optimizer;
    lk_ema *ema;
    lk_reducer *reducer;
    lk_loader *loader;
    float *params;
    uint64_t version;
} rig;

static void must(lk_status status) { cr_assert_eq(status, LK_OK, "%s", lk_error_message()); }

static void set_up(rig *r, lk_precision precision)
{
    const lk_model_spec spec = {.kind = LK_MODEL_MLP, .n_layers = 4, .layers = {20, 64, 32, 1}, .dropout = 0.2,
                                .activation = LK_ACT_RELU, .norm = LK_NORM_BATCH, .loss = {.kind = LK_LOSS_MSE}};
    const lk_data_spec data = {.kind = LK_DATA_REGRESSION, .samples = 203, .validation_samples = 10, .n_features = 20,
                               .n_informative = 10, .noise = 0.1, .shuffle = true, .standardize = LK_STANDARDIZE_ALL};
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .precision = precision, .threads = 1};
    const lk_optimizer_spec adam = {.kind = LK_ADAM, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                                    .clip_norm = 1.0};
    const lk_ema_spec ema = {.beta = 0.999, .update_after_step = 1, .update_every = 1, .inv_gamma = 1.0, .power = 0.66};
    const lk_loader_spec loader = {.batch = 32, .lanes = LANES, .lane_begin = 0, .lane_end = LANES, .shuffle = true,
                                   .n_output = 1};

    memset(r, 0, sizeof *r);
    must(lk_world_new(0.0, &r->world));
    must(lk_dataset_open(&data, LK_LOSS_MSE, NULL, &r->train, &r->validation));
    must(lk_model_new(&spec, &r->model));
    must(lk_engine_new(&options, r->model, &r->engine));
    must(lk_engine_alloc(r->engine, lk_model_n_elem(r->model) * sizeof(float), (void **)&r->params));
    lk_model_init(r->model, 1, r->params);
    must(lk_optimizer_new(r->engine, lk_engine_trained(r->engine), &adam, &r->optimizer));
    must(lk_ema_new(r->engine, &ema, r->params, &r->ema));
    must(lk_reducer_new(r->world, r->engine, lk_engine_trained(r->engine), LK_REDUCE_TREE, LANES, 1 << 12,
                        &r->reducer));
    must(lk_loader_new(r->train, &loader, &r->loader));
    r->version = 1;
}

static void tear_down(rig *r)
{
    lk_loader_free(&r->loader);
    lk_reducer_free(&r->reducer);
    lk_ema_free(&r->ema);
    lk_optimizer_free(&r->optimizer);
    lk_engine_release(r->engine, &r->params);
    lk_engine_free(&r->engine);
    lk_model_free(&r->model);
    lk_dataset_free(&r->validation);
    lk_dataset_free(&r->train);
    lk_world_free(&r->world);
}

static lk_status step(rig *r, int64_t number)
{
    lk_batch batch;
    const float *sum;
    const lk_group_rates rates = {1e-3, NAN, NAN};
    lk_grad_report report;

    LK_TRY(lk_loader_next(r->loader, &batch));
    for (int l = 0; l < LANES; l++) {
        const lk_batch_lane *own = &batch.lane[l];
        lk_lane lane = {.mode = LK_TRAIN, .n = own->n, .x = own->x, .target = own->target, .sample = own->sample,
                        .step = number, .inv_count = 1.0f / (float)batch.n_terms, .params = r->params,
                        .params_version = r->version, .ready = lk_reducer_ready, .ready_arg = r->reducer};
        LK_TRY(lk_reducer_lane(r->reducer, l, &lane.grads));
        if (own->n) LK_TRY(lk_engine_run(r->engine, &lane));
        else LK_TRY(lk_reducer_empty_lane(r->reducer));
    }
    LK_TRY(lk_reducer_finish(r->reducer, &sum));
    LK_TRY(lk_optimizer_inspect(r->optimizer, sum, true, &report));
    LK_TRY(lk_engine_update_stats(r->engine, r->params, sum));
    LK_TRY(lk_optimizer_update(r->optimizer, r->params, sum, &rates, &report, r->ema));
    r->version++;
    return LK_OK;
}

static void expect_no_allocation(lk_precision precision)
{
    rig r;
    /* An epoch has 7 batches, the last one smaller: the first epoch compiles every plan. */
    const int n_warm = N_WARM * 7;

#if defined(__SANITIZE_ADDRESS__)
    cr_skip_test("the address sanitizer has malloc to itself");
#endif
    set_up(&r, precision);
    for (int i = 0; i < n_warm; i++) must(step(&r, i));
    n_calls = 0;
    counting = 1;
    for (int i = 0; i < N_COUNTED; i++) must(step(&r, n_warm + i));
    counting = 0;
    cr_expect_eq(n_calls, 0, "%ld allocations in %d steps, want 0", (long)n_calls, N_COUNTED);
    tear_down(&r);
}

Test(step, allocates_nothing_in_fp32) { expect_no_allocation(LK_FP32); }
Test(step, allocates_nothing_in_bf16) { expect_no_allocation(LK_BF16); }

/* The counter itself must notice. */
Test(step, the_counter_sees_an_allocation)
{
#if defined(__SANITIZE_ADDRESS__)
    cr_skip_test("the address sanitizer has malloc to itself");
#endif
    n_calls = 0;
    counting = 1;
    void *volatile p = malloc(8);
    counting = 0;
    free(p);
    cr_expect_eq(n_calls, 1, "%ld allocations seen, want 1", (long)n_calls);
}
