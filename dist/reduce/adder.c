/*
 * The adder: lanes of one worker into the roots of its run of lanes, then the roots of all workers into one sum.
 *
 *     lk_adder_lane()    an arena for the lane; a worker needs about log2(own lanes) + 1 of them
 *     lk_adder_ready()   what the tree adds after this lane is added at once for the slice that is final, while it is
 *                        still in the cache; in the last own lane this completes buckets
 *     lk_adder_finish()  the sum
 *
 * Buckets are summed over workers in one order on all of them.  With several buckets and workers a thread does it
 * (background.c) while the last lane's backward pass goes on; with one there is nothing to hide, and handing over costs
 * more than it saves, so finish does it itself.
 *
 * Arenas on devices: what lanes add up is queued behind them.  By NCCL buckets are queued as they complete and run
 * beside the backward pass; finish only joins the queues.  By MPI finish waits for the device and sums then: in place if
 * MPI reads device memory, else in copies of the roots on the host, where the thread sums one bucket while the next is
 * copied (transport.c chooses).
 */
#include "dist/reduce/adder.h"
#include "dist/reduce/background.h"
#include "dist/reduce/transport.h"

#include <assert.h>
#include <string.h>

struct lk_adder {
    lk_world *world;            /* borrowed */
    lk_mem_space space;         /* of the arenas; its queue is the lanes' */
    lk_transport transport;
    const lk_algorithm *algorithm;
    void *state;                /* owned, the way's; NULL in a world of one */
    float *staged[LK_TREE_DEPTH]; /* owned, page-locked: the roots on the host, where MPI needs them there */
    lk_status status;           /* of what was queued for the current lanes */
    lk_p2p p2p;
    lk_background *background;  /* owned; NULL: finish sums */
    lk_tree_local run;
    float *arena[LK_TREE_DEPTH]; /* borrowed */
    lk_range *bucket;           /* owned, (n_buckets) in order of summing */
    int *by_place;              /* owned: buckets from the front of the arena to its end */
    size_t *missing;            /* owned: elements of each bucket that the last lane has not finished */
    size_t n_buckets, n_elem;
    size_t n_complete;          /* buckets [0, n_complete) are complete */
    int lane;                   /* the current one, or the next before lk_adder_lane() */
    size_t n_ready;             /* elements of the current lane that are final */
    double seconds_waited;
};

/* --------------------------------------------------------------- new and free */

static size_t largest(const lk_range *bucket, size_t n)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++)
        if (bucket[i].end - bucket[i].begin > most) most = bucket[i].end - bucket[i].begin;
    return most;
}

static lk_status copy_buckets(lk_adder *adder, const lk_range *bucket, size_t n)
{
    adder->bucket = lk_alloc(n * sizeof *bucket);
    adder->by_place = lk_alloc(n * sizeof *adder->by_place);
    adder->missing = lk_alloc(n * sizeof *adder->missing);
    if (!adder->bucket || !adder->by_place || !adder->missing)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu buckets", n);
    memcpy(adder->bucket, bucket, n * sizeof *bucket);
    adder->n_buckets = n;

    size_t place = 0;
    for (size_t i = 0; i < n; i++) {
        size_t b = 0;
        while (bucket[b].begin != place) b++;
        adder->by_place[i] = (int)b;
        place = bucket[b].end;
    }
    adder->n_elem = place;
    return LK_OK;
}

/* The roots as the way sees them. */
static float *const *roots_of(const lk_adder *adder) { return adder->staged[0] ? adder->staged : adder->arena; }

static lk_status sum_bucket(void *arg, size_t i)
{
    lk_adder *adder = arg;

    return adder->algorithm->sum(adder->state, roots_of(adder), adder->bucket[i]);
}

static lk_status alloc_staged(lk_adder *adder)
{
    for (int i = 0; i < adder->run.n_roots; i++)
        LK_TRY(lk_engine_host_alloc(adder->space.engine, adder->n_elem * sizeof(float), (void **)&adder->staged[i]));
    return LK_OK;
}

/* How sums go over workers, where there are several. */
static lk_status open_algorithm(lk_adder *adder, int lanes, size_t max_elem)
{
    const lk_mem_space host = {NULL, LK_QUEUE_COMPUTE};
    const bool staged = adder->transport.staged;

    adder->algorithm = adder->transport.algorithm;
    adder->p2p.world = adder->world;
    if (staged) LK_TRY(alloc_staged(adder));
    return adder->algorithm->open(&adder->p2p, staged ? host : adder->space, lanes, max_elem, &adder->state);
}

