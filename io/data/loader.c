/*
 * The loader: from a data set to this worker's lanes of one batch after another.
 *
 * Batch b of epoch e is positions [b * batch, min((b + 1) * batch, N)) of the epoch's order, a keyed bijection of
 * (seed, e, N); lane l of it is lk_part_rows(n, l, lanes).  So a batch is a function of (e, b) alone: the workers
 * need no agreement, and a seek is an assignment.
 *
 * A batch is put together in a slot whose storage is taken once.  A thread keeps DEPTH slots filled ahead; but
 * where a batch is only a few kilobytes of copying, handing it from thread to thread costs more than making it,
 * and a thread would take a core from a worker, so then there is one slot and lk_loader_next() fills it.  Which
 * of the two is decided from sizes at creation.  Every lane begins on a cache line, whatever lanes a worker owns.
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/data/permute.h"

enum {
    DEPTH = 4,
    CHEAP_BYTES = 64 * 1024, /* about 10 us of copying; a hand-over between threads costs as much */
    LINE_BYTES = 64,         /* a cache line */
    MESSAGE_BYTES = 1024,
};

/* One batch and its storage. */
typedef struct slot {
    char *field[LK_MAX_FIELDS]; /* by the data set's fields: (own lanes, stride), owned; NULL: not wanted */
    int64_t *sample;        /* (batch), owned: of the whole global batch where terms are counted, else own rows */
    lk_batch_lane *lane;    /* (own lanes), owned */
    lk_batch batch;
    lk_status status;
    char message[MESSAGE_BYTES];
} slot;

struct lk_loader {
    const lk_dataset *data; /* borrowed */
    lk_loader_spec spec;
    int64_t n_batches;      /* in an epoch */
    int64_t batch_capacity, lane_capacity;
    size_t stride[LK_MAX_FIELDS]; /* of the data set's fields: bytes from one lane to the next; 0: not wanted */
    int n_lanes;            /* own */
    int64_t sample_terms;   /* loss terms of each sample; -1: they differ, so they must be counted */
    int64_t order_epoch;    /* of `order`; -1: none yet.  Used by whoever fills slots */
    lk_permutation order;
    slot slots[DEPTH];
    int n_slots;            /* 1: lk_loader_next() fills it itself */

    /* Guarded by `lock` when there is a thread. */
    int64_t epoch, index;   /* of the batch to be filled next */
    int first, filled;      /* slots [first, first + filled) are filled; the first may be held by the caller */
    bool held, quit;
    uint64_t seeks;         /* so that a batch begun before a seek is thrown away */
    pthread_mutex_t lock;
    pthread_cond_t is_filled, is_free;
    pthread_t thread;
    bool has_thread;
};

/* --------------------------------------------------------------------- filling */

static int64_t batch_size(const lk_loader *l, int64_t index)
{
    const int64_t left = l->data->n - index * l->spec.batch;

    return left < l->spec.batch ? left : l->spec.batch;
}

/* sample[begin, end) of a batch whose first position in the epoch is `first`. */
static void find_samples(lk_loader *l, int64_t epoch, int64_t first, int64_t begin, int64_t end, int64_t *sample)
{
    if (!l->spec.shuffle) {
        for (int64_t i = begin; i < end; i++) sample[i] = first + i;
        return;
    }
    if (l->order_epoch != epoch) {
        lk_permutation_init(&l->order, l->spec.seed, LK_PURPOSE_SHUFFLE, (uint32_t)epoch, l->data->n);
        l->order_epoch = epoch;
    }
    lk_permutation_range(&l->order, first + begin, end - begin, sample + begin);
}

/* Elements of a sample's targets. */
static size_t target_elems(const lk_dataset *data)
{
    size_t n_elem = 0;

    for (int f = 0; f < data->sample.n_fields; f++)
        if (data->sample.field[f].target) n_elem += lk_field_n_elem(&data->sample.field[f], 0);
    return n_elem;
}

static int64_t count_terms(const lk_loader *l, const slot *s, int64_t n)
{
    const size_t n_elem = target_elems(l->data);
    int64_t terms = 0;

    if (l->sample_terms >= 0) return n * l->sample_terms;
    for (int64_t i = 0; i < n; i++)
        terms += lk_loss_count_terms(&l->spec.loss, lk_dataset_target(l->data, s->sample[i]), n_elem);
    return terms;
}

