/*
 * The engine's memory seen from outside, when it is a device's: queues, uploads, snapshots.  In host memory each of
 * these is done at once, so that callers need not ask.
 */
#include "engine/engine_impl.h"

#include <string.h>

bool lk_engine_on_device(const lk_engine *engine)
{
    return engine->device != NULL;
}

void lk_engine_device(const lk_engine *engine, char *text, size_t nbytes)
{
    const lk_device_calls *device = engine->device;

    if (nbytes) text[0] = '\0';
    if (device) device->identify(engine->ctx, text, nbytes);
}

/* ------------------------------------------------------------------- queues */

lk_status lk_engine_add(lk_engine *engine, lk_queue queue, float *into, const float *from, size_t n_elem)
{
    const lk_device_calls *device = engine->device;

    if (device) return device->add(engine->ctx, queue, into, from, n_elem);
    lk_add_f32(into, from, n_elem);
    return LK_OK;
}

lk_status lk_engine_zero(lk_engine *engine, lk_queue queue, void *at, size_t nbytes)
{
    const lk_device_calls *device = engine->device;

    if (device) return device->zero(engine->ctx, queue, at, nbytes);
    memset(at, 0, nbytes);
    return LK_OK;
}

lk_status lk_engine_copy(lk_engine *engine, lk_queue queue, void *to, const void *from, size_t nbytes)
{
    const lk_device_calls *device = engine->device;

    if (device) return device->copy(engine->ctx, queue, to, from, nbytes);
    memcpy(to, from, nbytes);
    return LK_OK;
}

lk_status lk_engine_call(lk_engine *engine, lk_queue queue, bool shared, lk_queued_fn *fn, const void *arg,
                         size_t nbytes)
{
    const lk_device_calls *device = engine->device;

    return device ? device->call(engine->ctx, queue, shared, fn, arg, nbytes) : fn(arg, NULL);
}

lk_status lk_engine_after(lk_engine *engine, lk_queue then, lk_queue first)
{
    const lk_device_calls *device = engine->device;

    return device ? device->after(engine->ctx, then, first) : LK_OK;
}

lk_status lk_engine_launch(lk_engine *engine)
{
    const lk_device_calls *device = engine->device;

    return device ? device->launch(engine->ctx) : LK_OK;
}

lk_status lk_engine_wait(lk_engine *engine)
{
    const lk_backend *backend = engine->backend;

    return backend->wait ? backend->wait(engine->ctx) : LK_OK;
}

void lk_engine_set_poll(lk_engine *engine, lk_status (*poll)(void *arg), void *arg)
{
    const lk_device_calls *device = engine->device;

    if (device) device->set_poll(engine->ctx, poll, arg);
}

/* -------------------------------------------------------------- host memory */

lk_status lk_engine_host_alloc(lk_engine *engine, size_t nbytes, void **out)
{
    const lk_device_calls *device = engine->device;

    *out = NULL;
    if (device) return device->host_alloc(engine->ctx, nbytes, out);
    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    return LK_OK;
}

void lk_engine_host_release(lk_engine *engine, void *address_of_pointer)
{
    void **p = address_of_pointer;
    const lk_device_calls *device = engine->device;

    if (!p) return;
    if (!device) {
        lk_free(p);
        return;
    }
    if (*p) device->host_release(engine->ctx, *p);
    *p = NULL;
}

static lk_status upload_lane(const lk_engine *engine, lk_lane *lane, unsigned reads, bool keep)
{
    const lk_device_calls *device = engine->device;
    const lk_sample *sample = lk_model_sample(engine->model);
    const size_t n = (size_t)lane->n;

    for (int f = 0; f < sample->n_fields; f++) {
        if (!lane->field[f] || !(reads >> f & 1u)) continue;
        LK_TRY(device->upload(engine->ctx, keep, lane->field[f], n * lk_field_nbytes(&sample->field[f], lane->length),
                              &lane->field[f]));
    }
    if (lane->side == LK_SIDE_TRAINED)
        LK_TRY(device->upload(engine->ctx, keep, lane->features, lane->features_nbytes,
                              (const void **)(void *)&lane->features));
    if (lane->sample)
        LK_TRY(device->upload(engine->ctx, keep, lane->sample, n * sizeof *lane->sample, (const void **)&lane->sample));
    lane->uploaded = true;
    return LK_OK;
}

lk_status lk_engine_upload_fields(lk_engine *engine, lk_lane *lane, unsigned reads, bool keep)
{
    if (!engine->device || lane->uploaded) return LK_OK;
    return upload_lane(engine, lane, reads, keep);
}

lk_status lk_engine_upload(lk_engine *engine, lk_lane *lane)
{
    return lk_engine_upload_fields(engine, lane, ~0u, true);
}

lk_status lk_engine_begin(lk_engine *engine, const lk_graph *graph, lk_launch_args *args)
{
    const lk_device_calls *device = engine->device;

    return device ? device->begin(engine->ctx, graph, args) : LK_OK;
}

float *lk_engine_output(const lk_engine *engine, const lk_lane *lane)
{
    return engine->device ? engine->output : lane->output;
}

void *lk_engine_features(const lk_engine *engine, const lk_lane *lane)
{
    return engine->device && lane->side == LK_SIDE_FROZEN ? engine->features : lane->features;
}

lk_status lk_engine_put(lk_engine *engine, float *to, const float *values, size_t n)
{
    if (engine->device) return engine->device->put(engine->ctx, to, values, n);
    return engine->backend->write(engine->ctx, to, values, n * sizeof *values);
}

lk_status lk_engine_snapshot(lk_engine *engine, void *host, const void *from, size_t nbytes)
{
    const lk_device_calls *device = engine->device;

    if (device) return device->snapshot(engine->ctx, host, from, nbytes);
    memcpy(host, from, nbytes);
    return LK_OK;
}

lk_status lk_engine_snapshot_wait(lk_engine *engine)
{
    const lk_device_calls *device = engine->device;

    return device ? device->snapshot_wait(engine->ctx) : LK_OK;
}
