/* Vocabularies: different texts and their numbers, and which words of sentences get one. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "io/text/text.h"

enum { FIRST_WORDS = 16, FIRST_COUNTS = 1024 };

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

/* With a NUL behind them, and whatever is in them. */
static char *copy_bytes(const char *text, size_t nbytes)
{
    char *copy = malloc(nbytes + 1);

    if (!copy) return NULL;
    memcpy(copy, text, nbytes);
    copy[nbytes] = '\0';
    return copy;
}

int64_t lk_vocabulary_find(const lk_vocabulary *vocabulary, const char *text, size_t nbytes)
{
    word *w = NULL;

    if (vocabulary) HASH_FIND(hh, vocabulary->by_text, text, nbytes, w);
    return w ? w->number : -1;
}

int64_t lk_vocabulary_add_bytes(lk_vocabulary **vocabulary, const char *text, size_t nbytes)
{
    const int64_t number = lk_vocabulary_find(*vocabulary, text, nbytes);

    if (number >= 0) return number;
    if (!*vocabulary && !(*vocabulary = calloc(1, sizeof **vocabulary))) return -1;
    lk_vocabulary *v = *vocabulary;
    word *w = calloc(1, sizeof *w);
    if (!w || !(w->text = copy_bytes(text, nbytes)) || !make_room(v)) {
        if (w) free(w->text);
        free(w);
        return -1;
    }
    w->number = v->n;
    v->by_number[v->n++] = w;
    HASH_ADD_KEYPTR(hh, v->by_text, w->text, nbytes, w);
    return w->number;
}

int64_t lk_vocabulary_add(lk_vocabulary **vocabulary, const char *text)
{
    return lk_vocabulary_add_bytes(vocabulary, text, strlen(text));
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

/* ---------------------------------------------------------------------- counts */

lk_status lk_counted_add(lk_counted *c, const char *text, size_t nbytes)
{
    const int64_t number = lk_vocabulary_add_bytes(&c->texts, text, nbytes);

    if (number < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: words of a text");
    if (number >= c->room) {
        const int64_t room = c->room ? 2 * c->room : FIRST_COUNTS;
        int64_t *grown = realloc(c->count, (size_t)room * sizeof *grown);
        LK_TRY_ALLOC(grown, (size_t)room * sizeof *grown, "counts of words");
        memset(grown + c->room, 0, (size_t)(room - c->room) * sizeof *grown);
        c->count = grown;
        c->room = room;
    }
    c->count[number]++;
    return LK_OK;
}

void lk_counted_clear(lk_counted *c)
{
    lk_vocabulary_free(&c->texts);
    lk_free(&c->count);
    c->room = 0;
}

/* ------------------------------------------------------------------- sentences */

#define SPELLED(id, text) [id] = text,
static const char *const specials[] = {LK_SPECIAL_LIST(SPELLED)};

typedef struct counted_word { int64_t number, count; } counted_word;

static int more_frequent(const void *a, const void *b)
{
    const counted_word *x = a, *y = b;

    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static lk_status fill(const lk_vocabulary *counted, const counted_word *order, int64_t n, lk_vocabulary **out)
{
    bool good = true;

    for (int s = 0; s < LK_N_SPECIALS; s++) good &= lk_vocabulary_add(out, specials[s]) == s;
    for (int64_t i = 0; good && i < n; i++)
        good = lk_vocabulary_add(out, lk_vocabulary_text(counted, order[i].number)) >= 0;
    return good ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a vocabulary of %lld words", (long long)n);
}

lk_status lk_vocabulary_choose(const lk_counted *counted, int64_t min_freq, lk_vocabulary **out)
{
    const int64_t n_words = lk_vocabulary_n(counted->texts);
    counted_word *order = calloc((size_t)n_words + 1, sizeof *order);
    int64_t n = 0;

    *out = NULL;
    LK_TRY_ALLOC(order, (size_t)n_words * sizeof *order);
    for (int64_t w = 0; w < n_words; w++)
        if (counted->count[w] >= min_freq) order[n++] = (counted_word){w, counted->count[w]};
    qsort(order, (size_t)n, sizeof *order, more_frequent);
    const lk_status status = fill(counted->texts, order, n, out);
    free(order);
    if (status != LK_OK) lk_vocabulary_free(out);
    return status;
}

int32_t lk_vocabulary_number(const lk_vocabulary *vocabulary, const char *text, size_t nbytes)
{
    const int64_t number = lk_vocabulary_find(vocabulary, text, nbytes);

    return number < LK_N_SPECIALS ? LK_SPECIAL_UNK : (int32_t)number;
}
