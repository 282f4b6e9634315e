/* The grid: chunks tile an arena, are whole rows or whole tensors, long enough, and depend on the set alone; parts of
 * it are even. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/model/trainable.h"

enum { LEAST = 16 * 1024, MOST_TENSORS = 64 };

/* Rows from much longer than a chunk to much shorter, of lengths that are no multiple of a cache line too; biases. */
static const lk_model_spec mlp = {.kind = LK_MODEL_MLP,
                                  .mlp = {8, {20000, 3, 257, 1000, 64, 64, 2048, 10}}, .norm = LK_NORM_BATCH};

static lk_model *model;

static void set_up(void) { cr_assert_eq(lk_model_new(&mlp, &model), LK_OK, "%s", lk_error_message()); }
static void tear_down(void) { lk_model_free(&model); }

static lk_trainable *set_without(const char *frozen)
{
    bool trains[MOST_TENSORS];
    lk_trainable *set;

    cr_assert_leq(lk_model_n_tensors(model), (size_t)MOST_TENSORS);
    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        trains[i] = !lk_glob(frozen, lk_model_tensor(model, i)->name);
    cr_assert_eq(lk_trainable_new(model, &(lk_trainable_spec){.trains = trains, .n_groups = 1}, &set), LK_OK);
    return set;
}

/* Elements of the chunk's border behind the start of the tensor that it cuts, in whole rows; 0: it cuts none. */
static void expect_whole_rows(const char *what, size_t cut, size_t offset, const lk_tensor_info *info)
{
    if (cut <= offset || cut >= offset + info->n_elem) return;
    const size_t row = info->n_elem / (size_t)info->shape[0];

    cr_expect_eq((cut - offset) % row, 0, "%s: %s is cut %zu elements behind its start, rows have %zu", what,
                 info->name, cut - offset, row);
    cr_expect_geq(info->n_elem, (size_t)LEAST, "%s: %s is cut, and has %zu elements", what, info->name, info->n_elem);
}

static void expect_grid(const char *what, const lk_grid *grid, size_t n_elem, const lk_trainable *set)
{
    cr_expect_eq(grid->cut[0], 0);
    cr_expect_eq(grid->cut[grid->n], n_elem, "%s: ends at %zu, want %zu", what, grid->cut[grid->n], n_elem);
    for (size_t c = 0; c < grid->n; c++) {
        const size_t n = grid->cut[c + 1] - grid->cut[c];

        cr_expect(grid->cut[c + 1] > grid->cut[c], "%s: chunk %zu is empty", what, c);
        cr_expect(n >= LEAST || c + 1 == grid->n, "%s: chunk %zu of %zu has %zu elements", what, c, grid->n, n);
        cr_expect_eq(grid->cut[c] % LK_ALIGN_ELEM, 0, "%s: chunk %zu begins at %zu", what, c, grid->cut[c]);
        for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
            const lk_tensor_info *info = lk_model_tensor(model, i);

            if (!set) expect_whole_rows(what, grid->cut[c], info->offset, info);
            else if (lk_trainable_has(set, i))
                expect_whole_rows(what, grid->cut[c], lk_trainable_offset(set, i), info);
        }
    }
}

Test(grid, chunks_tile_the_arena_in_whole_rows_and_are_long_enough, .init = set_up, .fini = tear_down)
{
    static const char *const frozen[] = {"none", "0.*", "*.bias", "1*", "[0-9].weight"};

    expect_grid("the model", lk_model_grid(model), lk_model_n_elem(model), NULL);
    cr_expect_gt(lk_model_grid(model)->n, (size_t)10, "got %zu", lk_model_grid(model)->n);
    for (size_t f = 0; f < sizeof frozen / sizeof *frozen; f++) {
        lk_trainable *set = set_without(frozen[f]);

        expect_grid(frozen[f], lk_trainable_grid(set), lk_trainable_n_elem(set), set);
        lk_trainable_free(&set);
    }
}

/* Where the backward pass finishes a large layer, a bucket may end. */
Test(grid, large_tensors_begin_with_a_chunk, .init = set_up, .fini = tear_down)
{
    const lk_grid *grid = lk_model_grid(model);

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);

        if (info->role != LK_ROLE_PARAM || info->n_elem < 4 * LEAST) continue;
        const size_t place = grid->cut[lk_grid_chunk_from(grid, info->offset)];
        cr_expect_eq(place, info->offset, "%s begins at %zu, the next chunk at %zu", info->name, info->offset, place);
    }
}

Test(grid, equal_sets_have_equal_grids, .init = set_up, .fini = tear_down)
{
    lk_trainable *a = set_without("0.*"), *b = set_without("0.*");
    const lk_grid *of_a = lk_trainable_grid(a), *of_b = lk_trainable_grid(b);

    cr_assert_eq(of_a->n, of_b->n);
    cr_expect_arr_eq(of_a->cut, of_b->cut, (of_a->n + 1) * sizeof *of_a->cut);
    lk_trainable_free(&a), lk_trainable_free(&b);
}

/* Parts of n workers tile the range in order, each within the longest chunk of its even share. */
Test(grid, parts_are_runs_of_chunks_and_even, .init = set_up, .fini = tear_down)
{
    const lk_grid *grid = lk_model_grid(model);
    const lk_range all = {0, lk_model_n_elem(model)}, tail = {grid->cut[3], grid->cut[grid->n - 1]};

    for (int n = 1; n <= 40; n++)
        for (int k = 0; k < 2; k++) {
            const lk_range within = k ? tail : all;

            cr_expect_eq(lk_grid_border(grid, within, 0, n), within.begin);
            cr_expect_eq(lk_grid_border(grid, within, n, n), within.end);
            for (int s = 0; s < n; s++) {
                const size_t border = lk_grid_border(grid, within, s, n);
                const size_t even = within.begin + (within.end - within.begin) * (size_t)s / (size_t)n;
                const size_t c = lk_grid_chunk_from(grid, border);

                cr_expect_eq(grid->cut[c], border, "part %d of %d begins at %zu, which is no cut", s, n, border);
                cr_expect(border >= even && (c == 0 || grid->cut[c - 1] < even),
                          "part %d of %d begins at %zu, the even place is %zu", s, n, border, even);
            }
        }
}
