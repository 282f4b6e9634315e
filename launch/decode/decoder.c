/* The engine's programs encode and decode, with their cache and its position. */
#include "launch/decode/decoder.h"

#include <stdlib.h>
#include <string.h>

struct decoder {
    lk_engine *engine;       /* borrowed, as the model's parameters are */
    decoder_weights weights;
    lk_cache *cache;         /* owned */
    int64_t rows, capacity, position;
    size_t n_tokens;
    int tokens, source, source_len; /* fields; the last two -1: the network has no encoder */
    int32_t *lengths;        /* (rows), owned: of the sources that were encoded */
    float *logits;           /* owned, room for n_logits */
    size_t n_logits;
};

static lk_status find_fields(decoder *d, const lk_model *model)
{
    const lk_sample *sample = lk_model_sample(model);
    const int target = lk_sample_find(sample, "target_in");

    d->source = lk_sample_find(sample, "source");
    d->source_len = lk_sample_find(sample, "source_len");
    d->tokens = target >= 0 ? target : lk_sample_find(sample, "tokens");
    if (d->tokens >= 0 && (d->source < 0) == (d->source_len < 0)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "model.kind: this network does not go on with what it has said: it reads neither "
                   "`source`, `source_len` and `target_in` nor `tokens`");
}

static lk_status set_up(decoder *d, const lk_model *model)
{
    LK_TRY(find_fields(d, model));
    d->n_tokens = lk_model_n_row(model);
    d->lengths = calloc((size_t)d->rows, sizeof *d->lengths);
    LK_TRY_ALLOC(d->lengths, (size_t)d->rows * sizeof *d->lengths);
    return lk_cache_new(d->engine, d->rows, d->capacity, &d->cache);
}

lk_status decoder_new(lk_engine *engine, const lk_model *model, const decoder_weights *weights, int64_t rows,
                      int64_t capacity, decoder **out)
{
    decoder *d = calloc(1, sizeof *d);

    *out = NULL;
    LK_TRY_ALLOC(d, sizeof *d);
    *d = (decoder){.engine = engine, .weights = *weights, .rows = rows, .capacity = capacity};
    const lk_status status = set_up(d, model);
    if (status == LK_OK) *out = d;
    else decoder_free(&d);
    return status;
}

void decoder_free(decoder **d)
{
    if (!d || !*d) return;
    lk_free(&(*d)->logits);
    free((*d)->lengths);
    lk_cache_free(&(*d)->cache);
    lk_free(d);
}

int64_t decoder_rows(const decoder *d) { return d->rows; }
int64_t decoder_capacity(const decoder *d) { return d->capacity; }
int64_t decoder_position(const decoder *d) { return d->position; }
size_t decoder_nbytes(const decoder *d) { return lk_cache_nbytes(d->cache); }
size_t decoder_n_tokens(const decoder *d) { return d->n_tokens; }

lk_status decoder_compile(decoder *d, int64_t length)
{
    lk_program program = {.mode = LK_ENCODE, .n = d->rows, .length = length, .cache = d->cache};

    if (length > 0) LK_TRY(lk_engine_compile(d->engine, &program));
    program.mode = LK_DECODE;
    program.length = 1;
    return lk_engine_compile(d->engine, &program);
}

static lk_lane lane_of(const decoder *d, lk_mode mode, int64_t length)
{
    return (lk_lane){.mode = mode, .n = d->rows, .length = length, .params = d->weights.params,
                     .params_version = d->weights.version, .cache = d->cache};
}

void decoder_restart(decoder *d) { d->position = 0; }

lk_status decoder_encode(decoder *d, const int32_t *source, const int32_t *source_len, int64_t length)
{
    lk_lane lane = lane_of(d, LK_ENCODE, length);

    if (d->source < 0)
        return LK_FAIL(LK_ERR_USAGE, "model.kind: this network has no encoder: it reads no `source`");
    memcpy(d->lengths, source_len, (size_t)d->rows * sizeof *d->lengths);
    lane.field[d->source] = source;
    lane.field[d->source_len] = d->lengths;
    decoder_restart(d);
    return lk_engine_run(d->engine, &lane);
}

static lk_status make_room(decoder *d, int64_t length)
{
    const size_t n = (size_t)d->rows * (size_t)length * d->n_tokens;

    if (n <= d->n_logits) return LK_OK;
    lk_free(&d->logits);
    d->n_logits = 0;
    d->logits = lk_alloc(n * sizeof *d->logits);
    LK_TRY_ALLOC(d->logits, n * sizeof *d->logits, "logits");
    d->n_logits = n;
    return LK_OK;
}

lk_status decoder_step(decoder *d, const int32_t *tokens, int64_t length, const float **logits)
{
    lk_lane lane = lane_of(d, LK_DECODE, length);

    LK_TRY(make_room(d, length));
    lane.field[d->tokens] = tokens;
    if (d->source_len >= 0) lane.field[d->source_len] = d->lengths;
    lane.position = d->position;
    lane.output = d->logits;
    LK_TRY(lk_engine_run(d->engine, &lane));
    d->position += length;
    *logits = d->logits;
    return LK_OK;
}

lk_status decoder_reorder(decoder *d, const int64_t *from) { return lk_cache_reorder(d->cache, from); }
