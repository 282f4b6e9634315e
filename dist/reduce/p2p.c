/*
 * Messages of the reduction.
 *
 * In the foreground they are waited for as everything is (wait.c), but for a look at whose are missing.  In the
 * background MPI must not wait: it spins, and the core is the backward pass's.  So the communication thread looks a few
 * times (each look moves long messages on), sleeps for a moment, and looks again; once the main thread is waiting for
 * it, it only gives way.
 *
 * Numbers that were rounded to bf16 are packed on the way out and unpacked when the round is complete.
 */
#include "dist/reduce/p2p.h"

#include "dist/reduce/bf16.h"
#include "dist/world/wait.h"

#include <assert.h>
#include <time.h>

enum { TAG_GRADIENTS = 1, LOOKS_A_NAP = 16, NAP_NS = 20000, LOOKS_TO_NAME = 1024 };

static lk_status reserve_packed(lk_p2p *p2p, int messages, size_t n_elem)
{
    p2p->unpack = lk_alloc((size_t)messages * sizeof *p2p->unpack);
    p2p->packed = lk_alloc(n_elem * sizeof *p2p->packed);
    p2p->packed_capacity = n_elem;
    return p2p->unpack && p2p->packed ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu numbers in bf16", n_elem);
}

lk_status lk_p2p_reserve(lk_p2p *p2p, int messages, size_t n_elem)
{
    p2p->request = lk_alloc((size_t)messages * sizeof *p2p->request);
    p2p->peer = lk_alloc((size_t)messages * sizeof *p2p->peer);
    if (!p2p->request || !p2p->peer) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %d messages", messages);
    p2p->capacity = messages;
    return p2p->may_halve ? reserve_packed(p2p, messages, n_elem) : LK_OK;
}

size_t lk_p2p_nbytes(const lk_p2p *p2p) { return p2p->packed_capacity * sizeof *p2p->packed; }

void lk_p2p_close(lk_p2p *p2p)
{
    lk_free(&p2p->packed);
    lk_free(&p2p->unpack);
    lk_free(&p2p->request);
    lk_free(&p2p->peer);
}

/* Room for n more values of this round. */
static uint16_t *take_packed(lk_p2p *p2p, size_t n)
{
    uint16_t *place = p2p->packed + p2p->n_packed;

    p2p->n_packed += n;
    assert(p2p->n_packed <= p2p->packed_capacity);
    return place;
}

lk_status lk_p2p_send(lk_p2p *p2p, const float *from, size_t n_elem, int to)
{
    lk_world *world = p2p->world;
    const size_t each = p2p->halves ? sizeof *p2p->packed : sizeof *from;
    const void *what = from;

    assert(p2p->n < p2p->capacity && n_elem <= LK_P2P_MAX_ELEM);
    if (p2p->halves) {
        what = take_packed(p2p, n_elem);
        lk_bf16_pack((uint16_t *)what, from, n_elem);
    }
    LK_MPI(world, MPI_Isend(what, (int)n_elem, p2p->halves ? MPI_UINT16_T : MPI_FLOAT, world->rank_at[to],
                            TAG_GRADIENTS, world->reduce_comm, &p2p->request[p2p->n]));
    p2p->peer[p2p->n++] = world->rank_at[to];
    atomic_fetch_add_explicit(&p2p->bytes_sent, (int64_t)(n_elem * each), memory_order_relaxed);
    return LK_OK;
}

lk_status lk_p2p_receive(lk_p2p *p2p, float *into, size_t n_elem, int from)
{
    lk_world *world = p2p->world;
    void *place = into;

    assert(p2p->n < p2p->capacity && n_elem <= LK_P2P_MAX_ELEM);
    if (p2p->halves) {
        place = take_packed(p2p, n_elem);
        p2p->unpack[p2p->n_unpack++] = (lk_p2p_unpack){into, place, n_elem};
    }
    LK_MPI(world, MPI_Irecv(place, (int)n_elem, p2p->halves ? MPI_UINT16_T : MPI_FLOAT, world->rank_at[from],
                            TAG_GRADIENTS, world->reduce_comm, &p2p->request[p2p->n]));
    p2p->peer[p2p->n++] = world->rank_at[from];
    return LK_OK;
}

/* Whose messages are missing, for who asks why all wait: one worker, or several (-1). */
static lk_status name_missing(lk_p2p *p2p)
{
    int missing = -1;

    for (int i = 0; i < p2p->n; i++) {
        int done = 0;

        LK_MPI(p2p->world, MPI_Request_get_status(p2p->request[i], &done, MPI_STATUS_IGNORE));
        if (done) continue;
        if (missing >= 0 && missing != p2p->peer[i]) return LK_OK;
        missing = p2p->peer[i];
    }
    lk_heartbeat_set_peer(p2p->world, missing);
    return LK_OK;
}

/* Names are looked for at looks that double in number: seldom, and never later than after twice the time. */
static bool is_time_to_name(int look) { return look >= LOOKS_TO_NAME && (look & (look - 1)) == 0; }

static lk_status poll_until_done(lk_p2p *p2p)
{
    const struct timespec nap = {0, NAP_NS};

    for (int look = 1, hurried = 0;; look++) {
        int done = 0;

        LK_MPI(p2p->world, MPI_Testall(p2p->n, p2p->request, &done, MPI_STATUSES_IGNORE));
        if (done) return LK_OK;
        if (is_time_to_name(look)) LK_TRY(name_missing(p2p));
        if (!p2p->background || atomic_load_explicit(&p2p->hurry, memory_order_relaxed))
            lk_give_way(p2p->world, hurried++);
        else if (look % LOOKS_A_NAP == 0)
            nanosleep(&nap, NULL);
    }
}

/* The one worker of all messages of this round, or -1. */
static int only_peer(const lk_p2p *p2p)
{
    for (int i = 1; i < p2p->n; i++)
        if (p2p->peer[i] != p2p->peer[0]) return -1;
    return p2p->n > 0 ? p2p->peer[0] : -1;
}

lk_status lk_p2p_complete(lk_p2p *p2p)
{
    lk_heartbeat_set_peer(p2p->world, only_peer(p2p));
    if (p2p->background || p2p->world->looks)
        LK_TRY(poll_until_done(p2p));
    else
        LK_TRY(lk_wait_all(p2p->world, p2p->n, p2p->request));
    for (int i = 0; i < p2p->n_unpack; i++)
        lk_bf16_unpack(p2p->unpack[i].into, p2p->unpack[i].from, p2p->unpack[i].n);
    p2p->n_packed = 0;
    p2p->n_unpack = p2p->n = 0;
    return LK_OK;
}

lk_status lk_p2p_all_reduce(lk_p2p *p2p, float *values, size_t n_elem)
{
    lk_world *world = p2p->world;

    assert(p2p->n < p2p->capacity && n_elem <= LK_P2P_MAX_ELEM);
    atomic_fetch_add_explicit(&p2p->bytes_sent, (int64_t)(n_elem * sizeof *values), memory_order_relaxed);
    if (!p2p->background && !world->shares_cores) {
        LK_MPI(world, MPI_Allreduce(MPI_IN_PLACE, values, (int)n_elem, MPI_FLOAT, MPI_SUM, world->reduce_comm));
        return LK_OK;
    }
    LK_MPI(world, MPI_Iallreduce(MPI_IN_PLACE, values, (int)n_elem, MPI_FLOAT, MPI_SUM, world->reduce_comm,
                                 &p2p->request[p2p->n]));
    p2p->peer[p2p->n++] = -1;
    return lk_p2p_complete(p2p);
}
