/*
 * The loader: batches in order, put together ahead of time.
 *
 * A batch is put together in a slot whose storage is taken once.  Threads take the batches one after another, each
 * into the next free slot, and finish them in any order; they are handed out in theirs.  But where a batch is only
 * a few kilobytes of copying, handing it from thread to thread costs more than making it, and a thread would take
 * a core from a worker, so then there is one slot and lk_loader_next() fills it.  Which of the two is decided at
 * creation, from sizes and from whether samples are read or decoded.
 */
#include "io/data/loader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    AHEAD = 3,               /* slots beside one for each thread: held by the caller, ready, and next */
    CHEAP_BYTES = 64 * 1024, /* about 10 us of copying; a hand-over between threads costs as much */
};

static void advance(lk_loader *l)
{
    if (++l->index < l->n_batches) return;
    l->index = 0;
    l->epoch++;
}

/* --------------------------------------------------------------------- threads */

/* The slot for the next batch; NULL while there is none: all are taken, or one is still being filled for nobody. */
static lk_batch_slot *free_slot(lk_loader *l)
{
    lk_batch_slot *s = &l->slots[(l->first + l->begun) % l->n_slots];

    return l->begun < l->n_slots && !s->busy ? s : NULL;
}

/* With the lock held, which is given away while the slot is filled. */
static void fill_next(lk_loader *l, lk_batch_slot *s)
{
    const int64_t epoch = l->epoch, index = l->index;
    const uint64_t seeks = l->seeks;

    l->begun++;
    advance(l);
    s->busy = true;
    s->ready = false;
    pthread_mutex_unlock(&l->lock);
    lk_batch_fill(l, s, epoch, index);
    pthread_mutex_lock(&l->lock);
    s->busy = false;
    s->ready = seeks == l->seeks;
    pthread_cond_broadcast(s->ready ? &l->is_filled : &l->is_free);
}

static void *read_ahead(void *arg)
{
    lk_loader *l = arg;

    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        lk_batch_slot *s = free_slot(l);
        if (s) fill_next(l, s);
        else pthread_cond_wait(&l->is_free, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static lk_status start_threads(lk_loader *l, int n)
{
    for (; l->n_threads < n; l->n_threads++) {
        const int error = lk_thread_start(&l->thread[l->n_threads], read_ahead, l);

        if (error) return LK_FAIL(LK_ERR_SYSTEM, "cannot start a thread of the loader: %s", strerror(error));
    }
    return LK_OK;
}

static void stop_threads(lk_loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->is_free);
    pthread_mutex_unlock(&l->lock);
    while (l->n_threads > 0) pthread_join(l->thread[--l->n_threads], NULL);
}

/* Gives back the slot that the caller has, and waits for the next. */
static lk_batch_slot *take_filled(lk_loader *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->held) {
        l->slots[l->first].ready = false;
        l->first = (l->first + 1) % l->n_slots;
        l->begun--;
        pthread_cond_broadcast(&l->is_free);
    }
    lk_batch_slot *s = &l->slots[l->first];
    while (l->begun == 0 || !s->ready) pthread_cond_wait(&l->is_filled, &l->lock);
    l->held = true;
    pthread_mutex_unlock(&l->lock);
    return s;
}

/* --------------------------------------------------------------------- batches */

lk_status lk_loader_next(lk_loader *loader, lk_batch *out)
{
    lk_batch_slot *s = &loader->slots[0];

    if (loader->n_threads) {
        s = take_filled(loader);
    } else {
        lk_batch_fill(loader, s, loader->epoch, loader->index);
        advance(loader);
    }
    if (s->status != LK_OK) return LK_FAIL(s->status, "%s", s->message);
    *out = s->batch;
    return LK_OK;
}

lk_status lk_loader_seek(lk_loader *loader, int64_t epoch, int64_t index)
{
    if (epoch < 0 || epoch >= UINT32_MAX || index < 0 || index > loader->n_batches)
        return LK_FAIL(LK_ERR_USAGE, "no batch %lld of epoch %lld: an epoch has %lld batches", (long long)index,
                       (long long)epoch, (long long)loader->n_batches);
    pthread_mutex_lock(&loader->lock);
    loader->epoch = index == loader->n_batches ? epoch + 1 : epoch;
    loader->index = index == loader->n_batches ? 0 : index;
    loader->begun = loader->held ? 1 : 0;
    for (int i = 0; i < loader->n_slots; i++)
        if (!loader->held || i != loader->first) loader->slots[i].ready = false;
    loader->seeks++;
    pthread_cond_broadcast(&loader->is_free);
    pthread_mutex_unlock(&loader->lock);
    return LK_OK;
}

