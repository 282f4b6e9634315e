/*
 * The inspection of a step's gradients: their norm, and whether all are finite.
 *
 * In host memory squares are summed chunk by chunk of the set's grid, and the chunks in order: what the sum rounds to
 * depends on the set alone.  A device inspects by itself, in an order of its own.
 */
#include "engine/optim/ema.h"
#include "engine/optim/impl.h"

#include <math.h>
#include <string.h>

static bool wants_norm(const lk_optimizer *optimizer, bool check) { return check || optimizer->common.clip_norm > 0.0; }

lk_status lk_optimizer_measure(lk_optimizer *optimizer, const float *grads, bool check, lk_squares **squares, size_t *n)
{
    const lk_grid *grid = lk_trainable_grid(optimizer->trainable);

    *squares = optimizer->squares;
    *n = wants_norm(optimizer, check) ? grid->n : 0;
    memset(optimizer->squares, 0, *n * sizeof *optimizer->squares);
    for (size_t k = 0; k < optimizer->n_own && *n > 0; k++) {
        const size_t first = lk_grid_chunk_from(grid, optimizer->own[k].begin);
        const size_t last = lk_grid_chunk_from(grid, optimizer->own[k].end);

        LK_TRY(optimizer->backend->squares(optimizer->ctx, grads, grid->cut + first, last - first,
                                           (float)optimizer->common.clip_value, optimizer->squares + first));
    }
    return LK_OK;
}

static void add_up(const lk_optimizer *optimizer, lk_grad_report *out)
{
    double raw = 0.0, clamped = 0.0;

    for (size_t c = 0; c < lk_trainable_grid(optimizer->trainable)->n; c++) {
        raw += optimizer->squares[c].raw;
        clamped += optimizer->squares[c].clamped;
    }
    out->norm = sqrt(clamped);
    out->finite = isfinite(raw);
}

lk_status lk_optimizer_conclude(lk_optimizer *optimizer, const float *grads, bool check, lk_grad_report *out)
{
    const float *slots = grads + lk_trainable_slot(optimizer->trainable, (lk_slot)0);

    *out = (lk_grad_report){.norm = NAN, .finite = true};
    LK_TRY(optimizer->backend->read(optimizer->ctx, out->slots, slots, sizeof out->slots));
    if (wants_norm(optimizer, check)) add_up(optimizer, out);
    out->finite = out->finite && isfinite(out->slots[LK_SLOT_LOSS]);
    return LK_OK;
}

lk_status lk_optimizer_inspect(lk_optimizer *optimizer, const float *grads, bool check, lk_grad_report *out)
{
    const lk_backend *backend = optimizer->backend;
    const lk_optimizer_spec *common = &optimizer->common;
    lk_squares *squares;
    size_t n;

    if (backend->device) {
        *out = (lk_grad_report){.norm = NAN, .finite = true, .pending = true};
        return backend->device->inspect(optimizer->ctx, grads, lk_trainable_n_elem(optimizer->trainable),
                                        grads + lk_trainable_slot(optimizer->trainable, (lk_slot)0),
                                        wants_norm(optimizer, check), (float)common->clip_value, common->clip_norm);
    }
    LK_TRY(lk_optimizer_measure(optimizer, grads, check, &squares, &n));
    return lk_optimizer_conclude(optimizer, grads, check, out);
}

lk_status lk_optimizer_sync(lk_optimizer *optimizer, lk_grad_report *report, lk_ema *ema)
{
    if (!report->pending) return LK_OK;
    LK_TRY(optimizer->backend->device->report(optimizer->ctx, report));
    report->pending = false;
    if (report->finite) return LK_OK;
    optimizer->updates--;
    if (ema) lk_ema_retreat(ema);
    return LK_OK;
}
