/*
 * A run allocates nothing.  Every allocation of the process, libraries included, passes through the functions below,
 * which count; one that is called from this program's own code, the engine's, is counted as own too.  oneDNN makes a
 * small map in each call of a primitive, which is not ours to avoid; the fp32 mlp calls no primitive.
 * Sanitizers bring their own allocator; there the test has nothing to count and passes.
 */
#include "network.h"

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

    cr_assert_eq(lk_engine_compile(net.engine, LK_TRAIN, LANE), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_compile(net.engine, LK_EVAL, LANE), LK_OK, "%s", lk_error_message());
    for (int step = 0; step < STEPS; step++) {
        lk_lane train = lane_of(&net, LK_TRAIN), eval = lane_of(&net, LK_EVAL);

        if (step == 1) before = (counts){n_all, n_own}; /* the first step makes what libraries make on first use */
        train.ready = ignore;
        train.ready_arg = &told;
        eval.output = NULL;
        run_lane(&net, train);
        run_lane(&net, eval);
        lk_engine_update_stats(net.engine, net.params, net.grads);
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
    for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
        const counts made = count_steps(cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), (lk_precision)precision);
        cr_expect_eq(made.own, 0, "%s: %zu own allocations in %d steps", precision ? "bf16" : "fp32", made.own,
                     STEPS - 1);
    }
}
