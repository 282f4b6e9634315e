/* Attention: outputs and gradients equal to a twin that has the whole matrix; slopes; lengths, causality, dropout;
 * rows without keys; the same bits on two threads, beside other samples, filled up further and from a cache; the map;
 * refusals. */
#include "tests/support/op_harness.h"

#include "engine/base/formulas.h"

typedef struct shape { int64_t N, Lq, Lk, heads, D; bool causal, lengths; } shape;

typedef struct net {
    op_harness h;
    shape s;
    int64_t sample[8];
    int q, k, v, lengths, y, log_sum, dy;
} net;

enum { LAYER = 3 };

static void open_net(net *t, shape s, lk_dtype dtype, double p, int threads)
{
    const int64_t C = s.heads * s.D, N = s.N;
    const lk_attention attention = {.heads = s.heads, .causal = s.causal, .p = p, .layer = LAYER};

    t->s = s;
    op_open(&t->h, LK_TRAIN, threads);
    t->h.graph.n = N;
    t->q = op_tensor(&t->h, "q", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, s.Lq, C});
    t->k = op_tensor(&t->h, "k", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, s.Lk, C});
    t->v = op_tensor(&t->h, "v", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, s.Lk, C});
    for (int id = t->q; id <= t->v; id++) t->h.graph.tensors[id].needs_grad = true;
    t->lengths = s.lengths ? op_tensor(&t->h, "lengths", LK_ARENA_FIELD, LK_DTYPE_I32, 1, &N) : LK_NO_TENSOR;
    op_ok(lk_op_attention(&t->h.graph, "attn", t->q, t->k, t->v, t->lengths, &attention, &t->y, &t->log_sum));
}

/* Keys that sample n has: from none to all. */
static int64_t length_of(const shape *s, int64_t n) { return s->lengths ? (n * 5 + 1) % (s->Lk + 1) : s->Lk; }

static void start_net(net *t)
{
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->q, 1), op_fill(&t->h, t->k, 2), op_fill(&t->h, t->v, 3), op_fill(&t->h, t->dy, 4);
    for (int64_t n = 0; t->s.lengths && n < t->s.N; n++)
        op_set_one(&t->h, t->lengths, (size_t)n, (float)length_of(&t->s, n));
    for (size_t n = 0; n < sizeof t->sample / sizeof *t->sample; n++) t->sample[n] = (int64_t)(17 * n + 3);
    t->h.run.sample = t->sample;
    t->h.run.step = 6;
}

/* -------------------------------------------------------------------- twin */

typedef struct twin {
    const net *t;
    const double *q, *k, *v, *dy;
    double *y, *dq, *dk, *dv;
    double p; /* dropout */
} twin;

/* What dropout multiplies a probability by. */
static double factor_of(const twin *w, int64_t n, int64_t head, int64_t i, int64_t j)
{
    const int64_t sample = w->t->sample[n];
    const uint64_t group = lk_attention_group((uint32_t)i, (uint32_t)(j / LK_DROPOUT_GROUP), (uint32_t)head,
                                              (uint32_t)w->t->s.heads);
    const uint64_t element = group * LK_DROPOUT_GROUP + (uint64_t)j % LK_DROPOUT_GROUP;
    const uint32_t counter[4] = {lk_dropout_block(element), (uint32_t)sample, (uint32_t)w->t->h.run.step,
                                 lk_dropout_high(w->t->h.run.step, sample)};
    uint32_t words[4];

    if (w->p == 0.0) return 1.0;
    lk_philox(lk_philox_key_new(w->t->h.run.seed, LK_PURPOSE_DROPOUT, LAYER), counter, words);
    return lk_dropout_keep(words[lk_dropout_word(element)], lk_dropout_threshold(w->p)) ? 1.0 / (1.0 - w->p) : 0.0;
}

/* prob (Lk) of one query, 0 where it does not look. */
static void softmax(const twin *w, const double *q, const double *k, int64_t n_seen, double *prob)
{
    const shape s = w->t->s;
    double largest = -INFINITY, sum = 0.0;

    for (int64_t j = 0; j < s.Lk; j++) {
        prob[j] = 0.0;
        for (int64_t d = 0; d < s.D; d++) prob[j] += q[d] * k[j * s.heads * s.D + d] / sqrt((double)s.D);
        if (j < n_seen) largest = fmax(largest, prob[j]);
    }
    for (int64_t j = 0; j < s.Lk; j++) sum += prob[j] = j < n_seen ? exp(prob[j] - largest) : 0.0;
    for (int64_t j = 0; j < n_seen; j++) prob[j] /= sum;
}