static lk_status fill_lane(const lk_loader *l, slot *s, int i, int64_t begin, int64_t end)
{
    const int64_t *sample = s->sample + begin;
    const lk_field_map *map = &l->spec.fields;
    lk_batch_lane *lane = &s->lane[i];
    void *field[LK_MAX_FIELDS] = {0};

    *lane = (lk_batch_lane){.n = end - begin, .sample = sample};
    for (int f = 0; f < l->data->sample.n_fields; f++)
        if (s->field[f]) field[f] = s->field[f] + (size_t)i * l->stride[f];
    for (int f = 0; f < map->n; f++) lane->field[f] = map->from[f] < 0 ? NULL : field[map->from[f]];
    return l->data->fetch(l->data, sample, lane->n, field);
}

static lk_status fill_lanes(lk_loader *l, slot *s, int64_t epoch, int64_t index)
{
    const lk_loader_spec *spec = &l->spec;
    const int64_t n = batch_size(l, index);
    int64_t begin = 0, end = 0, own_begin, own_end = 0, unused;

    s->batch =
        (lk_batch){.epoch = epoch, .index = index, .n = n, .last = index == l->n_batches - 1, .lane = s->lane};
    if (l->sample_terms < 0 || l->n_lanes == 0) {
        own_begin = 0;
        own_end = l->sample_terms < 0 ? n : 0;
    } else {
        LK_TRY(lk_part_rows(n, spec->lane_begin, spec->lanes, &own_begin, &unused));
        LK_TRY(lk_part_rows(n, spec->lane_end - 1, spec->lanes, &unused, &own_end));
    }
    find_samples(l, epoch, index * spec->batch, own_begin, own_end, s->sample);
    s->batch.n_terms = count_terms(l, s, n);
    for (int i = 0; i < l->n_lanes; i++) {
        LK_TRY(lk_part_rows(n, spec->lane_begin + i, spec->lanes, &begin, &end));
        LK_TRY(fill_lane(l, s, i, begin, end));
    }
    return LK_OK;
}

static void fill_slot(lk_loader *l, slot *s, int64_t epoch, int64_t index)
{
    s->status = fill_lanes(l, s, epoch, index);
    if (s->status != LK_OK) snprintf(s->message, sizeof s->message, "%s", lk_error_message());
}

static void advance(lk_loader *l)
{
    if (++l->index < l->n_batches) return;
    l->index = 0;
    l->epoch++;
}

/* ---------------------------------------------------------------------- thread */

static void *read_ahead(void *arg)
{
    lk_loader *l = arg;

    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (l->filled == l->n_slots) {
            pthread_cond_wait(&l->is_free, &l->lock);
            continue;
        }
        slot *s = &l->slots[(l->first + l->filled) % l->n_slots];
        const int64_t epoch = l->epoch, index = l->index;
        const uint64_t seeks = l->seeks;

        pthread_mutex_unlock(&l->lock);
        fill_slot(l, s, epoch, index);
        pthread_mutex_lock(&l->lock);
        if (seeks != l->seeks) continue;
        l->filled++;
        advance(l);
        pthread_cond_signal(&l->is_filled);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals are the main thread's: it decides when to stop. */
static lk_status start_thread(lk_loader *l)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&l->thread, NULL, read_ahead, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) return LK_FAIL(LK_ERR_SYSTEM, "cannot start the loader's thread: %s", strerror(error));
    l->has_thread = true;
    return LK_OK;
}

static slot *take_filled(lk_loader *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->held) {
        l->first = (l->first + 1) % l->n_slots;
        l->filled--;
        pthread_cond_signal(&l->is_free);
    }
    l->held = false;
    while (l->filled == 0) pthread_cond_wait(&l->is_filled, &l->lock);
    l->held = true;
    slot *s = &l->slots[l->first];
    pthread_mutex_unlock(&l->lock);
    return s;
}

