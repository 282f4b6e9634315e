/*
 * The exchange: buckets are summed over workers in one order on all of them.
 *
 * With several buckets and workers a thread does it (background.c) while the last lane's backward pass goes on; with
 * one there is nothing to hide, and handing over costs more than it saves, so finish does it itself.
 *
 * Roots on devices: by NCCL buckets are queued as they complete and run beside the backward pass; finish only joins the
 * queues.  By MPI finish waits for the device and sums then: in place if MPI reads device memory, else in copies of the
 * roots on the host, where the thread sums one bucket while the next is copied (transport.c chooses).
 */
#include "dist/reduce/exchange.h"

#include "dist/world/wait.h"

static bool is_staged(const lk_exchange *x) { return x->staged[0] != NULL; }

/* Statistics and slots, which are the first bucket of a sharded run, everybody needs whole. */
static bool is_shared_out(const lk_exchange *x, size_t bucket) { return x->shards && bucket > 0; }

static lk_status sum_bucket(void *arg, size_t i)
{
    lk_exchange *x = arg;

    float *const *root = is_staged(x) ? x->staged : x->root;

    lk_heartbeat_set_bucket(x->world, i + 1, x->buckets->n);
    x->p2p.halves = x->buckets->bucket[i].end <= x->buckets->apart;
    if (is_shared_out(x, i)) LK_TRY(x->transport.algorithm->scatter(x->state, root, lk_shard_borders(x->shards, i)));
    else LK_TRY(x->transport.algorithm->sum(x->state, root, x->buckets->bucket[i]));
    lk_heartbeat_set_bucket(x->world, 0, 0);
    return LK_OK;
}

/* ------------------------------------------------------------ open and close */

static lk_status alloc_staged(lk_exchange *x)
{
    for (int i = 0; i < x->n_roots; i++)
        LK_TRY(lk_engine_host_alloc(x->space.engine, x->buckets->n_elem * sizeof(float), (void **)&x->staged[i]));
    return LK_OK;
}

/* What an evenly cut bucket asks for beside others. */
static void lengthen(lk_lengths *l, size_t bucket, int size)
{
    const lk_range all = {0, bucket};
    const size_t part = lk_range_part(all, 0, size).end, middle = lk_range_part(all, size / 2, size).begin;
    const size_t half = middle > bucket - middle ? middle : bucket - middle;

    if (part > l->part) l->part = part;
    if (half > l->half) l->half = half;
}

static lk_lengths longest(const lk_exchange *x)
{
    lk_lengths l = {.bucket = lk_buckets_longest(x->buckets), .scatters = x->shards};

    if (!x->shards) {
        lengthen(&l, l.bucket, x->world->size);
        return l;
    }
    lk_shards_longest(x->shards, &l.part, &l.half);
    lengthen(&l, x->buckets->bucket[0].end - x->buckets->bucket[0].begin, x->world->size);
    return l;
}

/* Sharded gradients travel over MPI alone, in the tree. */
static lk_status check_shards(const lk_exchange *x)
{
    if (!x->shards || (x->transport.algorithm->scatter && !lk_mem_space_is_device(x->space))) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "dist.shard: optimizer goes with engine cpu and dist.reduction: tree; leave it out, "
                   "or set these");
}

static lk_status open_algorithm(lk_exchange *x, int lanes)
{
    const lk_mem_space host = {NULL, LK_QUEUE_COMPUTE, false};
    const lk_lengths lengths = longest(x);

    x->p2p.world = x->world;
    x->p2p.may_halve = x->buckets->apart > 0;
    if (x->transport.staged) LK_TRY(alloc_staged(x));
    return x->transport.algorithm->open(&x->p2p, x->transport.staged ? host : x->space, lanes, &lengths, &x->state);
}

size_t lk_exchange_nbytes(const lk_exchange *x)
{
    const size_t copies = is_staged(x) ? (size_t)x->n_roots * x->buckets->n_elem * sizeof(float) : 0;

    return copies + lk_p2p_nbytes(&x->p2p) + (x->state ? x->transport.algorithm->nbytes(x->state) : 0);
}

static lk_status open_background(lk_exchange *x)
{
    const bool on_host = !lk_mem_space_is_device(x->space) || is_staged(x);

    if (x->buckets->n == 1 || !x->world->threads || !on_host) return LK_OK;
    x->p2p.background = true;
    return lk_background_new(sum_bucket, x, &x->p2p.hurry, &x->background);
}