/* One query of one head: y, and what it adds to the gradients. */
static void twin_row(const twin *w, int64_t n, int64_t head, int64_t i)
{
    const shape s = w->t->s;
    const int64_t C = s.heads * s.D, at = (n * s.Lq + i) * C + head * s.D, keys = n * s.Lk * C + head * s.D;
    const int64_t most = length_of(&s, n), n_seen = s.causal && i + 1 < most ? i + 1 : most;
    double prob[256], dprob[256], delta = 0.0;

    softmax(w, w->q + at, w->k + keys, n_seen, prob);
    for (int64_t j = 0; j < n_seen; j++) {
        const double factor = factor_of(w, n, head, i, j);

        dprob[j] = 0.0;
        for (int64_t d = 0; d < s.D; d++) {
            w->y[at + d] += prob[j] * factor * w->v[keys + j * C + d];
            w->dv[keys + j * C + d] += prob[j] * factor * w->dy[at + d];
            dprob[j] += factor * w->dy[at + d] * w->v[keys + j * C + d];
        }
        delta += prob[j] * dprob[j];
    }
    for (int64_t j = 0; j < n_seen; j++)
        for (int64_t d = 0; d < s.D; d++) {
            const double ds = prob[j] * (dprob[j] - delta) / sqrt((double)s.D);

            w->dq[at + d] += ds * w->k[keys + j * C + d];
            w->dk[keys + j * C + d] += ds * w->q[at + d];
        }
}

/* The type's own rounding, at the size of what is summed up; bf16 keeps y, from which delta is made, to 8 bits. */
static void expect_near(const net *t, int tensor, const double *want, const char *what)
{
    const lk_tensor *of = &t->h.graph.tensors[tensor];
    double largest = 1.0;

    for (size_t i = 0; i < of->n_elem; i++) largest = fmax(largest, fabs(want[i]));
    const double tolerance = of->dtype == LK_DTYPE_BF16 ? largest / 128 : largest * 1e-5;
    for (size_t i = 0; i < of->n_elem; i++) {
        const double got = (double)op_get_one(&t->h, tensor, i);
        cr_expect(fabs(got - want[i]) <= tolerance, "%ld x %ld over %ld, %ld heads of %ld: %s[%zu]: got %.9g, "
                  "want %.9g",
                  (long)t->s.N, (long)t->s.Lq, (long)t->s.Lk, (long)t->s.heads, (long)t->s.D, what, i, got, want[i]);
    }
}

static double *zeros(size_t n)
{
    double *made = calloc(n, sizeof *made);

    cr_assert(made);
    return made;
}

static void expect_twin(shape s, lk_dtype dtype, double p, int threads)
{
    net t;

    open_net(&t, s, dtype, p, threads);
    start_net(&t);
    op_run(&t.h);
    double *q = op_doubles(&t.h, t.q), *k = op_doubles(&t.h, t.k), *v = op_doubles(&t.h, t.v);
    double *dy = op_doubles(&t.h, t.dy), *y = zeros(op_n_elem(&t.h, t.y)), *dq = zeros(op_n_elem(&t.h, t.q));
    double *dk = zeros(op_n_elem(&t.h, t.k)), *dv = zeros(op_n_elem(&t.h, t.v));
    const twin w = {&t, q, k, v, dy, y, dq, dk, dv, p};

    for (int64_t row = 0; row < s.N * s.heads * s.Lq; row++)
        twin_row(&w, row / (s.heads * s.Lq), row / s.Lq % s.heads, row % s.Lq);
    expect_near(&t, t.y, y, "y");
    expect_near(&t, op_gradient(&t.h, t.q), dq, "dq");
    expect_near(&t, op_gradient(&t.h, t.k), dk, "dk");
    expect_near(&t, op_gradient(&t.h, t.v), dv, "dv");
    free(dv), free(dk), free(dq), free(y), free(dy), free(v), free(k), free(q);
    op_close(&t.h);
}

