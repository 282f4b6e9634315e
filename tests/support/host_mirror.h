/*
 * Arrays that a test reads and writes in host memory while a backend works on them in its own.
 *
 *     mirrors m;
 *     mirrors_open(&m, backend, ctx);
 *     float *g = host_mirror_new(&m, n * sizeof *g);               here; the backend's is there(&m, g)
 *     THERE(&m, backend->ema(ctx, there(&m, ema), ...))       sends all arrays, calls, fetches all
 *     mirrors_close(&m);
 *
 * Where a backend works in host memory here and there are the same, and nothing is copied.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include "tests/support/backend_under_test.h"

enum { MOST_MIRRORS = 64 };

typedef struct host_mirror {
    char *here, *there;
    size_t nbytes;
} host_mirror;

typedef struct mirrors {
    const lk_backend *backend;
    void *ctx;
    host_mirror all[MOST_MIRRORS];
    int n;
} mirrors;

#define host_mirror_ok(expr) cr_assert_eq((expr), LK_OK, "%s (%s)", lk_error_message(), lk_error_trace())

static inline void mirrors_open(mirrors *m, const lk_backend *backend, void *ctx)
{
    *m = (mirrors){.backend = backend, .ctx = ctx};
}

/* Zeroed. */
static inline void *host_mirror_new(mirrors *m, size_t nbytes)
{
    host_mirror *new = &m->all[m->n++];

    cr_assert_leq(m->n, MOST_MIRRORS);
    new->nbytes = nbytes;
    host_mirror_ok(m->backend->alloc(m->ctx, nbytes, (void **)&new->there));
    new->here = m->backend->device ? lk_alloc(nbytes) : new->there;
    cr_assert(new->here);
    return new->here;
}

static inline void host_mirror_drop(mirrors *m, int i)
{
    host_mirror *old = &m->all[i];

    if (m->backend->device) lk_free(&old->here);
    m->backend->release(m->ctx, old->there);
    *old = m->all[--m->n];
}

/* Takes the address of the pointer and leaves NULL. */
static inline void host_mirror_free(mirrors *m, void *address_of_pointer)
{
    char **here = address_of_pointer;

    for (int i = 0; i < m->n; i++)
        if (m->all[i].here == *here) host_mirror_drop(m, i);
    *here = NULL;
}

static inline void mirrors_close(mirrors *m)
{
    while (m->n) host_mirror_drop(m, m->n - 1);
}

/* Where the backend sees what is `here`; NULL for NULL. */
static inline void *there(const mirrors *m, const void *here)
{
    const char *at = here;

    for (int i = 0; at && i < m->n; i++)
        if (at == m->all[i].here || (at > m->all[i].here && at < m->all[i].here + m->all[i].nbytes))
            return m->all[i].there + (at - m->all[i].here);
    cr_assert(!at || !m->backend->device, "an array without a mirror");
    return (void *)at;
}

static inline void mirrors_send(mirrors *m)
{
    for (int i = 0; m->backend->device && i < m->n; i++)
        host_mirror_ok(m->backend->write(m->ctx, m->all[i].there, m->all[i].here, m->all[i].nbytes));
}

static inline void mirrors_fetch(mirrors *m)
{
    for (int i = 0; m->backend->device && i < m->n; i++)
        host_mirror_ok(m->backend->read(m->ctx, m->all[i].here, m->all[i].there, m->all[i].nbytes));
}

/* A call on what is there, with the arrays sent before and fetched after it; its status. */
#define THERE(m, call)                        \
    ({                                        \
        mirrors_send(m);                      \
        const lk_status there_ = (call);      \
        if (there_ == LK_OK) mirrors_fetch(m); \
        there_;                               \
    })

#endif
