/*
 * A training step allocates nothing: the whole of it on one worker (loader, forward, backward, reduction, inspection,
 * statistics, optimizer with EMA, TensorBoard's scalars), and the engine's part alone for every kind of layer.
 *
 * Every allocation of the process, libraries included, passes through the functions below, which count; one that is
 * called from this program's own code is counted as own too.  oneDNN makes a small map in each call of a primitive
 * (convolutions, products in bf16), which is not ours to avoid; there the own ones are held to zero.  The fp32 mlp here
 * calls no primitive.  Sanitizers bring their own allocator; there the tests have nothing to count and pass.
 */
#include "tests/support/network.h"

#include "dist/dist.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

#if !defined(__SANITIZE_ADDRESS__)
#define COUNTS 1
#else
#define COUNTS 0
#endif

static size_t n_all, n_own;

#if COUNTS
extern const char __executable_start[], etext[]; /* the linker's bounds of this program's code */

static void count(const void *caller)
{
    n_all++;
    n_own += (const char *)caller >= __executable_start && (const char *)caller < etext;
}

void *__libc_malloc(size_t nbytes);
void *__libc_calloc(size_t n, size_t nbytes);
void *__libc_realloc(void *p, size_t nbytes);
void *__libc_memalign(size_t alignment, size_t nbytes);

void *malloc(size_t nbytes)
{
    count(__builtin_return_address(0));
    return __libc_malloc(nbytes);
}

void *calloc(size_t n, size_t nbytes)
{
    count(__builtin_return_address(0));
    return __libc_calloc(n, nbytes);
}

void *realloc(void *p, size_t nbytes)
{
    count(__builtin_return_address(0));
    return __libc_realloc(p, nbytes);
}

void *aligned_alloc(size_t alignment, size_t nbytes)
{
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, nbytes);
}

int posix_memalign(void **out, size_t alignment, size_t nbytes)
{
    count(__builtin_return_address(0));
    *out = __libc_memalign(alignment, nbytes);
    return *out ? 0 : 12; /* ENOMEM */
}
#endif

enum { LANE = 24, STEPS = 5 };

typedef struct counts { size_t all, own; } counts;

static void ignore(void *arg, size_t begin, size_t end) { *(size_t *)arg += end - begin; }

/* Allocations of a few steps as the training loop makes them, after the plans were compiled. */
static counts count_steps(lk_model_spec spec, lk_precision precision)
{
    network net = network_new(spec, precision, LANE);
    size_t told = 0;
    counts before = {0};

    ok_or_no_bf16(lk_engine_compile(net.engine, &(lk_program){.mode = LK_TRAIN, .n = LANE}));
    ok_or_no_bf16(lk_engine_compile(net.engine, &(lk_program){.mode = LK_EVAL, .n = LANE}));
    for (int step = 0; step < STEPS; step++) {
        lk_lane train = lane_of(&net, LK_TRAIN), eval = lane_of(&net, LK_EVAL);

        if (step == 1) before = (counts){n_all, n_own}; /* the first step makes what libraries make on first use */
        train.ready = ignore;
        train.ready_arg = &told;
        eval.output = NULL;
        run_lane(&net, train);
        run_lane(&net, eval);
        lk_engine_update_stats(net.engine, net.params, net.grads, &(lk_grad_report){.finite = true});
        net.version++;
    }
    const counts made = {n_all - before.all, n_own - before.own};
    network_free(&net);
    return made;
}

Test(allocation, the_counter_sees_an_allocation)
{
    const counts before = {n_all, n_own};
    void *p = lk_alloc(100);

    lk_free(&p);
    cr_expect(!COUNTS || n_all == before.all + 1, "counted %zu, want 1", n_all - before.all);
    cr_expect(!COUNTS || n_own == before.own + 1, "counted %zu of our own, want 1", n_own - before.own);
}

Test(allocation, a_step_of_an_mlp_allocates_nothing)
{
    cpu_engine_only("allocations of CUDA's libraries are theirs");
    const lk_norm norms[] = {LK_NORM_NONE, LK_NORM_BATCH, LK_NORM_LAYER};

    for (size_t i = 0; i < 3; i++) {
        const counts fp32 = count_steps(mlp_spec(norms[i], LK_NORM_BEFORE, 0.2), LK_FP32);
        const counts bf16 = count_steps(mlp_spec(norms[i], LK_NORM_BEFORE, 0.2), LK_BF16);

        cr_expect_eq(fp32.all, 0, "norm %zu, fp32: %zu allocations in %d steps", i, fp32.all, STEPS - 1);
        cr_expect_eq(bf16.own, 0, "norm %zu, bf16: %zu own allocations in %d steps", i, bf16.own, STEPS - 1);
    }
}

Test(allocation, a_step_of_a_cnn_allocates_nothing_of_our_own)
{
    cpu_engine_only("allocations of CUDA's libraries are theirs");
    for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
        const counts made = count_steps(cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), (lk_precision)precision);
        cr_expect_eq(made.own, 0, "%s: %zu own allocations in %d steps", precision ? "bf16" : "fp32", made.own,
                     STEPS - 1);
    }
}

/* ------------------------------------------------------------- the whole step */

enum { N_SAMPLES = 203, BATCH = 32, EPOCH = 7, N_WARM = 3 * EPOCH, N_COUNTED = 20, LANES = 4 };