/* One token, odd sizes, whole blocks of 64 and one more, several blocks; more queries than keys and the other way;
 * heads of more than 64 channels. */
static const shape shapes[] = {
    {1, 1, 1, 1, 1, false, false},  {3, 10, 10, 4, 8, false, true},  {3, 16, 16, 1, 64, true, true},
    {2, 5, 12, 2, 32, false, true}, {2, 40, 16, 3, 16, false, false}, {4, 9, 17, 2, 8, false, true},
     {3, 10, 10, 4, 8, true, false},
    {2, 7, 13, 2, 5, false, true},  {2, 33, 3, 3, 16, false, true},  {1, 64, 64, 2, 4, true, false},
    {2, 65, 65, 2, 6, true, true},  {5, 130, 70, 1, 3, false, true}, {1, 200, 200, 2, 32, true, false},
    {2, 3, 130, 2, 8, false, true}, {1, 20, 70, 2, 72, false, true}, {1, 40, 40, 1, 66, true, false},
};

static void expect_all(lk_dtype dtype, double p)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) expect_twin(shapes[i], dtype, p, 1);
}

Test(attention, fp32_is_that_of_the_whole_matrix) { expect_all(LK_DTYPE_F32, 0.0); }
Test(attention, bf16_is_that_of_the_whole_matrix) { expect_all(LK_DTYPE_BF16, 0.0); }
Test(attention, fp32_drops_the_probabilities_that_the_formula_names) { expect_all(LK_DTYPE_F32, 0.25); }
Test(attention, bf16_drops_the_probabilities_that_the_formula_names) { expect_all(LK_DTYPE_BF16, 0.25); }

Test(attention, gradients_are_slopes)
{
    const shape few[] = {{2, 3, 4, 2, 2, false, true}, {1, 5, 5, 1, 3, true, false}};

    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        for (int dropped = 0; dropped < 2; dropped++) {
            net t;

            open_net(&t, few[i], LK_DTYPE_F32, 0.25 * dropped, 1);
            start_net(&t);
            /* The quotient's error: a third derivative of order 1 times step^2, and rounding of y by 1e-7 / step. */
            op_expect_gradient(&t.h, t.q, 1.0f / 64, t.y, t.dy, 3e-4);
            op_expect_gradient(&t.h, t.k, 1.0f / 64, t.y, t.dy, 3e-4);
            op_expect_gradient(&t.h, t.v, 1.0f / 64, t.y, t.dy, 3e-4);
            op_close(&t.h);
        }
}

Test(attention, a_row_without_keys_is_zero_and_gives_no_gradient)
{
    const shape s = {2, 3, 4, 1, 2, false, true};
    net t;

    open_net(&t, s, LK_DTYPE_F32, 0.0, 1);
    start_net(&t);
    op_set_one(&t.h, t.lengths, 0, 0.0f);
    op_set_one(&t.h, t.lengths, 1, -3.0f);
    op_run(&t.h);
    const int zero[] = {t.y, op_gradient(&t.h, t.q), op_gradient(&t.h, t.k), op_gradient(&t.h, t.v)};
    for (size_t z = 0; z < sizeof zero / sizeof *zero; z++)
        for (size_t i = 0; i < op_n_elem(&t.h, zero[z]); i++)
            cr_expect_eq(op_get_one(&t.h, zero[z], i), 0.0f, "%s[%zu] is %g", t.h.graph.tensors[zero[z]].name, i,
                         (double)op_get_one(&t.h, zero[z], i));
    op_close(&t.h);
}

/* One of q, k and v trains, the others are frozen: its gradient has the bits that it has when all do. */
Test(attention, each_gradient_comes_without_the_others)
{
    const shape s = {2, 70, 70, 2, 8, true, true};
    net all;

    open_net(&all, s, LK_DTYPE_F32, 0.1, 1);
    start_net(&all);
    op_run(&all.h);
    for (int i = 0; i < 3; i++) {
        net one;

        open_net(&one, s, LK_DTYPE_F32, 0.1, 1);
        for (int id = one.q; id <= one.v; id++) one.h.graph.tensors[id].needs_grad = id == one.q + i;
        start_net(&one);
        op_run(&one.h);
        const int got = op_gradient(&one.h, one.q + i), want = op_gradient(&all.h, all.q + i);
        cr_expect_eq(memcmp(op_at(&one.h, got), op_at(&all.h, want), one.h.graph.tensors[got].nbytes), 0, "%s differs",
                     one.h.graph.tensors[got].name);
        op_close(&one.h);
    }
    op_close(&all.h);
}