static lk_status prepare(lk_adder *adder, int lanes, const lk_range *bucket, size_t n_buckets)
{
    int begin, end;

    LK_TRY(lk_world_lanes(adder->world, lanes, &begin, &end));
    LK_TRY(lk_tree_local_new(lanes, begin, end, &adder->run));
    LK_TRY(copy_buckets(adder, bucket, n_buckets));
    adder->lane = begin;
    return LK_OK;
}

static lk_status open_background(lk_adder *adder)
{
    const bool on_host = !lk_mem_space_is_device(adder->space) || adder->staged[0];

    if (adder->n_buckets == 1 || !adder->world->threads || !on_host) return LK_OK;
    adder->p2p.background = true;
    return lk_background_new(sum_bucket, adder, &adder->p2p.hurry, &adder->background);
}

/* Agrees with the others on each step, for the next one may wait for them. */
static lk_status open_adder(lk_adder *adder, lk_reduction kind, int lanes, const lk_range *bucket, size_t n_buckets)
{
    lk_world *world = adder->world;

    LK_TRY(lk_transport_choose(world, adder->space.engine, kind, &adder->transport));
    LK_TRY(lk_world_agree(world, prepare(adder, lanes, bucket, n_buckets)));
    if (world->size == 1) return LK_OK;
    LK_TRY(lk_world_agree(world, open_algorithm(adder, lanes, largest(bucket, n_buckets))));
    return lk_world_agree(world, open_background(adder));
}

lk_status lk_adder_new(lk_world *world, lk_engine *engine, lk_reduction kind, int lanes, const lk_range *bucket,
                       size_t n_buckets, lk_adder **out)
{
    *out = lk_alloc(sizeof **out);
    LK_TRY(lk_world_agree(world, *out ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for a reduction",
                                                        sizeof **out)));
    (*out)->world = world;
    (*out)->space = (lk_mem_space){engine && lk_engine_on_device(engine) ? engine : NULL, LK_QUEUE_COMPUTE};
    const lk_status status = open_adder(*out, kind, lanes, bucket, n_buckets);
    if (status == LK_OK) return LK_OK;
    lk_adder_free(out);
    return lk_trace(status, __FILE__, __LINE__);
}

void lk_adder_free(lk_adder **address)
{
    lk_adder *adder = address ? *address : NULL;

    if (!adder) return;
    lk_background_free(&adder->background);
    if (adder->state) adder->algorithm->close(adder->state);
    for (int i = adder->run.n_roots - 1; i >= 0; i--)
        if (adder->staged[i]) lk_engine_host_release(adder->space.engine, &adder->staged[i]);
    lk_p2p_close(&adder->p2p);
    lk_tree_local_clear(&adder->run);
    lk_free(&adder->bucket);
    lk_free(&adder->by_place);
    lk_free(&adder->missing);
    lk_free(address);
}

int lk_adder_n_arenas(const lk_adder *adder) { return adder->run.n_buffers; }

void lk_adder_set_arenas(lk_adder *adder, float *const *arena)
{
    memcpy(adder->arena, arena, (size_t)adder->run.n_buffers * sizeof *arena);
}

/* ----------------------------------------------------------------------- lanes */

static float *arena_of_lane(const lk_adder *adder)
{
    return adder->arena[adder->run.buffer[adder->lane - adder->run.begin]];
}

static bool is_last_lane(const lk_adder *adder) { return adder->lane == adder->run.end - 1; }

/* The current lane is done; the next one is due. */
static void close_lane(lk_adder *adder)
{
    assert(adder->n_ready == adder->n_elem); /* the engine says of every element that it is final, once */
    adder->n_ready = 0;
    adder->lane++;
}

lk_status lk_adder_lane(lk_adder *adder, int lane, float **grads)
{
    if (adder->n_ready > 0) close_lane(adder);
    assert(lane == adder->lane && lane < adder->run.end);
    if (is_last_lane(adder)) {
        adder->n_complete = 0;
        for (size_t i = 0; i < adder->n_buckets; i++)
            adder->missing[i] = adder->bucket[i].end - adder->bucket[i].begin;
    }
    *grads = arena_of_lane(adder);
    return LK_OK;
}

lk_status lk_adder_empty_lane(lk_adder *adder)
{
    LK_TRY(lk_mem_space_zero(adder->space, arena_of_lane(adder), adder->n_elem));
    lk_adder_ready(adder, 0, adder->n_elem);
    return LK_OK;
}

