/*
 * The inspection of a step's gradients: their norm, and whether all are finite.
 *
 * In host memory squares are summed chunk by chunk of the set's grid, and the chunks in order: what the sum rounds to
 * depends on the set alone.  A device inspects by itself, in an order of its own.
 */
#include "engine/optim/ema.h"
#include "engine/optim/impl.h"

#include <math.h>

static lk_status measure(lk_optimizer *optimizer, const float *grads)
{
    const lk_grid *grid = lk_trainable_grid(optimizer->trainable);

    return optimizer->backend->squares(optimizer->ctx, grads, grid->cut, grid->n,
                                       (float)optimizer->common.clip_value, optimizer->squares);
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

lk_status lk_optimizer_inspect(lk_optimizer *optimizer, const float *grads, bool check_all, lk_grad_report *out)
{
    const lk_backend *backend = optimizer->backend;
    const lk_optimizer_spec *common = &optimizer->common;
    const float *slots = grads + lk_trainable_slot(optimizer->trainable, (lk_slot)0);
    const bool all = check_all || common->clip_norm > 0.0;

    *out = (lk_grad_report){.norm = NAN, .finite = true};
    if (backend->device) {
        out->pending = true;
        return backend->device->inspect(optimizer->ctx, grads, lk_trainable_n_elem(optimizer->trainable), slots, all,
                                        (float)common->clip_value, common->clip_norm);
    }
    LK_TRY(backend->read(optimizer->ctx, out->slots, slots, sizeof out->slots));
    if (all) {
        LK_TRY(measure(optimizer, grads));
        add_up(optimizer, out);
    }
    out->finite = out->finite && isfinite(out->slots[LK_SLOT_LOSS]);
    return LK_OK;
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
