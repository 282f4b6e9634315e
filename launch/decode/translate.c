/*
 * Sentences of about one length are translated together.  Kernels may choose by shapes how they sum, so shapes follow
 * from the sentence alone: a batch always has as many rows, some of them idle, and its length is the sentence's own
 * rounded up.  That costs a short batch some time, and makes a translation's bits its own.
 *
 * The most words that a translation may have, where training does not say: its source's and 50 more (Vaswani et al.,
 * 2017, section 6.1).
 */
#include "launch/decode/translate.h"

#include <stdlib.h>

enum { ROWS = 64, LENGTH_STEP = 16, MOST_MORE = 50 };

/* Sentences in the order of their lengths, equal ones as they came. */
typedef struct queue { sentence **at; int64_t n; } queue;

static int by_length(const void *a, const void *b)
{
    const sentence *x = *(sentence *const *)a, *y = *(sentence *const *)b;

    if (x->n_source != y->n_source) return x->n_source < y->n_source ? -1 : 1;
    return (x > y) - (x < y); /* of one array */
}

static int64_t length_of(const translator *t, int64_t n_source)
{
    const int64_t length = (n_source + LENGTH_STEP - 1) / LENGTH_STEP * LENGTH_STEP;

    return t->steps && length > t->steps ? t->steps : length;
}

static int64_t most_of(const translator *t, int64_t length) { return t->steps ? t->steps : length + MOST_MORE; }

/* A decoder of sources of this length. */
static lk_status open_decoder(const translator *t, int64_t length, decoder **out)
{
    const int64_t rows = t->search.beam > ROWS ? t->search.beam : ROWS;

    return decoder_new(t->engine, t->model, &t->weights, rows, most_of(t, length), out);
}

lk_status translate_compile(const translator *t, int64_t n_source, size_t *nbytes)
{
    const int64_t length = length_of(t, n_source);
    decoder *d;

    LK_TRY(open_decoder(t, length, &d));
    const lk_status status = decoder_compile(d, length);
    *nbytes = decoder_nbytes(d);
    decoder_free(&d);
    return status;
}

/* The sentences of one length, from `first` on. */
static int64_t count_alike(const translator *t, const queue *q, int64_t first)
{
    const int64_t length = length_of(t, q->at[first]->n_source);
    int64_t n = 1;

    while (first + n < q->n && length_of(t, q->at[first + n]->n_source) == length) n++;
    return n;
}

static lk_status translate_alike(const translator *t, sentence *const *sentences, int64_t n)
{
    const int64_t length = length_of(t, sentences[0]->n_source);
    lk_status status = LK_OK;
    decoder *d;

    LK_TRY(open_decoder(t, length, &d));
    const int64_t at_once = decoder_rows(d) / t->search.beam;
    for (int64_t i = 0; i < n && status == LK_OK; i += at_once) {
        if (t->progress) t->progress(t->arg);
        status = search(d, &t->search, sentences + i, n - i < at_once ? n - i : at_once, length,
                        most_of(t, length));
    }
    decoder_free(&d);
    return status;
}

lk_status translate(const translator *t, sentence *sentences, int64_t n)
{
    queue q = {.at = calloc((size_t)n + 1, sizeof *q.at)};
    lk_status status = LK_OK;

    LK_TRY_ALLOC(q.at, (size_t)n * sizeof *q.at);
    for (int64_t i = 0; i < n; i++)
        if (sentences[i].n_source > 0) q.at[q.n++] = &sentences[i];
    qsort(q.at, (size_t)q.n, sizeof *q.at, by_length);
    for (int64_t i = 0, alike; i < q.n && status == LK_OK; i += alike) {
        alike = count_alike(t, &q, i);
        status = translate_alike(t, q.at + i, alike);
    }
    free(q.at);
    return status;
}

void sentences_free(sentence **sentences, int64_t n)
{
    for (int64_t i = 0; *sentences && i < n; i++) {
        free((*sentences)[i].source);
        free((*sentences)[i].said);
    }
    lk_free(sentences);
}
