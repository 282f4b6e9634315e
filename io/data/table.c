/* Tables of raw values, and the vocabularies of their categorical columns. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "io/data/data.h"

enum { FIRST_WORDS = 16 };

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

void lk_table_clear(lk_table *table)
{
    if (table->vocabulary)
        for (size_t k = 0; k < table->n_columns; k++) lk_vocabulary_free(&table->vocabulary[k]);
    lk_free(&table->vocabulary);
    lk_free(&table->line);
    lk_free(&table->label);
    lk_free(&table->target);
    lk_free(&table->pixels);
    lk_free(&table->x);
    memset(table, 0, sizeof *table);
}