/* Every bit of what a run makes, behind those before; returns the bytes in all. */
static size_t gather_bits(const net *t, char **bits)
{
    const int tensors[] = {t->y, op_gradient(&t->h, t->q), op_gradient(&t->h, t->k), op_gradient(&t->h, t->v)};
    size_t nbytes = 0;

    *bits = NULL;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const size_t n = t->h.graph.tensors[tensors[i]].nbytes;

        *bits = realloc(*bits, nbytes + n);
        memcpy(*bits + nbytes, op_at(&t->h, tensors[i]), n);
        nbytes += n;
    }
    return nbytes;
}

Test(attention, two_threads_make_the_same_bits)
{
    const shape large = {3, 150, 150, 3, 32, true, true};
    char *bits[2];
    size_t nbytes[2];

    for (int threads = 1; threads <= 2; threads++) {
        net t;

        open_net(&t, large, LK_DTYPE_F32, 0.1, threads);
        start_net(&t);
        op_run(&t.h);
        nbytes[threads - 1] = gather_bits(&t, &bits[threads - 1]);
        op_close(&t.h);
    }
    cr_assert_eq(nbytes[0], nbytes[1]);
    cr_expect_eq(memcmp(bits[0], bits[1], nbytes[0]), 0, "two threads make other bits");
    free(bits[1]), free(bits[0]);
}

/* Rows of sample `from` of one net into sample `to` of another, position by position; the rest stays. */
static void copy_sample(const net *a, int tensor_a, int64_t from, net *b, int tensor_b, int64_t to, int64_t length)
{
    const int64_t C = a->s.heads * a->s.D;
    const int64_t of_a = a->h.graph.tensors[tensor_a].shape[1], of_b = b->h.graph.tensors[tensor_b].shape[1];

    for (int64_t i = 0; i < length * C; i++)
        op_set_one(&b->h, tensor_b, (size_t)(to * of_b * C + i),
                   op_get_one(&a->h, tensor_a, (size_t)(from * of_a * C + i)));
}

/* Sample 2 of three, of so many positions in a lane of `among`, and the same alone in a lane of 130. */
static void expect_same_bits(int64_t length, int64_t among, int64_t D)
{
    enum { FROM = 2, ALONE = 130 };
    const int64_t C = 2 * D;
    net a, b;

    open_net(&a, (shape){3, among, among, 2, D, true, true}, LK_DTYPE_F32, 0.1, 1);
    open_net(&b, (shape){1, ALONE, ALONE, 2, D, true, true}, LK_DTYPE_F32, 0.1, 1);
    start_net(&a), start_net(&b);
    op_set_one(&a.h, a.lengths, FROM, (float)length), op_set_one(&b.h, b.lengths, 0, (float)length);
    b.sample[0] = a.sample[FROM];
    const int inputs[][2] = {{a.q, b.q}, {a.k, b.k}, {a.v, b.v}, {a.dy, b.dy}};
    for (size_t i = 0; i < 4; i++) copy_sample(&a, inputs[i][0], FROM, &b, inputs[i][1], 0, length);
    /* Behind the sample's end no loss is taken. */
    for (int64_t i = length * C; i < among * C; i++) op_set_one(&a.h, a.dy, (size_t)(FROM * among * C + i), 0.0f);
    for (int64_t i = length * C; i < ALONE * C; i++) op_set_one(&b.h, b.dy, (size_t)i, 0.0f);
    op_run(&a.h), op_run(&b.h);
    const int outputs[][2] = {{a.y, b.y}, {op_gradient(&a.h, a.q), op_gradient(&b.h, b.q)},
                              {op_gradient(&a.h, a.k), op_gradient(&b.h, b.k)},
                              {op_gradient(&a.h, a.v), op_gradient(&b.h, b.v)}};
    for (size_t o = 0; o < 4; o++)
        cr_expect_eq(memcmp((float *)op_at(&a.h, outputs[o][0]) + FROM * among * C, op_at(&b.h, outputs[o][1]),
                            (size_t)(length * C) * sizeof(float)), 0, "%ld positions of %ld, %ld channels: %s differs",
                     (long)length, (long)among, (long)D, a.h.graph.tensors[outputs[o][0]].name);
    op_close(&b.h), op_close(&a.h);
}

