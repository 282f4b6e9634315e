/*
 * The engine's memory seen from outside, when it is a device's: queues, uploads, snapshots.  In host memory each of
 * these is done at once, so that callers need not ask.
 */
#include "engine/engine_impl.h"

#include <string.h>

/* The device's calls with its state; NULL in host memory. */
static const lk_device_calls *device_of(const lk_engine *engine, void **ctx)
{
    *ctx = engine->ctx;
    return engine->device;
}

bool lk_engine_on_device(const lk_engine *engine)
{
    void *ctx;

    return device_of(engine, &ctx) != NULL;
}

int lk_engine_n_devices(const lk_engine *engine)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    return device ? device->count(ctx) : 0;
}

void lk_engine_device(const lk_engine *engine, char *text, size_t nbytes)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (nbytes) text[0] = '\0';
    if (device) device->identify(ctx, text, nbytes);
}

/* ------------------------------------------------------------------- queues */

lk_status lk_engine_add(lk_engine *engine, lk_queue queue, float *into, const float *from, size_t n_elem)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (device) return device->add(ctx, queue, into, from, n_elem);
    lk_add_f32(into, from, n_elem);
    return LK_OK;
}

lk_status lk_engine_zero(lk_engine *engine, lk_queue queue, void *at, size_t nbytes)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (device) return device->zero(ctx, queue, at, nbytes);
    memset(at, 0, nbytes);
    return LK_OK;
}

lk_status lk_engine_copy(lk_engine *engine, lk_queue queue, void *to, const void *from, size_t nbytes)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (device) return device->copy(ctx, queue, to, from, nbytes);
    memcpy(to, from, nbytes);
    return LK_OK;
}

lk_status lk_engine_call(lk_engine *engine, lk_queue queue, lk_queued_fn *fn, const void *arg, size_t nbytes)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    return device ? device->call(ctx, queue, fn, arg, nbytes) : fn(arg, NULL);
}

lk_status lk_engine_after(lk_engine *engine, lk_queue then, lk_queue first)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    return device ? device->after(ctx, then, first) : LK_OK;
}

lk_status lk_engine_launch(lk_engine *engine)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    return device ? device->launch(ctx) : LK_OK;
}

lk_status lk_engine_wait(lk_engine *engine)
{
    return engine->backend->wait ? engine->backend->wait(engine->ctx) : LK_OK;
}

void lk_engine_set_poll(lk_engine *engine, lk_status (*poll)(void *arg), void *arg)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (device) device->set_poll(ctx, poll, arg);
}

/* -------------------------------------------------------------- host memory */

lk_status lk_engine_host_alloc(lk_engine *engine, size_t nbytes, void **out)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    *out = NULL;
    if (device) return device->host_alloc(ctx, nbytes, out);
    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    return LK_OK;
}

void lk_engine_host_release(lk_engine *engine, void *address_of_pointer)
{
    void *ctx, **p = address_of_pointer;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (!p) return;
    if (!device) {
        lk_free(p);
        return;
    }
    if (*p) device->host_release(ctx, *p);
    *p = NULL;
}

static lk_status upload_lane(const lk_device_calls *device, void *ctx, bool keep, const lk_model *model, lk_lane *lane)
{
    const lk_sample *sample = lk_model_sample(model);
    const size_t n = (size_t)lane->n;

    for (int f = 0; f < sample->n_fields; f++) {
        if (!lane->field[f]) continue;
        LK_TRY(device->upload(ctx, keep, lane->field[f], n * lk_field_nbytes(&sample->field[f], lane->length),
                              &lane->field[f]));
    }
    if (lane->sample)
        LK_TRY(device->upload(ctx, keep, lane->sample, n * sizeof *lane->sample, (const void **)&lane->sample));
    lane->uploaded = true;
    return LK_OK;
}

lk_status lk_engine_upload_once(lk_engine *engine, lk_lane *lane, bool keep)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (!device || lane->uploaded) return LK_OK;
    return upload_lane(device, ctx, keep, engine->model, lane);
}

lk_status lk_engine_upload(lk_engine *engine, lk_lane *lane) { return lk_engine_upload_once(engine, lane, true); }

lk_status lk_engine_snapshot(lk_engine *engine, void *host, const void *from, size_t nbytes)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    if (device) return device->snapshot(ctx, host, from, nbytes);
    memcpy(host, from, nbytes);
    return LK_OK;
}

lk_status lk_engine_snapshot_wait(lk_engine *engine)
{
    void *ctx;
    const lk_device_calls *device = device_of(engine, &ctx);

    return device ? device->snapshot_wait(ctx) : LK_OK;
}