int64_t lk_loader_batches(const lk_loader *loader) { return loader->n_batches; }

int64_t lk_loader_length(const lk_loader *loader) { return lk_dataset_most_length(loader->data); }

int lk_loader_lane_sizes(const lk_loader *loader, int64_t sizes[4])
{
    const lk_loader_spec *spec = &loader->spec;
    const int64_t batches[2] = {lk_batch_size(loader, 0), lk_batch_size(loader, loader->n_batches - 1)};
    int n = 0;

    for (int b = 0; b < 2; b++)
        for (int lane = spec->lane_begin; lane < spec->lane_end; lane++) {
            int64_t begin, end;
            bool known = lk_part_rows(batches[b], lane, spec->lanes, &begin, &end) != LK_OK || begin == end;
            for (int i = 0; i < n; i++) known |= sizes[i] == end - begin;
            assert(known || n < 4); /* two batch sizes, each cut into at most two */
            if (!known) sizes[n++] = end - begin;
        }
    return n;
}

/* -------------------------------------------------------------------- creation */

static lk_status check_spec(const lk_dataset *data, const lk_loader_spec *spec)
{
    if (spec->batch < 1 || spec->lanes < 1)
        return LK_FAIL(LK_ERR_USAGE, "train.batch is %lld and train.lanes %d; both must be at least 1",
                       (long long)spec->batch, spec->lanes);
    if (spec->lane_begin < 0 || spec->lane_begin > spec->lane_end || spec->lane_end > spec->lanes)
        return LK_FAIL(LK_ERR_USAGE, "lanes [%d, %d) are not among the %d lanes", spec->lane_begin, spec->lane_end,
                       spec->lanes);
    if (data->n < 1) return LK_FAIL(LK_ERR_USAGE, "the data set has no samples");
    if (spec->drop_last && data->n < spec->batch)
        return LK_FAIL(LK_ERR_USAGE, "data.drop_last leaves no batch: %lld samples are fewer than train.batch %lld",
                       (long long)data->n, (long long)spec->batch);
    return LK_OK;
}

static lk_status set_up(lk_loader *l)
{
    const int threads = l->spec.threads > 0 ? l->spec.threads : 1;
    const bool cheap = lk_batch_plan(l) <= CHEAP_BYTES && threads == 1 && !l->data->stream && !l->data->pictures;
    const bool alone = cheap || !lk_dataset_may_thread(l->data);

    l->n_slots = alone ? 1 : threads + AHEAD;
    l->slots = calloc((size_t)l->n_slots, sizeof *l->slots);
    LK_TRY_ALLOC(l->slots, (size_t)l->n_slots * sizeof *l->slots);
    for (int i = 0; i < l->n_slots; i++) LK_TRY(lk_batch_alloc(l, &l->slots[i]));
    return alone ? LK_OK : start_threads(l, threads < LK_MOST_THREADS ? threads : LK_MOST_THREADS);
}

lk_status lk_loader_new(const lk_dataset *dataset, const lk_loader_spec *spec, lk_loader **out)
{
    *out = NULL;
    LK_TRY(check_spec(dataset, spec));
    lk_loader *l = calloc(1, sizeof *l);
    LK_TRY_ALLOC(l, sizeof *l);
    l->data = dataset;
    l->spec = *spec;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->is_filled, NULL);
    pthread_cond_init(&l->is_free, NULL);
    const lk_status status = set_up(l);
    if (status == LK_OK) *out = l;
    else lk_loader_free(&l);
    return status;
}

void lk_loader_free(lk_loader **loader)
{
    if (!loader || !*loader) return;
    lk_loader *l = *loader;

    stop_threads(l);
    for (int i = 0; l->slots && i < l->n_slots; i++) lk_batch_free(&l->slots[i]);
    free(l->slots);
    pthread_cond_destroy(&l->is_free);
    pthread_cond_destroy(&l->is_filled);
    pthread_mutex_destroy(&l->lock);
    lk_free(loader);
}

size_t lk_loader_nbytes(const lk_loader *loader)
{
    size_t slot = (size_t)loader->batch_capacity * sizeof(int64_t);

    for (int f = 0; f < LK_MAX_FIELDS; f++) slot += (size_t)loader->n_lanes * loader->stride[f];
    return slot * (size_t)loader->n_slots;
}
