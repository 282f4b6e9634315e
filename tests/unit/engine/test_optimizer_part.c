/* Optimizers that hold parts come, together, to the bits of the one that holds all: weights, states, norm; and each
 * says which rows it has. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine/engine.h"

enum { WORKERS = 3, STEPS = 3, MOST_PIECES = 64 };

static const lk_model_spec mlp = {.kind = LK_MODEL_MLP, .mlp = {4, {100, 500, 300, 7}}};
static const lk_optimizer_spec specs[] = {
    {.kind = LK_ADAMW, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 0.5},
    {.kind = LK_ADAM, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 0.0, .amsgrad = true, .clip_norm = 0.5},
    {.kind = LK_SGD, .lr = 1e-2, .momentum = 0.9, .clip_value = 0.5},
};

static lk_model *model;
static lk_engine *engine;
static const lk_trainable *set;

static void set_up(void)
{
    cr_assert_eq(lk_model_new(&mlp, &model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&(lk_engine_options){.kind = LK_ENGINE_CPU, .threads = 1}, model, &engine), LK_OK);
    set = lk_engine_trainable(engine);
}

static void tear_down(void)
{
    lk_engine_free(&engine);
    lk_model_free(&model);
}

static float *normals(size_t n, uint64_t stream)
{
    const lk_philox_key key = lk_philox_key_new(stream, LK_PURPOSE_DATA, 0);
    float *x = lk_alloc(n * sizeof *x);

    for (size_t i = 0; i < n; i++) x[i] = (float)lk_normal(key, i);
    return x;
}

/* A third of the grid; the last worker has nothing. */
static lk_optimizer *part_of(const lk_optimizer_spec *spec, size_t w)
{
    const lk_grid *grid = lk_trainable_grid(set);
    lk_range own[MOST_PIECES];
    lk_optimizer *part;
    size_t n = 0;

    const lk_range all = {0, grid->cut[grid->n]};
    if (w < WORKERS)
        own[n++] = (lk_range){lk_grid_border(grid, all, (int)w, WORKERS), lk_grid_border(grid, all, (int)w + 1,
            WORKERS)};
    cr_assert_eq(lk_optimizer_new_part(engine, set, spec, own, n, &part), LK_OK, "%s", lk_error_message());
    return part;
}

static void step_whole(lk_optimizer *whole, float *params, const float *grads)
{
    const lk_hyperparams none = {.lr = NAN, .momentum = NAN, .weight_decay = NAN};
    lk_grad_report report;

    cr_assert_eq(lk_optimizer_inspect(whole, grads, true, &report), LK_OK);
    cr_assert(report.finite);
    cr_assert_eq(lk_optimizer_update(whole, params, grads, &none, &report, NULL), LK_OK);
}

/* All measure; what they found is added up, and given back to each. */
static void step_parts(lk_optimizer **part, int n_parts, float *params, const float *grads)
{
    const lk_hyperparams none = {.lr = NAN, .momentum = NAN, .weight_decay = NAN};
    lk_squares *squares[WORKERS + 1], sum[MOST_PIECES] = {0};
    lk_grad_report report;
    size_t n = 0;

    for (int w = 0; w < n_parts; w++) {
        cr_assert_eq(lk_optimizer_measure(part[w], grads, true, &squares[w], &n), LK_OK);
        cr_assert(n > WORKERS && n <= MOST_PIECES, "%zu chunks", n);
        for (size_t c = 0; c < n; c++) sum[c].raw += squares[w][c].raw, sum[c].clamped += squares[w][c].clamped;
    }
    for (int w = 0; w < n_parts; w++) {
        memcpy(squares[w], sum, n * sizeof *sum);
        cr_assert_eq(lk_optimizer_conclude(part[w], grads, true, &report), LK_OK);
        cr_assert_eq(lk_optimizer_update(part[w], params, grads, &none, &report, NULL), LK_OK);
    }
}

/* Rows of each tensor's states: held once, at the place the part says, with the whole's bits. */
static void expect_same_states(lk_optimizer *whole, lk_optimizer **part, int n_parts)
{
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        const size_t row = info->n_elem / (size_t)info->shape[0];
        int64_t rows = 0;

        for (int w = 0; w < n_parts; w++) {
            int64_t begin, end;

            lk_optimizer_rows(part[w], t, &begin, &end);
            rows += end - begin;
            for (int s = 0; s < lk_optimizer_n_states(whole) && begin < end; s++)
                cr_expect_arr_eq(lk_optimizer_state(part[w], s, t), lk_optimizer_state(whole, s,
                    t) + (size_t)begin * row,
                                 (size_t)(end - begin) * row * sizeof(float), "state %d of %s, rows %ld..%ld", s,
                                 info->name, (long)begin, (long)end - 1);
        }
        cr_expect_eq(rows, info->shape[0], "%s: %ld rows are held, of %ld", info->name, (long)rows,
            (long)info->shape[0]);
    }
}

Test(optimizer_part, parts_come_to_the_bits_of_the_whole, .init = set_up, .fini = tear_down)
{
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        float *a = normals(lk_model_n_elem(model), 1), *b = normals(lk_model_n_elem(model), 1);
        lk_optimizer *whole, *part[WORKERS + 1];
        size_t held = 0;

        cr_assert_eq(lk_optimizer_new(engine, set, &specs[k], &whole), LK_OK);
        for (size_t w = 0; w <= WORKERS; w++) held += lk_optimizer_n_held(part[w] = part_of(&specs[k], w));
        cr_expect_eq(held, lk_trainable_n_elem(set));
        for (uint64_t step = 0; step < STEPS; step++) {
            float *grads = normals(lk_trainable_n_grads(set), 2 + step);

            step_whole(whole, a, grads);
            step_parts(part, WORKERS + 1, b, grads);
            lk_free(&grads);
        }
        cr_expect_arr_eq(a, b, lk_model_n_elem(model) * sizeof *a, "case %zu: other weights", k);
        expect_same_states(whole, part, WORKERS + 1);
        for (size_t w = 0; w <= WORKERS; w++) lk_optimizer_free(&part[w]);
        lk_optimizer_free(&whole);
        lk_free(&a), lk_free(&b);
    }
}
