/* Replicas: equal ones pass; a flipped bit is named with its rank, tensor and step on every worker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static lk_engine *engine;
static lk_model *model;
static float *params;

static void start_engine(void)
{
    const lk_model_spec spec = {
        .kind = LK_MODEL_MLP, .mlp = {3, {20, 64, 1}}, .activation = LK_ACT_RELU,
        .loss = {.kind = LK_LOSS_MSE},
    };
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .threads = 1};
    void *memory;

    MUST(lk_model_new(&spec, &model));
    MUST(lk_engine_new(&options, model, &engine));
    MUST(lk_engine_alloc(engine, lk_model_n_elem(model) * sizeof *params, &memory));
    params = memory;
    lk_model_init(model, 1, params);
}

static const lk_tensor_info *last_tensor(void) { return lk_model_tensor(model, lk_model_n_tensors(model) - 1); }

static void flip_bit(size_t element)
{
    uint32_t word;

    memcpy(&word, &params[element], sizeof word);
    word ^= 1;
    memcpy(&params[element], &word, sizeof word);
}

static void one_flipped_bit_is_named(void)
{
    const int size = lk_world_size(world), bad = size - 1;
    char who[128], where[128];

    if (lk_world_rank(world) == bad) flip_bit(last_tensor()->offset);
    const lk_status status = lk_world_check_replicas(world, engine, model, params, 120);
    snprintf(who, sizeof who, "rank %d (%s)", bad, lk_world_host(world, bad));
    snprintf(where, sizeof where, "first in `%s`", last_tensor()->name);
    if (size == 1) {
        check(status == LK_OK, "alone there is nothing to compare");
    } else {
        check(status == LK_ERR_NUMBERS, "a flipped bit: got status %d, want %d", (int)status, (int)LK_ERR_NUMBERS);
        check(strstr(lk_error_message(), who) != NULL, "'%s' does not name %s", lk_error_message(), who);
        check(strstr(lk_error_message(), where) != NULL, "'%s' does not say %s", lk_error_message(), where);
        check(strstr(lk_error_message(), "step 120") != NULL, "'%s' does not name the step", lk_error_message());
        const bool undecided = strstr(lk_error_message(), "no majority") != NULL;
        check(undecided == (size == 2), "'%s' with %d workers", lk_error_message(), size);
    }
    check_say("a flipped bit: '%s'\n", size == 1 ? "" : lk_error_message());
    if (lk_world_rank(world) == bad) flip_bit(last_tensor()->offset);
}

int main(void)
{
    check_start(60);
    start_engine();
    check(lk_world_check_replicas(world, engine, model, params, 119) == LK_OK, "equal: '%s'", lk_error_message());
    one_flipped_bit_is_named();
    check(lk_world_check_replicas(world, engine, model, params, 121) == LK_OK, "repaired: '%s'", lk_error_message());

    void *memory = params;
    lk_engine_release(engine, &memory);
    lk_engine_free(&engine);
    lk_model_free(&model);
    return check_finish();
}