lk_status lk_loader_next(lk_loader *loader, lk_batch *out)
{
    slot *s = &loader->slots[0];

    if (loader->has_thread) {
        s = take_filled(loader);
    } else {
        fill_slot(loader, s, loader->epoch, loader->index);
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
    loader->filled = loader->held ? 1 : 0;
    loader->seeks++;
    pthread_cond_signal(&loader->is_free);
    pthread_mutex_unlock(&loader->lock);
    return LK_OK;
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

/* Loss terms of every sample alike; -1 where some element of a target is none. */
static int64_t terms_a_sample(const lk_dataset *data, const lk_loss_spec *loss)
{
    const size_t n_elem = target_elems(data);

    if (n_elem == 0) return 0;
    for (int64_t i = 0; i < data->n; i++)
        if (lk_loss_count_terms(loss, lk_dataset_target(data, i), n_elem) != (int64_t)n_elem) return -1;
    return (int64_t)n_elem;
}

static size_t round_up(size_t nbytes) { return (nbytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES; }

static lk_status alloc_slot(const lk_loader *l, slot *s)
{
    const size_t lanes = (size_t)l->n_lanes;

    for (int f = 0; f < l->data->sample.n_fields; f++) {
        if (!l->stride[f]) continue;
        s->field[f] = lk_alloc(lanes * l->stride[f]);
        LK_TRY_ALLOC(s->field[f], lanes * l->stride[f]);
    }
    s->sample = lk_alloc((size_t)l->batch_capacity * sizeof *s->sample);
    LK_TRY_ALLOC(s->sample, (size_t)l->batch_capacity * sizeof *s->sample);
    s->lane = lk_alloc(lanes * sizeof *s->lane);
    LK_TRY_ALLOC(s->lane, lanes * sizeof *s->lane);
    return LK_OK;
}

/* Room for a lane of each field that is wanted. */
static size_t set_strides(lk_loader *l)
{
    const lk_sample *sample = &l->data->sample;
    lk_field_map *map = &l->spec.fields;
    size_t nbytes = 0;

    if (map->n == 0)
        for (; map->n < sample->n_fields; map->n++) map->from[map->n] = map->n;
    for (int i = 0; i < map->n; i++) {
        const int f = map->from[i];
        if (f < 0) continue;
        l->stride[f] = round_up((size_t)l->lane_capacity * lk_field_nbytes(&sample->field[f], 0));
        nbytes += l->stride[f];
    }
    return nbytes;
}

static lk_status set_up(lk_loader *l)
{
    const lk_dataset *data = l->data;
    const lk_loader_spec *spec = &l->spec;

    l->n_batches = spec->drop_last ? data->n / spec->batch : (data->n + spec->batch - 1) / spec->batch;
    l->batch_capacity = batch_size(l, 0);
    l->lane_capacity = (l->batch_capacity + spec->lanes - 1) / spec->lanes;
    l->n_lanes = spec->lane_end - spec->lane_begin;
    l->sample_terms = terms_a_sample(data, &spec->loss);
    l->order_epoch = -1;

    const size_t copied = (size_t)l->n_lanes * set_strides(l);
    l->n_slots = copied <= CHEAP_BYTES ? 1 : DEPTH;
    for (int i = 0; i < l->n_slots; i++) LK_TRY(alloc_slot(l, &l->slots[i]));
    return l->n_slots > 1 ? start_thread(l) : LK_OK;
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

static void stop_thread(lk_loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_signal(&l->is_free);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
}

void lk_loader_free(lk_loader **loader)
{
    if (!loader || !*loader) return;
    lk_loader *l = *loader;

    if (l->has_thread) stop_thread(l);
    for (int i = 0; i < DEPTH; i++) {
        lk_free(&l->slots[i].lane);
        lk_free(&l->slots[i].sample);
        for (int f = 0; f < LK_MAX_FIELDS; f++) lk_free(&l->slots[i].field[f]);
    }
    pthread_cond_destroy(&l->is_free);
    pthread_cond_destroy(&l->is_filled);
    pthread_mutex_destroy(&l->lock);
    lk_free(loader);
}

int64_t lk_loader_batches(const lk_loader *loader) { return loader->n_batches; }

int lk_loader_lane_sizes(const lk_loader *loader, int64_t sizes[4])
{
    const lk_loader_spec *spec = &loader->spec;
    const int64_t batches[2] = {batch_size(loader, 0), batch_size(loader, loader->n_batches - 1)};
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
