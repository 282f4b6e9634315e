/*
 * What was chosen when plans were bound, for those who want to know: workers compare it, for a library that answers one
 * of them otherwise makes other bits there; and a person is told of layers that a plain kernel does.
 */
#include "engine/engine_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 512 };

static uint64_t choices_of(const lk_plan *plan)
{
    uint64_t all = 0;

    for (int i = 0; i < plan->n_kernels; i++) all = lk_choose(all, plan->kernels[i].choice);
    return all;
}

static void put_program(char line[LINE_BYTES], const lk_plan_key *key)
{
    static const char *const mode[] = {[LK_TRAIN] = "train", [LK_EVAL] = "eval", [LK_PREDICT] = "predict",
                                       [LK_ENCODE] = "encode", [LK_DECODE] = "decode"};
    int used = snprintf(line, LINE_BYTES, "%s %" PRId64 " samples", mode[key->mode], key->n);

    if (key->length) used += snprintf(line + used, (size_t)(LINE_BYTES - used), " of %" PRId64, key->length);
    if (key->capacity) used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", cache %" PRId64, key->capacity);
    if (key->side == LK_SIDE_FROZEN) used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", frozen side");
    if (key->side == LK_SIDE_TRAINED) used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", trained side");
    if (key->output) used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", output");
    if (key->accumulate) used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", added");
    if (key->taps) snprintf(line + used, (size_t)(LINE_BYTES - used), ", taps");
}

void lk_engine_each_choice(const lk_engine *engine, void (*put)(void *arg, const char *program, uint64_t made),
                           void *arg)
{
    char program[LINE_BYTES];

    for (int p = 0; p < engine->n_plans; p++) {
        put_program(program, &engine->plans[p]->key);
        put(arg, program, choices_of(engine->plans[p]));
    }
}

/* The passes of a layer and the plans have it alike. */
static bool said_before(const lk_engine *engine, int plan, int kernel)
{
    const char *path = engine->plans[plan]->graph.nodes[kernel].path;

    for (int p = 0; p <= plan; p++) {
        const lk_plan *earlier = engine->plans[p];
        const int end = p == plan ? kernel : earlier->n_kernels;

        for (int i = 0; i < end; i++)
            if (earlier->kernels[i].slow && strcmp(earlier->graph.nodes[i].path, path) == 0) return true;
    }
    return false;
}

void lk_engine_each_slow(const lk_engine *engine, void (*put)(void *arg, const char *line), void *arg)
{
    char line[LINE_BYTES];

    for (int p = 0; p < engine->n_plans; p++)
        for (int i = 0; i < engine->plans[p]->n_kernels; i++) {
            const char *why = engine->plans[p]->kernels[i].slow;

            if (!why || said_before(engine, p, i)) continue;
            snprintf(line, sizeof line, "layer %s: a plain and slow kernel does it: %s",
                     engine->plans[p]->graph.nodes[i].path, why);
            put(arg, line);
        }
}
