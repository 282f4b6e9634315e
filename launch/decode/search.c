/*
 * Search over a decoder's rows: sentence s has the `beam` rows from s * beam on, of which the first `live` hold what
 * may still go on, the likeliest first.
 *
 * At each step the likeliest continuations of all of these together are taken, as many as the beam is wide.  One that
 * ends leaves the beam, which is narrower from then on, and is kept if its score is the best so far; the sentence is
 * done when none is left (Sutskever, Vinyals and Le, 2014, section 3.2).  What was not allowed to end counts only where
 * nothing ended.  A beam of one is the likeliest word each time, and asks for no probabilities.  Of equals the first
 * is taken: the earlier row, the smaller token.
 */
#include "launch/decode/search.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row and a token behind it. */
typedef struct candidate { double sum; int64_t row; int32_t token; } candidate;

/* One sentence on its way. */
typedef struct group {
    sentence *of;          /* borrowed */
    int64_t width, live;   /* rows that it may use yet, and uses */
    double best;           /* score of what it says now; nothing yet: of->said is NULL */
} group;

typedef struct searching {
    decoder *d;            /* borrowed, as the next */
    const search_spec *spec;
    int64_t rows, most, step;
    group *groups;         /* (n_groups), owned; as is all here */
    int64_t n_groups;
    int32_t *said, *spare; /* (rows, most): tokens of each row so far; spare: of the step that is being made */
    double *sum, *spare_sum; /* (rows): of their log probabilities */
    int32_t *next;         /* (rows): the last of them */
    int64_t *from;         /* (rows): whose copy each row goes on as */
    candidate *found;      /* (beam), the likeliest first */
    int32_t *source, *source_len;
} searching;

/* ------------------------------------------------------------------ candidates */

/* log of the sum of e^z over one row. */
static double log_sum_exp(const float *z, size_t V)
{
    float largest = z[0];
    double sum = 0.0;

    for (size_t v = 1; v < V; v++)
        if (z[v] > largest) largest = z[v];
    for (size_t v = 0; v < V; v++) sum += exp((double)(z[v] - largest));
    return (double)largest + log(sum);
}

/* Keeps the first `most` of all that were offered. */
static int64_t offer(candidate *found, int64_t n, int64_t most, candidate one)
{
    int64_t place = n < most ? n : most;

    while (place > 0 && one.sum > found[place - 1].sum) place--;
    if (place == most) return n;
    const int64_t behind = (n < most ? n : most - 1) - place;
    memmove(found + place + 1, found + place, (size_t)behind * sizeof *found);
    found[place] = one;
    return n < most ? n + 1 : most;
}

/* The likeliest continuations of a group, as many as it is wide; returns how many there are. */
static int64_t find_candidates(searching *s, int64_t first, const group *g, const float *logits)
{
    const size_t V = decoder_n_tokens(s->d);
    int64_t n = 0;

    for (int64_t row = first; row < first + g->live; row++) {
        const float *z = logits + (size_t)row * V;
        /* What one row says needs no measure that others have, too. */
        const double before = s->spec->beam > 1 ? s->sum[row] - log_sum_exp(z, V) : 0.0;

        for (size_t v = 0; v < V; v++) {
            const double sum = before + (double)z[v];
            if (n < g->width || sum > s->found[g->width - 1].sum)
                n = offer(s->found, n, g->width, (candidate){sum, row, (int32_t)v});
        }
    }
    return n;
}

/* ---------------------------------------------------------------------- groups */

static lk_status keep(sentence *of, const int32_t *said, int64_t n)
{
    free(of->said);
    of->said = malloc((size_t)(n + 1) * sizeof *of->said); /* none is a translation, too */
    LK_TRY_ALLOC(of->said, (size_t)(n + 1) * sizeof *of->said);
    memcpy(of->said, said, (size_t)n * sizeof *said);
    of->n_said = n;
    return LK_OK;
}

/* A translation of n words whose log probabilities over n_tokens come to sum. */
static lk_status consider(const searching *s, group *g, const int32_t *said, int64_t n, int64_t n_tokens, double sum)
{
    const double score = sum / pow((double)n_tokens, s->spec->length_penalty);

    if (g->of->said && !(score > g->best)) return LK_OK;
    g->best = score;
    return keep(g->of, said, n);
}

/* A row takes over what a candidate says, one token longer. */
static void put_row(searching *s, int64_t row, const candidate *c)
{
    int32_t *said = s->spare + row * s->most;

    memcpy(said, s->said + c->row * s->most, (size_t)s->step * sizeof *said);
    said[s->step] = s->next[row] = c->token;
    s->spare_sum[row] = c->sum;
    s->from[row] = c->row;
}