/* Place in by_place of the bucket that holds an element. */
static size_t bucket_at(const lk_adder *adder, size_t element)
{
    size_t low = 0, high = adder->n_buckets;

    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (adder->bucket[adder->by_place[middle]].begin <= element)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void complete_buckets(lk_adder *adder, size_t begin, size_t end)
{
    for (size_t p = bucket_at(adder, begin); begin < end; p++) {
        const int b = adder->by_place[p];
        const size_t until = adder->bucket[b].end < end ? adder->bucket[b].end : end;

        assert(adder->missing[b] >= until - begin);
        adder->missing[b] -= until - begin;
        begin = until;
    }
    const size_t before = adder->n_complete;
    while (adder->n_complete < adder->n_buckets && adder->missing[adder->n_complete] == 0) adder->n_complete++;
    if (adder->background && !adder->staged[0] && adder->n_complete > before)
        lk_background_post(adder->background, adder->n_complete);
    if (!adder->state || !adder->algorithm->queues) return;
    for (size_t i = before; i < adder->n_complete && adder->status == LK_OK; i++) adder->status = sum_bucket(adder, i);
}

void lk_adder_ready(lk_adder *adder, size_t begin, size_t end)
{
    const lk_tree_local *run = &adder->run;
    const int i = adder->lane - run->begin;

    if (adder->status == LK_OK)
        adder->status = lk_mem_space_apply(adder->space, run->add + run->first_add[i],
                                           run->first_add[i + 1] - run->first_add[i], adder->arena, begin, end);
    adder->n_ready += end - begin;
    if (is_last_lane(adder)) complete_buckets(adder, begin, end);
}

/* ---------------------------------------------------------------------- finish */

static lk_status copy_roots(lk_adder *adder, lk_range bucket)
{
    const size_t nbytes = (bucket.end - bucket.begin) * sizeof(float);

    for (int r = 0; r < adder->run.n_roots; r++)
        LK_TRY(lk_engine_read(adder->space.engine, adder->staged[r] + bucket.begin, adder->arena[r] + bucket.begin,
                              nbytes));
    return LK_OK;
}

/* Copies of the roots are summed, one bucket while the next is copied, and the sum goes back. */
static lk_status sum_staged(lk_adder *adder)
{
    for (size_t i = 0; i < adder->n_buckets; i++) {
        LK_TRY(copy_roots(adder, adder->bucket[i]));
        if (adder->background) lk_background_post(adder->background, i + 1);
        else LK_TRY(sum_bucket(adder, i));
    }
    if (adder->background) LK_TRY(lk_background_wait(adder->background, adder->n_buckets));
    return lk_engine_write(adder->space.engine, adder->arena[0], adder->staged[0], adder->n_elem * sizeof(float));
}

static lk_status sum_all(lk_adder *adder)
{
    if (adder->staged[0]) return sum_staged(adder);
    if (adder->background) return lk_background_wait(adder->background, adder->n_buckets);
    for (size_t i = 0; i < adder->n_buckets; i++) LK_TRY(sum_bucket(adder, i));
    return LK_OK;
}

/* The same, timed and under the watchdog's eyes. */
static lk_status wait_for_sum(lk_adder *adder)
{
    const double start = lk_seconds();

    lk_wait_begin(adder->world);
    const lk_status status = sum_all(adder);
    lk_wait_end(adder->world);
    adder->seconds_waited += lk_seconds() - start;
    return status;
}

lk_status lk_adder_finish(lk_adder *adder, const float **sum)
{
    close_lane(adder);
    assert(adder->lane == adder->run.end && adder->n_complete == adder->n_buckets);
    adder->lane = adder->run.begin;
    *sum = adder->arena[0];
    LK_TRY(adder->status);
    if (!adder->state) return LK_OK;
    if (adder->algorithm->queues) return lk_engine_after(adder->space.engine, LK_QUEUE_COMPUTE, LK_QUEUE_REDUCE);
    LK_TRY(lk_mem_space_sync(adder->space)); /* own work, not a wait for others */
    return wait_for_sum(adder);
}

void lk_adder_get_stats(const lk_adder *adder, lk_reducer_stats *out)
{
    *out = (lk_reducer_stats){
        .n_buckets = adder->n_buckets,
        .n_arenas = adder->run.n_buffers,
        .bytes_sent = atomic_load(&adder->p2p.bytes_sent),
        .seconds_waited = adder->seconds_waited,
        .transport = adder->transport.name,
    };
}
