/* Activations that layers named: copies that a lane with taps leaves in an arena of their own. */
#include "engine/engine_impl.h"

#include <string.h>

/* Tap number i of a plan, NULL behind the last. */
static const lk_tensor *tap(const lk_plan *plan, int i)
{
    for (int t = 0; plan && t < plan->graph.n_tensors; t++)
        if (plan->graph.tensors[t].arena == LK_ARENA_TAPS && i-- == 0) return &plan->graph.tensors[t];
    return NULL;
}

const char *lk_engine_tap_name(const lk_engine *engine, int i)
{
    const lk_tensor *t = tap(engine->tapped, i);

    return t ? t->name : NULL;
}

lk_status lk_engine_tap(lk_engine *engine, const char *name, int *ndim, int64_t shape[LK_MAX_DIMS], float *values)
{
    const lk_tensor *t;
    int i = 0;

    if (!engine->tapped) return LK_FAIL(LK_ERR_USAGE, "%s: no lane has run with taps", name);
    while ((t = tap(engine->tapped, i++)))
        if (strcmp(t->name, name) == 0) break;
    if (!t) return LK_FAIL(LK_ERR_USAGE, "%s: the network names no activation so", name);
    *ndim = t->ndim;
    memcpy(shape, t->shape, (size_t)t->ndim * sizeof *shape);
    return values ? lk_engine_read(engine, values, (char *)engine->taps + t->offset, t->nbytes) : LK_OK;
}
