/* A made-up model to save and load, and a folder that goes away with its test. */
#ifndef LK_TESTS_CKPT_FIXTURE_H
#define LK_TESTS_CKPT_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"

enum { N_SHARED = 8, N_LEADER = 3, MOST_ELEMS = 128, MOST_SAVERS = 8 };

/* Few rows, one row, no rows, no dimensions; every number of dimensions there can be. */
static const lk_ckpt_tensor shared_shapes[N_SHARED] = {
    {.path = "model/0.weight", .ndim = 2, .shape = {7, 5}, .n_elem = 35},
    {.path = "model/0.bias", .ndim = 1, .shape = {7}, .n_elem = 7},
    {.path = "model/conv.weight", .ndim = 4, .shape = {4, 3, 3, 3}, .n_elem = 108},
    {.path = "model/one", .ndim = 2, .shape = {1, 4}, .n_elem = 4},
    {.path = "model/scalar", .ndim = 0, .shape = {0}, .n_elem = 1},
    {.path = "model/none", .ndim = 2, .shape = {0, 3}, .n_elem = 0},
    {.path = "optimizer/exp_avg/0.weight", .ndim = 2, .shape = {7, 5}, .n_elem = 35},
    {.path = "optimizer/exp_avg/tall", .ndim = 3, .shape = {23, 1, 2}, .n_elem = 46},
};
static const lk_ckpt_tensor leader_shapes[N_LEADER] = {
    {.path = "ema/0.weight", .ndim = 2, .shape = {7, 5}, .n_elem = 35},
    {.path = "ema/0.bias", .ndim = 1, .shape = {7}, .n_elem = 7},
    {.path = "ema/scalar", .ndim = 0, .shape = {0}, .n_elem = 1},
};

typedef struct fixture {
    float values[N_SHARED + N_LEADER][MOST_ELEMS];
    lk_ckpt_tensor shared[N_SHARED], leader[N_LEADER];
} fixture;

/* Every element of every tensor of every `salt` is another number, exact in fp32. */
static inline float value_of(size_t tensor, size_t i, int salt)
{
    return (float)(1 + i + MOST_ELEMS * (tensor + 16 * (size_t)salt));
}

static inline void fixture_set(fixture *f, int salt)
{
    for (size_t t = 0; t < N_SHARED + N_LEADER; t++) {
        lk_ckpt_tensor *tensor = t < N_SHARED ? &f->shared[t] : &f->leader[t - N_SHARED];

        *tensor = t < N_SHARED ? shared_shapes[t] : leader_shapes[t - N_SHARED];
        tensor->data = f->values[t];
        for (size_t i = 0; i < MOST_ELEMS; i++) f->values[t][i] = value_of(t, i, salt);
    }
}

/* Nothing a tensor may hold. */
static inline void fixture_blank(fixture *f)
{
    fixture_set(f, 0);
    for (size_t t = 0; t < N_SHARED + N_LEADER; t++)
        for (size_t i = 0; i < MOST_ELEMS; i++) f->values[t][i] = -1;
}

#define OK(call) cr_assert_eq((call), LK_OK, #call ": %s", lk_error_message())

static inline void make_folder(char out[64])
{
    snprintf(out, 64, "/tmp/lockstep-test-XXXXXX");
    cr_assert_not_null(mkdtemp(out));
}

static inline lk_metadata *make_metadata(int salt)
{
    lk_metadata *metadata;

    OK(lk_metadata_new(&metadata));
    OK(lk_metadata_set_int(metadata, "loader/epoch", 7 + salt));
    OK(lk_metadata_set_real(metadata, "schedule/best", 0.1 + salt));
    OK(lk_metadata_set_text(metadata, "run/recipe", "run: {name: \xc3\xa4}\nmodel: {}\n"));
    OK(lk_metadata_set_text(metadata, "run/empty", ""));
    return metadata;
}

/* Every part begins a save of the values of `salt`. */
static inline void begin_all(lk_saver **savers, int n, int64_t step, int salt)
{
    fixture f;
    lk_metadata *metadata = make_metadata(salt);

    fixture_set(&f, salt);
    for (int r = 0; r < n; r++)
        OK(lk_saver_begin(savers[r], step, f.shared, N_SHARED, f.leader, r == 0 ? N_LEADER : 0,
                          r == 0 ? metadata : NULL));
    lk_metadata_free(&metadata);
}

/* best: the step that has the best weights so far, -1: none. */
static inline void publish_all(lk_saver **savers, int n, int64_t best)
{
    for (int r = 0; r < n; r++) OK(lk_saver_wait(savers[r]));
    OK(lk_saver_publish(savers[0], best));
    for (int r = 1; r < n; r++) OK(lk_saver_finish(savers[r]));
}

static inline void new_savers(lk_saver **savers, const char *dir, int n, int keep)
{
    for (int r = 0; r < n; r++) OK(lk_saver_new(dir, r, n, keep, &savers[r]));
}

static inline void free_savers(lk_saver **savers, int n)
{
    for (int r = 0; r < n; r++) lk_saver_free(&savers[r]);
}

/* A whole run of n workers that saves once. */
static inline void save(const char *dir, int n, int64_t step, int salt)
{
    lk_saver *savers[MOST_SAVERS];

    new_savers(savers, dir, n, 100);
    begin_all(savers, n, step, salt);
    publish_all(savers, n, -1);
    free_savers(savers, n);
}

#endif
