/*
 * What is in a batch.
 *
 * Batch b of epoch e is positions [b * batch, min((b + 1) * batch, N)) of the epoch's order (shuffle.c, or where
 * batches are made by length by_length.c); lane l of
 * it is lk_part_rows(n, l, lanes).  So a batch is a function of (e, b) alone: the workers need no agreement, a
 * seek is an assignment, and it does not matter which thread fills it.  Every lane begins on a cache line,
 * whatever lanes a worker owns.
 */
#include <stdio.h>
#include <stdlib.h>

#include "io/data/loader.h"

enum { LINE_BYTES = 64 /* a cache line */ };

int64_t lk_batch_size(const lk_loader *l, int64_t index)
{
    const int64_t left = l->data->n - index * l->spec.batch;

    return left < l->spec.batch ? left : l->spec.batch;
}

/* --------------------------------------------------------------------- filling */

/* In the order of the batch, whoever asks: the same sum on every worker. */
static double count_terms(const lk_loader *l, const lk_batch_slot *s, int64_t n)
{
    double terms = 0.0;

    if (l->sample_terms >= 0) return (double)n * l->sample_terms;
    for (int64_t i = 0; i < n; i++) terms += lk_dataset_terms(l->data, &l->spec.loss, s->sample[i]);
    return terms;
}

/* On every worker the same, whatever lanes it has. */
static int64_t count_steps(const lk_loader *l, const lk_batch_slot *s, int64_t n)
{
    size_t longest = 1;

    if (l->spec.loss.reduction != LK_LOSS_SEQUENCE) return 0;
    if (l->data->length > 0) return l->data->length;
    if (l->sample_terms >= 0) return (int64_t)lk_dataset_target_elems(l->data, 0);
    for (int64_t i = 0; i < n; i++) {
        const size_t steps = lk_dataset_target_elems(l->data, s->sample[i]);
        if (steps > longest) longest = steps;
    }
    return (int64_t)longest;
}

/* Samples at positions of an epoch. */
static void order_range(const lk_loader *l, lk_batch_slot *s, int64_t epoch, int64_t begin, int64_t n, int64_t *sample)
{
    if (l->spec.buckets > 0) lk_by_length_range(&s->by_length, &s->order, epoch, begin, n, sample);
    else lk_shuffle_range(&s->order, epoch, begin, n, sample);
}

/* The sample in front of a lane's first is of the lane before, or the batch's last. */
static lk_status mix_lane(const lk_loader *l, lk_batch_slot *s, const lk_draw *draw, int64_t begin, int64_t n,
                          void *const field[])
{
    const int64_t place = begin > 0 ? begin - 1 : s->batch.n - 1;
    int64_t sample;

    order_range(l, s, s->batch.epoch, s->batch.index * l->spec.batch + place, 1, &sample);
    LK_TRY(l->data->fetch(l->data, draw, &sample, 1, 0, s->front, &s->easel));
    lk_dataset_mix(l->data, &s->mixing, n, field, s->front);
    return LK_OK;
}

static lk_status fill_lane(const lk_loader *l, lk_batch_slot *s, int i, int64_t begin, int64_t end)
{
    const lk_draw draw = {.seed = l->spec.seed, .epoch = s->batch.epoch, .train = l->spec.train};
    const int64_t *sample = s->sample + begin;
    const lk_field_map *map = &l->spec.fields;
    lk_batch_lane *lane = &s->lane[i];
    void *field[LK_MAX_FIELDS] = {0};

    *lane = (lk_batch_lane){.n = end - begin, .sample = sample};
    if (lane->n > 0) lane->length = lk_dataset_lane_length(l->data, sample, lane->n);
    for (int f = 0; f < l->data->sample.n_fields; f++)
        if (s->field[f]) field[f] = s->field[f] + (size_t)i * l->stride[f];
    for (int f = 0; f < map->n; f++) lane->field[f] = map->from[f] < 0 ? NULL : field[map->from[f]];
    LK_TRY(l->data->fetch(l->data, &draw, sample, lane->n, lane->length, field, &s->easel));
    return l->mixes && lane->n > 0 ? mix_lane(l, s, &draw, begin, lane->n, field) : LK_OK;
}

/* Own rows of a batch of n; all of them where loss terms are counted. */
static lk_status own_rows(const lk_loader *l, int64_t n, int64_t *begin, int64_t *end)
{
    int64_t unused;

    *begin = 0;
    *end = l->sample_terms < 0 ? n : 0;
    if (l->sample_terms < 0 || l->n_lanes == 0) return LK_OK;
    LK_TRY(lk_part_rows(n, l->spec.lane_begin, l->spec.lanes, begin, &unused));
    return lk_part_rows(n, l->spec.lane_end - 1, l->spec.lanes, &unused, end);
}

/* Where only targets are wanted, nothing is read. */
static bool wants_x(const lk_loader *l) { return l->data->x_field >= 0 && l->stride[l->data->x_field] > 0; }

