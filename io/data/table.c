/* Tables of raw values: numbers, labels, the vocabularies of categorical columns, and which rows validate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "io/data/data.h"
#include "io/data/permute.h"

enum { FIRST_WORDS = 16, STREAM_SPLIT = 16 }; /* of LK_PURPOSE_DATA; the generators have 1 to 4 */

/* ----------------------------------------------------------------- vocabulary */

typedef struct word {
    char *text; /* owned */
    int64_t number;
    UT_hash_handle hh;
} word;

struct lk_vocabulary {
    word *by_text;
    word **by_number;
    int64_t n, capacity;
};

static bool make_room(lk_vocabulary *v)
{
    if (v->n < v->capacity) return true;
    const int64_t capacity = v->capacity ? 2 * v->capacity : FIRST_WORDS;
    word **grown = realloc(v->by_number, (size_t)capacity * sizeof(word *));
    if (!grown) return false;
    v->by_number = grown;
    v->capacity = capacity;
    return true;
}

int64_t lk_vocabulary_add(lk_vocabulary **vocabulary, const char *text)
{
    word *w = NULL;

    if (!*vocabulary && !(*vocabulary = calloc(1, sizeof **vocabulary))) return -1;
    lk_vocabulary *v = *vocabulary;
    HASH_FIND_STR(v->by_text, text, w);
    if (w) return w->number;

    w = calloc(1, sizeof *w);
    if (!w || !(w->text = strdup(text)) || !make_room(v)) {
        if (w) free(w->text);
        free(w);
        return -1;
    }
    w->number = v->n;
    v->by_number[v->n++] = w;
    HASH_ADD_KEYPTR(hh, v->by_text, w->text, strlen(w->text), w);
    return w->number;
}

const char *lk_vocabulary_text(const lk_vocabulary *vocabulary, int64_t number)
{
    return vocabulary->by_number[number]->text;
}

int64_t lk_vocabulary_n(const lk_vocabulary *vocabulary) { return vocabulary ? vocabulary->n : 0; }

void lk_vocabulary_free(lk_vocabulary **vocabulary)
{
    lk_vocabulary *v = *vocabulary;

    if (!v) return;
    HASH_CLEAR(hh, v->by_text);
    for (int64_t i = 0; i < v->n; i++) {
        free(v->by_number[i]->text);
        free(v->by_number[i]);
    }
    free(v->by_number);
    lk_free(vocabulary);
}

/* -------------------------------------------------------------------- numbers */

lk_status lk_numbers_new(size_t n, bool wide, lk_numbers *out)
{
    const size_t nbytes = n * (wide ? sizeof(double) : sizeof(float));

    *out = (lk_numbers){calloc(nbytes ? nbytes : 1, 1), wide};
    LK_TRY_ALLOC(out->at, nbytes);
    return LK_OK;
}

void lk_table_clear(lk_table *table)
{
    if (table->vocabulary)
        for (size_t k = 0; k < table->n_columns; k++) lk_vocabulary_free(&table->vocabulary[k]);
    lk_free(&table->vocabulary);
    lk_free(&table->line);
    lk_vocabulary_free(&table->label_words);
    lk_free(&table->label);
    lk_free(&table->target.at);
    lk_free(&table->pixels);
    lk_free(&table->x.at);
    memset(table, 0, sizeof *table);
}

/* --------------------------------------------------------------------- labels */

lk_status lk_label_check(double value, int32_t ignore_index, const char *where, int32_t *out)
{
    const bool whole = value == floor(value) && value < INT32_MAX;

    if (!whole || (value < 0 && value != ignore_index))
        return LK_FAIL(LK_ERR_DATA, "%s: %.9g is not a label; labels are whole numbers from 0 (or %d: ignored)",
                       where, value, ignore_index);
    *out = (int32_t)value;
    return LK_OK;
}

void lk_label_range(const int32_t *label, int64_t n, int32_t ignore_index, int32_t *low, int32_t *high)
{
    *low = *high = -1;
    for (int64_t i = 0; label && i < n; i++) {
        if (label[i] == ignore_index) continue;
        if (*low < 0 || label[i] < *low) *low = label[i];
        if (label[i] > *high) *high = label[i];
    }
}

/* ---------------------------------------------------------------------- split */

lk_status lk_table_hold_out(const lk_table *table, double fraction, uint64_t seed, bool **held_out)
{
    int64_t n = llround(fraction * (double)table->n);
    lk_permutation order;

    if (table->n < 2)
        return LK_FAIL(LK_ERR_DATA, "%s has %lld sample: too few to set some aside with data.validation_fraction",
                       table->path, (long long)table->n);
    if (n < 1) n = 1;
    if (n > table->n - 1) n = table->n - 1;
    *held_out = calloc((size_t)table->n, sizeof **held_out);
    LK_TRY_ALLOC(*held_out, (size_t)table->n);
    lk_permutation_init(&order, seed, LK_PURPOSE_DATA, STREAM_SPLIT, table->n);
    for (int64_t i = 0; i < n; i++) {
        int64_t place;
        lk_permutation_range(&order, i, 1, &place);
        (*held_out)[place] = true;
    }
    return LK_OK;
}

/* Moves the held out items of *values into a new array and closes the gaps; an absent array stays absent. */
static lk_status split_array(void *address_of_values, size_t nbytes, int64_t n, const bool *held_out,
                             void *address_of_taken)
{
    char **values = address_of_values, **taken = address_of_taken;
    size_t n_taken = 0, n_kept = 0;

    if (!*values) return LK_OK;
    for (int64_t i = 0; i < n; i++) n_taken += held_out[i];
    *taken = malloc(n_taken * nbytes);
    LK_TRY_ALLOC(*taken, n_taken * nbytes);
    n_taken = 0;
    for (int64_t i = 0; i < n; i++) {
        char *to = held_out[i] ? *taken + n_taken++ * nbytes : *values + n_kept++ * nbytes;
        memmove(to, *values + (size_t)i * nbytes, nbytes);
    }
    return LK_OK;
}

lk_status lk_table_split(lk_table *table, size_t n_input, const bool *held_out, lk_table *out)
{
    *out = (lk_table){.path = table->path, .n_columns = table->n_columns, .rows_per_sample = table->rows_per_sample,
                      .n_targets = table->n_targets};
    LK_TRY(split_array(&table->x.at, n_input * sizeof(float), table->n, held_out, &out->x.at));
    LK_TRY(split_array(&table->pixels, n_input, table->n, held_out, &out->pixels));
    LK_TRY(split_array(&table->target.at, table->n_targets * sizeof(float), table->n, held_out, &out->target.at));
    LK_TRY(split_array(&table->label, sizeof *table->label, table->n, held_out, &out->label));
    for (int64_t i = 0; i < table->n; i++) out->n += held_out[i];
    table->n -= out->n;
    return LK_OK;
}