/* 130 queries go in blocks; in a lane of up to 64 a sentence of up to 16 goes by itself. */
Test(attention, a_samples_bits_do_not_depend_on_what_is_beside_or_behind_it)
{
    expect_same_bits(66, 70, 8);
    for (int64_t D = 8; D <= 64; D *= 2) expect_same_bits(9, 12, D), expect_same_bits(16, 64, D);
    expect_same_bits(17, 20, 8);
}

/* ------------------------------------------------------------------- cache */

/* Each query alone, over an entry of the cache that holds more than it may see. */
Test(attention, a_query_over_the_cache_has_the_bits_of_the_whole_sequence)
{
    enum { LENGTH = 70, CAPACITY = 80, C = 16 };
    const shape whole = {2, LENGTH, LENGTH, 2, 8, true, false};
    const lk_attention attention = {.heads = 2, .causal = true};
    net t;
    op_harness h;
    int y, log_sum;

    open_net(&t, whole, LK_DTYPE_F32, 0.0, 1);
    start_net(&t);
    op_run(&t.h);
    op_open(&h, LK_DECODE, 1);
    h.graph.n = 2;
    const int q = op_tensor(&h, "q", LK_ARENA_FIELD, LK_DTYPE_F32, 3, (int64_t[]){2, 1, C});
    const int k = op_tensor(&h, "k", LK_ARENA_CACHE, LK_DTYPE_F32, 3, (int64_t[]){2, CAPACITY, C});
    const int v = op_tensor(&h, "v", LK_ARENA_CACHE, LK_DTYPE_F32, 3, (int64_t[]){2, CAPACITY, C});
    op_ok(lk_op_attention(&h.graph, "attn", q, k, v, LK_NO_TENSOR, &attention, &y, &log_sum));
    op_bind(&h);
    op_fill(&h, k, 8), op_fill(&h, v, 9);
    for (int64_t n = 0; n < 2; n++)
        for (int64_t i = 0; i < LENGTH * C; i++) {
            op_set_one(&h, k, (size_t)(n * CAPACITY * C + i), op_get_one(&t.h, t.k, (size_t)(n * LENGTH * C + i)));
            op_set_one(&h, v, (size_t)(n * CAPACITY * C + i), op_get_one(&t.h, t.v, (size_t)(n * LENGTH * C + i)));
        }
    for (h.run.position = 0; h.run.position < LENGTH; h.run.position++) {
        for (int64_t i = 0; i < 2 * C; i++)
            op_set_one(&h, q, (size_t)i,
                       op_get_one(&t.h, t.q, (size_t)((i / C * LENGTH + h.run.position) * C + i % C)));
        op_run(&h);
        for (int64_t n = 0; n < 2; n++)
            cr_expect_eq(memcmp((float *)op_at(&h, y) + n * C,
                                (float *)op_at(&t.h, t.y) + (n * LENGTH + h.run.position) * C, C * sizeof(float)), 0,
                         "sample %ld, position %ld: other bits", (long)n, (long)h.run.position);
    }
    op_close(&h), op_close(&t.h);
}

/* --------------------------------------------------------------------- map */