static lk_status fill(const lk_loader *l, lk_batch_slot *s, int64_t epoch, int64_t index)
{
    const lk_loader_spec *spec = &l->spec;
    const int64_t n = lk_batch_size(l, index), first = index * spec->batch;
    int64_t begin, end;

    s->batch =
        (lk_batch){.epoch = epoch, .index = index, .n = n, .last = index == l->n_batches - 1, .lane = s->lane};
    LK_TRY(own_rows(l, n, &begin, &end));
    order_range(l, s, epoch, first + begin, end - begin, s->sample + begin);
    s->batch.n_terms = count_terms(l, s, n);
    s->batch.steps = count_steps(l, s, n);
    if (l->mixes) lk_mixing_draw(&l->data->view[true], &(lk_draw){spec->seed, epoch, true}, index, &s->mixing);
    for (int i = 0; i < l->n_lanes; i++) {
        LK_TRY(lk_part_rows(n, spec->lane_begin + i, spec->lanes, &begin, &end));
        LK_TRY(fill_lane(l, s, i, begin, end));
    }
    return wants_x(l) ? lk_dataset_read_ahead(l->data, &s->order, epoch, first, n) : LK_OK;
}

void lk_batch_fill(const lk_loader *l, lk_batch_slot *s, int64_t epoch, int64_t index)
{
    s->status = fill(l, s, epoch, index);
    if (s->status != LK_OK) snprintf(s->message, sizeof s->message, "%s", lk_error_message());
}

/* --------------------------------------------------------------------- storage */

/* Loss terms of every sample alike; -1 where some element of a target is none, or weighs otherwise. */
static double terms_a_sample(const lk_dataset *data, const lk_loss_spec *loss)
{
    const size_t n_elem = lk_dataset_target_elems(data, 0);

    for (int64_t i = 0; i < data->n; i++) {
        if (lk_dataset_target_elems(data, i) != n_elem) return -1.0;
        if (lk_dataset_terms(data, loss, i) != (double)n_elem) return -1.0;
    }
    return (double)n_elem;
}

static size_t round_up(size_t nbytes) { return (nbytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES; }

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
        const size_t one = lk_field_nbytes(&sample->field[f], lk_dataset_most_length(l->data));
        l->stride[f] = round_up((size_t)l->lane_capacity * one);
        nbytes += l->stride[f];
    }
    return nbytes;
}

size_t lk_batch_plan(lk_loader *l)
{
    const lk_loader_spec *spec = &l->spec;
    const int64_t n = l->data->n;

    l->n_batches = spec->drop_last ? n / spec->batch : (n + spec->batch - 1) / spec->batch;
    l->batch_capacity = lk_batch_size(l, 0);
    l->lane_capacity = (l->batch_capacity + spec->lanes - 1) / spec->lanes;
    l->n_lanes = spec->lane_end - spec->lane_begin;
    l->mixes = spec->train && lk_view_mixes(&l->data->view[true]);
    l->sample_terms = terms_a_sample(l->data, &spec->loss);
    return (size_t)l->n_lanes * set_strides(l);
}

static int64_t length_of(const void *dataset, int64_t sample) { return lk_dataset_lane_length(dataset, &sample, 1); }

static lk_status init_order(const lk_loader *l, lk_batch_slot *s)
{
    const lk_loader_spec *spec = &l->spec;
    const int64_t n = l->data->n, used = spec->drop_last ? l->n_batches * spec->batch : n;

    LK_TRY(lk_shuffle_init(&s->order, n, spec->shuffle, spec->seed, l->data->block, l->data->window));
    if (spec->buckets == 0) return LK_OK;
    return lk_by_length_init(&s->by_length, used, spec->batch, spec->buckets, length_of, l->data,
                           lk_dataset_most_length(l->data));
}

lk_status lk_batch_alloc(const lk_loader *l, lk_batch_slot *s)
{
    const size_t lanes = (size_t)l->n_lanes;

    for (int f = 0; f < l->data->sample.n_fields; f++) {
        if (!l->stride[f]) continue;
        s->field[f] = lk_alloc(lanes * l->stride[f]);
        LK_TRY_ALLOC(s->field[f], lanes * l->stride[f]);
        const size_t one = l->mixes ? lk_field_nbytes(&l->data->sample.field[f], 0) : 0;
        if (one) s->front[f] = lk_alloc(one);
        if (one) LK_TRY_ALLOC(s->front[f], one);
    }
    s->sample = lk_alloc((size_t)l->batch_capacity * sizeof *s->sample);
    LK_TRY_ALLOC(s->sample, (size_t)l->batch_capacity * sizeof *s->sample);
    s->lane = lk_alloc(lanes * sizeof *s->lane);
    LK_TRY_ALLOC(s->lane, lanes * sizeof *s->lane);
    LK_TRY(lk_dataset_ready(l->data, &s->easel));
    return init_order(l, s);
}

void lk_batch_free(lk_batch_slot *s)
{
    lk_by_length_clear(&s->by_length);
    lk_shuffle_clear(&s->order);
    lk_easel_clear(&s->easel);
    lk_free(&s->lane);
    lk_free(&s->sample);
    for (int f = 0; f < LK_MAX_FIELDS; f++) {
        lk_free(&s->front[f]);
        lk_free(&s->field[f]);
    }
}
