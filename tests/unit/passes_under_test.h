/*
 * The passes over arenas of the backend under test, on host arrays: a device's are copied there and back around each
 * pass, so tests read like those of the CPU.
 */
#ifndef PASSES_UNDER_TEST_H
#define PASSES_UNDER_TEST_H

#include "tests/unit/backend_under_test.h"

/* A host array's twin on the device; the array itself on the CPU. */
static inline void *pass_send(const lk_backend *b, void *ctx, const void *host, size_t nbytes)
{
    void *there = NULL;

    if (!b->device || !host) return (void *)host;
    cr_assert_eq(b->alloc(ctx, nbytes, &there), LK_OK, "%s", lk_error_message());
    cr_assert_eq(b->write(ctx, there, host, nbytes), LK_OK, "%s", lk_error_message());
    return there;
}

static inline void pass_fetch(const lk_backend *b, void *ctx, void *host, void *there, size_t nbytes)
{
    if (!b->device || !host) return;
    cr_assert_eq(b->read(ctx, host, there, nbytes), LK_OK, "%s", lk_error_message());
    b->release(ctx, there);
}

static inline lk_status pass_update(const lk_backend *b, void *ctx, const lk_update *update)
{
    const size_t nbytes = update->n_elem * sizeof(float);
    lk_update u = *update;

    u.params = pass_send(b, ctx, update->params, nbytes);
    u.grads = pass_send(b, ctx, update->grads, nbytes);
    u.ema = pass_send(b, ctx, update->ema, nbytes);
    for (int i = 0; i < 3; i++) u.state[i] = pass_send(b, ctx, update->state[i], nbytes);
    const lk_status status = b->update(ctx, &u);
    for (int i = 0; i < 3; i++) pass_fetch(b, ctx, update->state[i], u.state[i], nbytes);
    pass_fetch(b, ctx, update->ema, u.ema, nbytes);
    pass_fetch(b, ctx, update->params, u.params, nbytes);
    if (b->device) b->release(ctx, (void *)u.grads);
    return status;
}

/* n_elem: of both arrays. */
static inline lk_status pass_ema(const lk_backend *b, void *ctx, float *ema, const float *params, size_t n_elem,
                                 size_t begin, size_t end, lk_ema_mode mode, float decay)
{
    const size_t nbytes = n_elem * sizeof(float);
    float *e = pass_send(b, ctx, ema, nbytes);
    const float *p = pass_send(b, ctx, params, nbytes);
    const lk_status status = b->ema(ctx, e, p, begin, end, mode, decay);

    pass_fetch(b, ctx, ema, e, nbytes);
    if (b->device) b->release(ctx, (void *)p);
    return status;
}

static inline lk_status pass_grad_norm(const lk_backend *b, void *ctx, const float *grads, size_t n_elem,
                                       float clip_value, double *norm, bool *finite)
{
    const float *g = pass_send(b, ctx, grads, n_elem * sizeof *grads);
    const lk_status status = b->grad_norm(ctx, g, n_elem, clip_value, norm, finite);

    if (b->device) b->release(ctx, (void *)g);
    return status;
}

static inline lk_status pass_running(const lk_backend *b, void *ctx, float *running, const float *stat, size_t n_elem,
                                     float momentum, float lanes)
{
    const size_t nbytes = n_elem * sizeof *running;
    float *r = pass_send(b, ctx, running, nbytes);
    const float *s = pass_send(b, ctx, stat, nbytes);
    const lk_status status = b->running(ctx, r, s, n_elem, momentum, lanes);

    pass_fetch(b, ctx, running, r, nbytes);
    if (b->device) b->release(ctx, (void *)s);
    return status;
}

#endif
