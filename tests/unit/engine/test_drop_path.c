/* Drop path: which samples are dropped follows from seed, layer, step and sample alone; rate, gradient, refusals. */
#include "tests/support/op_harness.h"

#include "engine/base/formulas.h"

enum { WIDTH = 37 };

typedef struct net {
    op_harness h;
    int x, y, dy;
} net;

static void open_net(net *t, int64_t n, double p, uint32_t layer, const int64_t *sample, lk_dtype dtype, int threads)
{
    op_open(&t->h, LK_TRAIN, threads);
    t->h.graph.n = n;
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 2, (int64_t[]){n, WIDTH});
    t->h.graph.tensors[t->x].needs_grad = true;
    op_ok(lk_op_drop_path(&t->h.graph, "drop", p, layer, t->x, &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->dy, 2);
    t->h.run.sample = sample;
    t->h.run.step = 11;
}

static bool kept(const net *t, uint32_t layer, int64_t sample, double p)
{
    const uint32_t counter[4] = {lk_dropout_block(0), (uint32_t)sample, (uint32_t)t->h.run.step,
                                 lk_dropout_high(t->h.run.step, sample)};
    uint32_t words[4];

    lk_philox(lk_philox_key_new(t->h.run.seed, LK_PURPOSE_DROPOUT, layer), counter, words);
    return lk_dropout_keep(words[lk_dropout_word(0)], lk_dropout_threshold(p));
}

static void expect_scaled(const net *t, int from, int to, size_t i, float scale)
{
    const float x = op_get_one(&t->h, from, i), got = op_get_one(&t->h, to, i), want = x * scale;

    /* A power of two as scale: exact in either type. */
    cr_expect_eq(got, want, "%s[%zu]: got %g, want %g", t->h.graph.tensors[to].name, i, (double)got, (double)want);
}

static void expect_formula(int64_t n, lk_dtype dtype, int threads)
{
    const double p = 0.5;
    int64_t *sample = malloc((size_t)n * sizeof *sample);
    net t;

    for (int64_t r = 0; r < n; r++) sample[r] = r * 1000003 + ((int64_t)(r % 3) << 33);
    open_net(&t, n, p, 2, sample, dtype, threads);
    op_run(&t.h);
    for (size_t i = 0; i < op_n_elem(&t.h, t.x); i++) {
        const float scale = kept(&t, 2, sample[i / WIDTH], p) ? 2.0f : 0.0f;

        expect_scaled(&t, t.x, t.y, i, scale);
        expect_scaled(&t, t.dy, op_gradient(&t.h, t.x), i, scale);
    }
    op_close(&t.h);
    free(sample);
}

Test(drop_path, drops_the_samples_that_the_formula_names)
{
    expect_formula(1, LK_DTYPE_F32, 1);
    expect_formula(29, LK_DTYPE_F32, 1);
    expect_formula(29, LK_DTYPE_BF16, 1);
    expect_formula(4001, LK_DTYPE_F32, 2); /* large enough for a second thread */
}

/* Which of n samples, numbered from `first`, a layer keeps at p = 0.5. */
static void draw(uint8_t *keeps, int64_t n, int64_t first, uint32_t layer, int64_t step)
{
    int64_t *sample = malloc((size_t)n * sizeof *sample);
    net t;

    for (int64_t r = 0; r < n; r++) sample[r] = first + r;
    open_net(&t, n, 0.5, layer, sample, LK_DTYPE_F32, 1);
    for (size_t i = 0; i < op_n_elem(&t.h, t.x); i++) op_set_one(&t.h, t.x, i, 1.0f);
    t.h.run.step = step;
    op_run(&t.h);
    for (int64_t r = 0; r < n; r++) keeps[r] = op_get_one(&t.h, t.y, (size_t)r * WIDTH) > 0.0f;
    op_close(&t.h);
    free(sample);
}

Test(drop_path, a_sample_is_dropped_in_whatever_lane_it_lies)
{
    enum { N = 40 };
    uint8_t whole[N], parts[N];
    const int64_t cuts[] = {0, 1, 17, 20, N};

    draw(whole, N, 300, 1, 5);
    for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++)
        draw(parts + cuts[i], cuts[i + 1] - cuts[i], 300 + cuts[i], 1, 5);
    cr_expect_eq(memcmp(whole, parts, N), 0, "lanes of 1, 16, 3 and 20 samples drop others than one lane");
}

Test(drop_path, half_are_dropped_and_others_in_another_layer_or_step)
{
    enum { N = 4096 };
    static uint8_t first[N], other[N];
    const struct { int64_t from; uint32_t layer; int64_t step; } others[] = {{N, 1, 5}, {0, 2, 5}, {0, 1, 6}};
    int n_kept = 0;

    draw(first, N, 0, 1, 5);
    for (int i = 0; i < N; i++) n_kept += first[i];
    cr_expect((n_kept - N / 2) * (n_kept - N / 2) < 25 * N / 4, "%d of %d are kept, want about half", n_kept, N);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int same = 0;

        draw(other, N, others[i].from, others[i].layer, others[i].step);
        for (int k = 0; k < N; k++) same += first[k] == other[k];
        cr_expect((same - N / 2) * (same - N / 2) < 25 * N / 4, "case %zu: %d of %d agree, want about half", i, same,
                  N);
    }
}

static void expect_no_node(lk_mode mode, double p)
{
    op_harness h;
    int y;

    op_open(&h, mode, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){1, 3});
    op_ok(lk_op_drop_path(&h.graph, "drop", p, 0, x, &y));
    cr_expect_eq(y, x);
    cr_expect_eq(h.graph.n_nodes, 0);
    op_close(&h);
}

Test(drop_path, adds_no_node_outside_training_or_when_p_is_0)
{
    expect_no_node(LK_EVAL, 0.5);
    expect_no_node(LK_PREDICT, 0.5);
    expect_no_node(LK_TRAIN, 0.0);
}

Test(drop_path, bad_rates_and_shapes_are_refused_by_the_layers_name)
{
    const double bad[] = {1.0, -0.1, NAN};
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    h.graph.n = 2;
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){3, 4});
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(lk_op_drop_path(&h.graph, "features.1.0", bad[i], 0, x, &y), LK_ERR_USAGE);
        cr_expect(strstr(lk_error_message(), "features.1.0: drop path is"), "message: %s", lk_error_message());
    }
    cr_expect_eq(lk_op_drop_path(&h.graph, "features.1.0", 0.5, 0, x, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "features.1.0: ") && strstr(lk_error_message(), "(3, 4)"), "message: %s",
              lk_error_message());
    op_close(&h);
}
