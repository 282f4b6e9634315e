/*
 * The reducer over a real model: gradients of all lanes, summed while the backward pass goes on, have the bits of the
 * tree over lanes that every worker also computes alone; with everything trained and with layers frozen.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { LANES = 5, BATCH = 14, N_INPUT = 20, N_STEPS = 3, MOST_TENSORS = 32 };

static lk_model *model;
static lk_engine *engine;
static const lk_trainable *trainable; /* in use */
static float *params, *alone[LANES];
static float x[BATCH][N_INPUT], target[BATCH];
static int64_t sample[BATCH];

static float *engine_floats(size_t n_elem)
{
    void *memory;

    MUST(lk_engine_alloc(engine, n_elem * sizeof(float), &memory));
    return memory;
}

static void set_up(void)
{
    const lk_model_spec spec = {
        .kind = LK_MODEL_MLP, .mlp = {4, {N_INPUT, 64, 48, 1}}, .activation = LK_ACT_RELU,
        .norm = LK_NORM_BATCH, .norm_place = LK_NORM_BEFORE, .dropout = 0.2,
        .loss = {.kind = LK_LOSS_MSE},
    };
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .threads = 1, .seed = 7};
    const lk_philox_key key = lk_philox_key_new(1, LK_PURPOSE_DATA, 0);

    MUST(lk_model_new(&spec, &model));
    MUST(lk_engine_new(&options, model, &engine));
    trainable = lk_engine_trainable(engine);
    params = engine_floats(lk_model_n_elem(model));
    lk_model_init(model, 1, params);
    for (int l = 0; l < LANES; l++) alone[l] = engine_floats(lk_trainable_n_grads(trainable));
    for (uint64_t i = 0; i < BATCH * N_INPUT; i++) (&x[0][0])[i] = (float)lk_normal(key, i);
    for (uint64_t i = 0; i < BATCH; i++) {
        target[i] = (float)lk_normal(key, BATCH * N_INPUT + i);
        sample[i] = (int64_t)i;
    }
}

static void run_lane(int lane, int64_t step, float *grads, lk_reducer *reducer)
{
    int64_t begin, end;

    MUST(lk_part_rows(BATCH, lane, LANES, &begin, &end));
    const lk_lane job = {
        .mode = LK_TRAIN, .n = end - begin, .field = {x[begin], target + begin}, .sample = sample + begin,
        .step = step, .inv_count = 1.0f / BATCH, .params = params, .params_version = 1, .grads = grads,
        .ready = reducer ? lk_reducer_ready : NULL, .ready_arg = reducer,
    };
    MUST(lk_engine_run(engine, &job));
}

/* The tree level by level, in place: the sum ends in alone[0]. */
static void sum_alone(int64_t step)
{
    float *node[LANES];

    for (int l = 0; l < LANES; l++) run_lane(l, step, node[l] = alone[l], NULL);
    for (int n = LANES; n > 1; n = (n + 1) / 2)
        for (int i = 0; i < (n + 1) / 2; i++) {
            if (2 * i + 1 < n) lk_add_f32(node[2 * i], node[2 * i + 1], lk_trainable_n_grads(trainable));
            node[i] = node[2 * i];
        }
}

static void compare(const float *sum, int64_t step)
{
    const size_t loss = lk_trainable_slot(trainable, LK_SLOT_LOSS);
    size_t n_wrong = 0, first = 0;

    for (size_t i = 0; i < lk_trainable_n_grads(trainable); i++)
        if (memcmp(&sum[i], &alone[0][i], sizeof sum[i]) != 0 && n_wrong++ == 0) first = i;
    check(n_wrong == 0, "step %d: %zu elements differ; the first, %zu: got %.9g, want %.9g", (int)step, n_wrong, first,
          (double)sum[first], (double)alone[0][first]);
    check(sum[lk_trainable_slot(trainable, LK_SLOT_MICRO_BATCHES)] == LANES, "lanes counted: got %g, want %d",
          (double)sum[lk_trainable_slot(trainable, LK_SLOT_MICRO_BATCHES)], LANES);
    check_say("step %d: mean loss %.9g, alone %.9g\n", (int)step, (double)sum[loss], (double)alone[0][loss]);
}

static void reduce(size_t bucket_bytes)
{
    lk_reducer *reducer;
    lk_reducer_stats stats;
    int begin, end;

    MUST(lk_reducer_new(world, engine, trainable, LK_REDUCE_TREE, LK_WIRE_FP32, LANES, bucket_bytes, NULL, &reducer));
    MUST(lk_world_lanes(world, LANES, &begin, &end));
    for (int64_t step = 0; step < N_STEPS; step++) {
        const float *sum;
        for (int lane = begin; lane < end; lane++) {
            float *grads;
            MUST(lk_reducer_lane(reducer, lane, &grads));
            run_lane(lane, step, grads, reducer);
        }
        MUST(lk_reducer_finish(reducer, &sum));
        sum_alone(step);
        compare(sum, step);
    }
    lk_reducer_get_stats(reducer, &stats);
    check_say("%zu buckets, %lld bytes sent, waited %.3g s\n", stats.n_buckets, (long long)stats.bytes_sent,
              stats.seconds_waited);
    lk_reducer_free(&reducer);
}

/* Freezes what matches: a prefix, a middle, all weights, all but one bias. */
static void reduce_frozen(const char *pattern, bool norm_eval)
{
    const lk_trainable *before = trainable;
    bool trains[MOST_TENSORS];
    lk_trainable *part;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        trains[i] = !lk_glob(pattern, lk_model_tensor(model, i)->name);
    const lk_trainable_spec spec = {.trains = trains, .n_groups = 1, .frozen_eval = norm_eval};
    MUST(lk_trainable_new(model, &spec, &part));
    check(lk_trainable_n_grads(part) < lk_trainable_n_grads(before), "%s: %zu gradients of %zu", pattern,
          lk_trainable_n_grads(part), lk_trainable_n_grads(before));
    trainable = part;
    lk_engine_set_trainable(engine, trainable);
    reduce(1);
    reduce(1 << 20);
    trainable = before;
    lk_engine_set_trainable(engine, trainable);
    lk_trainable_free(&part);
}

int main(void)
{
    check_start(60);
    set_up();
    reduce(1);
    reduce(4096);
    reduce(1 << 20);
    reduce_frozen("[01].*", true);
    reduce_frozen("[01].*", false);
    reduce_frozen("4.*", true);
    reduce_frozen("*.weight", true);
    reduce_frozen("[!8]*", true);

    for (int l = 0; l < LANES; l++) lk_engine_release(engine, &alone[l]);
    lk_engine_release(engine, &params);
    lk_engine_free(&engine);
    lk_model_free(&model);
    return check_finish();
}