static lk_status advance(searching *s, int64_t number, const float *logits)
{
    group *g = &s->groups[number];
    const int64_t first = number * s->spec->beam, n = find_candidates(s, first, g, logits);

    g->live = 0;
    for (int64_t i = 0; i < n; i++) {
        const candidate *c = &s->found[i];

        if (c->token != s->spec->eos) {
            put_row(s, first + g->live++, c);
            continue;
        }
        LK_TRY(consider(s, g, s->said + c->row * s->most, s->step, s->step + 1, c->sum));
        g->width--;
    }
    return LK_OK;
}

/* What may not grow any longer. */
static lk_status cut(searching *s, int64_t number)
{
    group *g = &s->groups[number];
    const int64_t first = number * s->spec->beam;

    if (g->of->said) return LK_OK;
    for (int64_t row = first; row < first + g->live; row++)
        LK_TRY(consider(s, g, s->said + row * s->most, s->most, s->most, s->sum[row]));
    return LK_OK;
}

/* ----------------------------------------------------------------------- search */

static lk_status encode(searching *s, int64_t length)
{
    for (int64_t row = 0; row < s->rows; row++) {
        const int64_t number = row / s->spec->beam;
        const sentence *of = number < s->n_groups ? s->groups[number].of : NULL;
        int32_t *to = s->source + row * length;

        for (int64_t i = 0; i < length; i++) to[i] = of && i < of->n_source ? of->source[i] : s->spec->pad;
        s->source_len[row] = of ? (int32_t)of->n_source : 1;
        s->next[row] = s->spec->bos;
    }
    return decoder_encode(s->d, s->source, s->source_len, length);
}

/* One token more; *going: some sentence wants another. */
static lk_status take_step(searching *s, bool *going)
{
    const float *logits;

    *going = false;
    LK_TRY(decoder_step(s->d, s->next, 1, &logits));
    for (int64_t row = 0; row < s->rows; row++) s->from[row] = row;
    for (int64_t g = 0; g < s->n_groups; g++) {
        if (s->groups[g].live > 0) LK_TRY(advance(s, g, logits));
        *going |= s->groups[g].live > 0;
    }
    int32_t *const said = s->said;
    double *const sum = s->sum;
    s->said = s->spare, s->spare = said;
    s->sum = s->spare_sum, s->spare_sum = sum;
    return *going && s->spec->beam > 1 ? decoder_reorder(s->d, s->from) : LK_OK;
}

static lk_status take_steps(searching *s, int64_t length)
{
    bool going = true;

    LK_TRY(encode(s, length));
    for (s->step = 0; going && s->step < s->most; s->step++) LK_TRY(take_step(s, &going));
    for (int64_t g = 0; g < s->n_groups; g++) LK_TRY(cut(s, g));
    return LK_OK;
}

static lk_status make_room(searching *s, int64_t length)
{
    const size_t rows = (size_t)s->rows, tokens = rows * (size_t)s->most;

    s->groups = calloc((size_t)s->n_groups, sizeof *s->groups);
    s->said = calloc(tokens, sizeof *s->said);
    s->spare = calloc(tokens, sizeof *s->spare);
    s->sum = calloc(rows, sizeof *s->sum);
    s->spare_sum = calloc(rows, sizeof *s->spare_sum);
    s->next = calloc(rows, sizeof *s->next);
    s->from = calloc(rows, sizeof *s->from);
    s->found = calloc((size_t)s->spec->beam, sizeof *s->found);
    s->source = calloc(rows * (size_t)length, sizeof *s->source);
    s->source_len = calloc(rows, sizeof *s->source_len);
    if (s->groups && s->said && s->spare && s->sum && s->spare_sum && s->next && s->from && s->found && s->source &&
        s->source_len)
        return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %lld translations", (long long)s->n_groups);
}

static void clear(searching *s)
{
    free(s->source_len);
    free(s->source);
    free(s->found);
    free(s->from);
    free(s->next);
    free(s->spare_sum);
    free(s->sum);
    free(s->spare);
    free(s->said);
    free(s->groups);
}

lk_status search(decoder *d, const search_spec *spec, sentence *const *sentences, int64_t n, int64_t length,
                 int64_t most)
{
    searching s = {.d = d, .spec = spec, .rows = decoder_rows(d), .most = most, .n_groups = n};

    assert(n >= 1 && n * spec->beam <= s.rows);
    lk_status status = make_room(&s, length);
    for (int64_t g = 0; status == LK_OK && g < n; g++)
        s.groups[g] = (group){.of = sentences[g], .width = spec->beam, .live = 1};
    if (status == LK_OK) status = take_steps(&s, length);
    clear(&s);
    return status;
}