/* Agrees with the others on each step, for the next one may wait for them. */
lk_status lk_exchange_open(lk_exchange *x, lk_reduction kind, int lanes)
{
    LK_TRY(lk_transport_choose(x->world, x->space.engine, kind, &x->transport));
    LK_TRY(lk_world_agree(x->world, check_shards(x)));
    if (x->world->size == 1) return LK_OK;
    LK_TRY(lk_world_agree(x->world, open_algorithm(x, lanes)));
    return lk_world_agree(x->world, open_background(x));
}

void lk_exchange_close(lk_exchange *x)
{
    lk_background_free(&x->background);
    if (x->state) x->transport.algorithm->close(x->state);
    for (int i = x->n_roots - 1; i >= 0; i--)
        if (x->staged[i]) lk_engine_host_release(x->space.engine, &x->staged[i]);
    lk_p2p_close(&x->p2p);
}

/* -------------------------------------------------------------------- summing */

lk_status lk_exchange_post(lk_exchange *x, size_t before, size_t n_complete)
{
    if (!x->state || n_complete == before) return LK_OK;
    if (x->background && !is_staged(x)) lk_background_post(x->background, n_complete);
    if (!x->transport.algorithm->queues) return LK_OK;
    for (size_t i = before; i < n_complete; i++) LK_TRY(sum_bucket(x, i));
    return LK_OK;
}

static lk_status copy_roots(lk_exchange *x, lk_range bucket)
{
    const size_t nbytes = (bucket.end - bucket.begin) * sizeof(float);

    for (int r = 0; r < x->n_roots; r++)
        LK_TRY(lk_engine_read(x->space.engine, x->staged[r] + bucket.begin, x->root[r] + bucket.begin, nbytes));
    return LK_OK;
}

/* Copies of the roots are summed, one bucket while the next is copied, and the sum goes back. */
static lk_status sum_staged(lk_exchange *x)
{
    const lk_buckets *b = x->buckets;

    for (size_t i = 0; i < b->n; i++) {
        LK_TRY(copy_roots(x, b->bucket[i]));
        if (x->background) lk_background_post(x->background, i + 1);
        else LK_TRY(sum_bucket(x, i));
    }
    if (x->background) LK_TRY(lk_background_wait(x->background, b->n));
    return lk_engine_write(x->space.engine, x->root[0], x->staged[0], b->n_elem * sizeof(float));
}

static lk_status sum_all(lk_exchange *x)
{
    if (is_staged(x)) return sum_staged(x);
    if (x->background) return lk_background_wait(x->background, x->buckets->n);
    for (size_t i = 0; i < x->buckets->n; i++) LK_TRY(sum_bucket(x, i));
    return LK_OK;
}

/* The same, timed and under the watchdog's eyes. */
static lk_status wait_for_sum(lk_exchange *x)
{
    const double start = lk_seconds();

    lk_wait_begin(x->world, LK_AWAITS_SUMS);
    const lk_status status = sum_all(x);
    lk_wait_end(x->world);
    x->seconds_waited += lk_seconds() - start;
    return status;
}

lk_status lk_exchange_finish(lk_exchange *x)
{
    if (!x->state) return LK_OK;
    if (x->transport.algorithm->queues) return lk_engine_after(x->space.engine, LK_QUEUE_COMPUTE, LK_QUEUE_REDUCE);
    LK_TRY(lk_mem_space_sync(x->space)); /* own work, not a wait for others */
    return wait_for_sum(x);
}

static lk_status gather_all(lk_exchange *x, float *array)
{
    for (size_t i = x->buckets->n; i-- > 0;)
        if (is_shared_out(x, i))
            LK_TRY(x->transport.algorithm->gather(x->state, array, lk_shard_borders(x->shards, i)));
    return LK_OK;
}

lk_status lk_exchange_gather(lk_exchange *x, float *array)
{
    const double start = lk_seconds();

    if (!x->state) return LK_OK;
    lk_wait_begin(x->world, "the other workers' new weights");
    x->p2p.halves = false; /* weights stay fp32 */
    atomic_store(&x->p2p.hurry, true); /* the communication thread has nothing to do now */
    const lk_status status = gather_all(x, array);
    atomic_store(&x->p2p.hurry, false);
    lk_wait_end(x->world);
    x->seconds_waited += lk_seconds() - start;
    return status;
}