/* Rows of the map sum up to 1 and give y with v. */
Test(attention, the_map_is_what_the_output_is_made_of)
{
    const shape s = {2, 66, 66, 2, 4, true, true};
    net t;
    int map;

    open_net(&t, s, LK_DTYPE_F32, 0.0, 1);
    op_ok(lk_op_attention_map(&t.h.graph, "map", t.q, t.k, t.lengths, t.log_sum,
                              &(lk_attention){.heads = 2, .causal = true}, &map));
    op_bind(&t.h);
    op_fill(&t.h, t.q, 1), op_fill(&t.h, t.k, 2), op_fill(&t.h, t.v, 3);
    op_set_one(&t.h, t.lengths, 0, 65.0f), op_set_one(&t.h, t.lengths, 1, 0.0f);
    op_run(&t.h);
    for (size_t row = 0; row < 2 * 2 * 66; row++) {
        const size_t n = row / 132, head = row / 66 % 2, i = row % 66;
        double sum = 0.0, y[4] = {0};

        for (size_t j = 0; j < 66; j++) {
            const double p = (double)op_get_one(&t.h, map, row * 66 + j);

            sum += p;
            cr_expect((p > 0.0) == (n == 0 && j <= i && j < 65), "row %zu sees key %zu by %g", row, j, p);
            for (size_t d = 0; d < 4; d++)
                y[d] += p * (double)op_get_one(&t.h, t.v, (n * 66 + j) * 8 + head * 4 + d);
        }
        cr_expect_float_eq(sum, n == 0 ? 1.0 : 0.0, 1e-5, "row %zu sums up to %.9g", row, sum);
        for (size_t d = 0; d < 4; d++)
            cr_expect_float_eq((double)op_get_one(&t.h, t.y, (n * 66 + i) * 8 + head * 4 + d), y[d], 1e-5,
                               "row %zu: y is not the map's", row);
    }
    op_close(&t.h);
}

/* ------------------------------------------------------------------ memory */

/* Everything that a plan would take, forward and backward. */
static size_t nbytes_at(int64_t length)
{
    const shape s = {1, length, length, 2, 8, true, false};
    net t;

    open_net(&t, s, LK_DTYPE_F32, 0.1, 1);
    t.dy = op_differentiate(&t.h, t.y);
    op_bind(&t.h);
    const size_t nbytes = t.h.scratch_nbytes + t.h.used[LK_ARENA_ACT];
    op_close(&t.h);
    return nbytes;
}

/* A matrix of 4096 x 4096 would be 64 MiB for each head, four times that of 2048. */
Test(attention, memory_is_linear_in_the_length)
{
    const size_t half = nbytes_at(2048), whole = nbytes_at(4096);

    cr_expect_leq(whole, 2 * half, "%zu bytes for 4096 positions, %zu for 2048", whole, half);
    cr_expect_lt(whole, (size_t)4 << 20, "%zu bytes for 4096 positions", whole);
}

/* ---------------------------------------------------------------- refusals */

static void expect_refused(const char *what, const int64_t q[3], const int64_t k[3], const int64_t v[3],
                           int64_t lengths, lk_attention attention)
{
    op_harness h;
    int y, log_sum;

    op_open(&h, LK_TRAIN, 1);
    const int of_q = op_tensor(&h, "q", LK_ARENA_FIELD, LK_DTYPE_F32, 3, q);
    const int of_k = op_tensor(&h, "k", LK_ARENA_FIELD, LK_DTYPE_F32, 3, k);
    const int of_v = op_tensor(&h, "v", LK_ARENA_FIELD, LK_DTYPE_F32, 3, v);
    const int of_lengths = op_tensor(&h, "lengths", LK_ARENA_FIELD, LK_DTYPE_I32, 1, &lengths);
    cr_expect_eq(lk_op_attention(&h.graph, "block.attn", of_q, of_k, of_v, of_lengths, &attention, &y, &log_sum),
                 LK_ERR_USAGE, "%s is not refused", what);
    cr_expect(strstr(lk_error_message(), "block.attn: ") && strstr(lk_error_message(), what),
              "message: %s, without %s", lk_error_message(), what);
    op_close(&h);
}

Test(attention, what_cannot_be_is_refused_by_the_layers_name)
{
    const int64_t good[] = {2, 4, 6}, longer[] = {2, 5, 6}, wider[] = {2, 4, 8};
    const lk_attention plain = {.heads = 2};

    expect_refused("over keys fp32 (2, 4, 8)", good, wider, wider, 2, plain);
    expect_refused("values are fp32 (2, 5, 6)", good, good, longer, 2, plain);
    expect_refused("6 channels do not divide into 4 heads", good, good, good, 2, (lk_attention){.heads = 4});
    expect_refused("numbers of keys are int32 (3)", good, good, good, 3, plain);
    expect_refused("causal attention of 4 queries over 5 keys", good, longer, longer, 2,
                   (lk_attention){.heads = 2, .causal = true});
    expect_refused("dropout is 1;", good, good, good, 2, (lk_attention){.heads = 2, .p = 1.0});
    expect_refused("dropout wants a row for each of 1 samples", good, good, good, 2,
                   (lk_attention){.heads = 2, .p = 0.5});
}
