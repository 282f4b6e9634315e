/*
 * The hash of a data set: of all that training sees of it, so that a changed file is noticed; of picture files their
 * names and sizes, for to read all of them would take as long as an epoch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/data/data.h"

enum { HASHED_SAMPLES = 64, HASHED_AT_ONCE = 1024 };

static void add_array(XXH3_state_t *state, const void *values, size_t nbytes)
{
    const uint64_t length = values ? nbytes : 0;

    XXH3_128bits_update(state, &length, sizeof length);
    if (length) XXH3_128bits_update(state, values, nbytes);
}

/* Of what is not in memory, evenly spaced samples stand for all: reading all would take as long as an epoch. */
static lk_status add_read_samples(XXH3_state_t *state, const lk_dataset *d)
{
    const size_t nbytes = d->n_input * (d->bytes ? sizeof *d->pixels : sizeof *d->x);
    void *sample = malloc(nbytes);
    lk_status status = LK_OK;

    LK_TRY_ALLOC(sample, nbytes);
    add_array(state, &d->block, sizeof d->block);
    add_array(state, &d->window, sizeof d->window);
    for (int64_t i = 0; i < HASHED_SAMPLES && status == LK_OK; i++) {
        status = lk_stream_get(d->stream, i * (d->n - 1) / (HASHED_SAMPLES - 1), sample);
        if (status == LK_OK) add_array(state, sample, nbytes);
    }
    free(sample);
    return status;
}

/* HDF5's bytes as the floats that they once were held as, so that earlier checkpoints know their data. */
static void add_pixels(XXH3_state_t *state, const lk_dataset *d)
{
    const size_t n_elem = (size_t)d->n * d->n_input;
    const uint64_t length = n_elem * sizeof(float);

    if (!d->pixels || d->stats->kind != LK_DATA_HDF5) {
        add_array(state, d->x, length);
        add_array(state, d->pixels, n_elem);
        return;
    }
    XXH3_128bits_update(state, &length, sizeof length);
    for (size_t i = 0; i < n_elem;) {
        float part[HASHED_AT_ONCE];
        size_t k = 0;
        while (k < HASHED_AT_ONCE && i < n_elem) part[k++] = (float)d->pixels[i++];
        XXH3_128bits_update(state, part, k * sizeof *part);
    }
    add_array(state, NULL, 0);
}

static void add_table_field(XXH3_state_t *state, const lk_table_field *f, int64_t n)
{
    const char *begin = lk_table_field_at(f, 0), *end = lk_table_field_at(f, n);

    add_array(state, f->field.name, strlen(f->field.name));
    add_array(state, f->begin, ((size_t)n + 1) * sizeof *f->begin);
    add_array(state, begin, (size_t)(end - begin));
}

static void add_file(void *state, const char *name, int64_t nbytes)
{
    add_array(state, name, strlen(name));
    XXH3_128bits_update(state, &nbytes, sizeof nbytes);
}

static void add_length(void *state, const char *path, int64_t n)
{
    (void)path;
    XXH3_128bits_update(state, &n, sizeof n);
}

/* Some windows, evenly spaced, stand for all: reading all would take as long as an epoch. */
static lk_status add_windows(XXH3_state_t *state, const lk_dataset *d)
{
    const int64_t sequence = lk_windows_sequence(d->windows);
    int32_t *tokens = calloc((size_t)sequence, sizeof *tokens);
    lk_status status = LK_OK;

    LK_TRY_ALLOC(tokens, (size_t)sequence * sizeof *tokens);
    lk_windows_visit(d->windows, add_length, state);
    for (int64_t i = 0; i < HASHED_SAMPLES && status == LK_OK; i++) {
        status = lk_windows_get(d->windows, i * (d->n - 1) / (HASHED_SAMPLES - 1), tokens, NULL);
        add_array(state, tokens, (size_t)sequence * sizeof *tokens);
    }
    free(tokens);
    return status;
}

static lk_status hash(const lk_dataset *dataset, XXH3_state_t *state)
{
    const size_t n = (size_t)dataset->n;

    XXH3_128bits_reset(state);
    add_array(state, &dataset->n, sizeof dataset->n);
    add_array(state, dataset->image, sizeof dataset->image);
    add_pixels(state, dataset);
    add_array(state, dataset->target, n * dataset->n_output * sizeof *dataset->target);
    add_array(state, dataset->label, n * sizeof *dataset->label);
    add_array(state, dataset->stats_json, strlen(dataset->stats_json));
    for (int f = 0; f < dataset->n_fields; f++) add_table_field(state, &dataset->fields[f], dataset->n);
    if (dataset->pictures) lk_pictures_visit(dataset->pictures, add_file, state);
    if (dataset->windows) LK_TRY(add_windows(state, dataset));
    return dataset->stream ? add_read_samples(state, dataset) : LK_OK;
}

static void finish(XXH3_state_t *state, char out[LK_HASH_BYTES])
{
    const XXH128_hash_t value = XXH3_128bits_digest(state);

    XXH3_freeState(state);
    snprintf(out, LK_HASH_BYTES, "%016llx%016llx", (unsigned long long)value.high64, (unsigned long long)value.low64);
}

lk_status lk_dataset_hash(const lk_dataset *dataset, char out[LK_HASH_BYTES])
{
    XXH3_state_t *state = XXH3_createState();

    if (!state) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the hash of a data set");
    const lk_status status = hash(dataset, state);
    finish(state, out);
    return status;
}

/* -------------------------------------------------------------- as it is drawn */

/* One sample's inputs on their way. */
typedef struct drawn {
    void *field[LK_MAX_FIELDS]; /* owned */
    lk_easel easel;
} drawn;

static lk_status take_rooms(const lk_dataset *d, drawn *room)
{
    LK_TRY(lk_dataset_ready(d, &room->easel));
    for (int f = 0; f < d->sample.n_fields; f++) {
        const size_t nbytes = lk_field_nbytes(&d->sample.field[f], lk_dataset_most_length(d));

        if (d->sample.field[f].target) continue;
        room->field[f] = lk_alloc(nbytes);
        LK_TRY_ALLOC(room->field[f], nbytes);
    }
    return LK_OK;
}

static lk_status add_drawn(XXH3_state_t *state, const lk_dataset *d, const lk_draw *draw, drawn *room)
{
    for (int64_t i = 0; i < HASHED_SAMPLES; i++) {
        const int64_t sample = i * (d->n - 1) / (HASHED_SAMPLES - 1), length = lk_dataset_lane_length(d, &sample, 1);

        LK_TRY(d->fetch(d, draw, &sample, 1, length, room->field, &room->easel));
        for (int f = 0; f < d->sample.n_fields; f++)
            if (room->field[f]) add_array(state, room->field[f], lk_field_nbytes(&d->sample.field[f], length));
    }
    return LK_OK;
}

lk_status lk_dataset_hash_drawn(const lk_dataset *dataset, bool train, uint64_t seed, char out[LK_HASH_BYTES])
{
    const lk_draw draw = {.seed = seed, .train = train};
    XXH3_state_t *state = XXH3_createState();
    drawn room = {0};

    if (!state) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the hash of a data set");
    XXH3_128bits_reset(state);
    lk_status status = take_rooms(dataset, &room);
    if (status == LK_OK) status = add_drawn(state, dataset, &draw, &room);
    for (int f = 0; f < LK_MAX_FIELDS; f++) lk_free(&room.field[f]);
    lk_easel_clear(&room.easel);
    finish(state, out);
    return status;
}