typedef struct rig {
    lk_world *world;
    lk_dataset *train, *validation;
    lk_model *model;
    lk_engine *engine;
    lk_optimizer *optimizer;
    lk_ema *ema;
    lk_reducer *reducer;
    lk_loader *loader;
    lk_events *events;
    float *params;
    uint64_t version;
} rig;

static void set_up(rig *r, lk_precision precision)
{
    const lk_model_spec spec = {.kind = LK_MODEL_MLP, .mlp = {4, {20, 64, 32, 1}}, .dropout = 0.2,
                                .activation = LK_ACT_RELU, .norm = LK_NORM_BATCH, .loss = {.kind = LK_LOSS_MSE}};
    const lk_data_spec data = {.kind = LK_DATA_REGRESSION, .samples = N_SAMPLES, .validation_samples = 10,
                               .n_features = 20,
                               .n_informative = 10, .noise = 0.1, .shuffle = true, .standardize = LK_STANDARDIZE_ALL};
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .precision = precision, .threads = 1};
    const lk_optimizer_spec adam = {.kind = LK_ADAM, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                                    .clip_norm = 1.0};
    const lk_ema_spec ema = {.beta = 0.999, .update_after_step = 1, .update_every = 1, .inv_gamma = 1.0, .power = 0.66};
    const lk_loader_spec loader = {.batch = BATCH, .lanes = LANES, .lane_begin = 0, .lane_end = LANES, .shuffle = true};

    memset(r, 0, sizeof *r);
    ok_or_no_bf16(lk_world_new(0.0, &r->world));
    ok_or_no_bf16(lk_dataset_open(&data, LK_LOSS_MSE, NULL, &r->train, &r->validation));
    ok_or_no_bf16(lk_model_new(&spec, &r->model));
    ok_or_no_bf16(lk_engine_new(&options, r->model, &r->engine));
    ok_or_no_bf16(lk_engine_alloc(r->engine, lk_model_n_elem(r->model) * sizeof(float), (void **)&r->params));
    lk_model_init(r->model, 1, r->params);
    ok_or_no_bf16(lk_optimizer_new(r->engine, lk_engine_trainable(r->engine), &adam, &r->optimizer));
    ok_or_no_bf16(lk_ema_new(r->engine, &ema, r->params, &r->ema));
    ok_or_no_bf16(lk_reducer_new(r->world, r->engine, lk_engine_trainable(r->engine), LK_REDUCE_TREE, LK_WIRE_FP32,
                                 LANES, 1 << 12, NULL, &r->reducer));
    ok_or_no_bf16(lk_loader_new(r->train, &loader, &r->loader));
    make_temp_dir();
    ok_or_no_bf16(lk_events_open(temp_dir, 1, &r->events));
    r->version = 1;
}

static void tear_down(rig *r)
{
    ok_or_no_bf16(lk_events_close(&r->events));
    remove_temp_dir();
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

static lk_status whole_step(rig *r, int64_t number)
{
    static const char *const tags[] = {"step/train.loss", "step/lr"};
    lk_batch batch;
    const float *sum;
    const lk_hyperparams hyperparams = {1e-3, NAN, NAN};
    lk_grad_report report;

    LK_TRY(lk_loader_next(r->loader, &batch));
    for (int l = 0; l < LANES; l++) {
        const lk_batch_lane *own = &batch.lane[l];
        lk_lane lane = {.mode = LK_TRAIN, .n = own->n, .field = {own->field[0], own->field[1]}, .sample = own->sample,
                        .step = number, .inv_count = 1.0f / (float)batch.n_terms, .params = r->params,
                        .params_version = r->version, .ready = lk_reducer_ready, .ready_arg = r->reducer};
        LK_TRY(lk_reducer_lane(r->reducer, l, &lane.grads));
        if (own->n) LK_TRY(lk_engine_run(r->engine, &lane));
        else LK_TRY(lk_reducer_empty_lane(r->reducer));
    }
    LK_TRY(lk_reducer_finish(r->reducer, &sum));
    LK_TRY(lk_optimizer_inspect(r->optimizer, sum, true, &report));
    LK_TRY(lk_engine_update_stats(r->engine, r->params, sum, &(lk_grad_report){.finite = true}));
    LK_TRY(lk_optimizer_update(r->optimizer, r->params, sum, &hyperparams, &report, r->ema));
    r->version++;
    return lk_events_scalars(r->events, number, tags, (double[]){0.5, 1e-3}, 2);
}

/* The first epochs compile the plans: also that of the last, smaller batch. */
static counts count_whole_steps(lk_precision precision)
{
    rig r;

    set_up(&r, precision);
    for (int i = 0; i < N_WARM; i++) ok_or_no_bf16(whole_step(&r, i));
    const counts before = {n_all, n_own};
    for (int i = 0; i < N_COUNTED; i++) ok_or_no_bf16(whole_step(&r, N_WARM + i));
    const counts made = {n_all - before.all, n_own - before.own};
    tear_down(&r);
    return made;
}

Test(allocation, a_whole_training_step_allocates_nothing)
{
    const counts fp32 = count_whole_steps(LK_FP32), bf16 = count_whole_steps(LK_BF16);

    cr_expect_eq(fp32.all, 0, "fp32: %zu allocations in %d steps", fp32.all, N_COUNTED);
    cr_expect_eq(bf16.own, 0, "bf16: %zu own allocations in %d steps", bf16.own, N_COUNTED);
}
