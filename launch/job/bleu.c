/*
 * The sentences of an evaluation are gathered from its lanes, translated when all are there, for full batches are
 * faster, and counted.
 *
 * The textbook's BLEU-2 is a mean over sentences, of fractions: each is taken as so many 2^-30, whose sums are exact
 * for eight million sentences.
 */
#include "launch/job/bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SENTENCES = 256, ORDER = 2, BITS = 30 };

struct translations {
    int source, source_len;    /* fields */
    sentence *sentences;       /* (room), owned, n of them; as the next */
    int64_t *sample;           /* of the data set */
    int64_t n, room;
};

/* What is added up, in whole numbers. */
typedef struct counts {
    lk_bleu bleu;
    int64_t textbook, n;       /* sum of BLEU-2 in units of 2^-BITS, sentences */
} counts;
enum { N_COUNTS = sizeof(counts) / sizeof(int64_t) };

/* ------------------------------------------------------------------- gathering */

lk_status translations_new(job *j, translations **out)
{
    const lk_sample *sample = lk_model_sample(j->model);

    *out = NULL;
    if (!translations_wanted(j)) return LK_OK;
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    **out = (translations){.source = lk_sample_find(sample, "source"),
                           .source_len = lk_sample_find(sample, "source_len")};
    return LK_OK;
}

void translations_free(translations **t)
{
    if (!*t) return;
    sentences_free(&(*t)->sentences, (*t)->n);
    free((*t)->sample);
    lk_free(t);
}

static lk_status make_room(translations *t, int64_t n)
{
    int64_t room = t->room ? t->room : FIRST_SENTENCES;

    while (room < t->n + n) room *= 2;
    if (room == t->room) return LK_OK;
    sentence *sentences = realloc(t->sentences, (size_t)room * sizeof *sentences);
    LK_TRY_ALLOC(sentences, (size_t)room * sizeof *sentences, "sentences");
    t->sentences = sentences;
    int64_t *sample = realloc(t->sample, (size_t)room * sizeof *sample);
    LK_TRY_ALLOC(sample, (size_t)room * sizeof *sample, "sentences");
    t->sample = sample;
    t->room = room;
    return LK_OK;
}

lk_status translations_add(translations *t, const lk_batch_lane *own)
{
    if (!t) return LK_OK;
    const int32_t *source = own->field[t->source], *length = own->field[t->source_len];

    LK_TRY(make_room(t, own->n));
    for (int64_t i = 0; i < own->n; i++) {
        const size_t nbytes = (size_t)length[i] * sizeof *source;
        sentence *s = &t->sentences[t->n];

        *s = (sentence){.source = malloc(nbytes), .n_source = length[i]};
        LK_TRY_ALLOC(s->source, nbytes);
        memcpy(s->source, source + i * own->length, nbytes);
        t->sample[t->n++] = own->sample[i];
    }
    return LK_OK;
}

/* -------------------------------------------------------------------- counting */

static lk_status compare(const char *translation, const char *reference, counts *sums)
{
    double score;

    LK_TRY(lk_bleu_add(&sums->bleu, translation, reference));
    LK_TRY(lk_bleu_textbook(translation, reference, ORDER, &score));
    sums->textbook += llround(ldexp(score, BITS));
    sums->n++;
    return LK_OK;
}

static lk_status count_sentence(const job *j, const sentence *s, const lk_dataset *dataset, int64_t sample,
                                counts *sums)
{
    char *translation = NULL, *reference = NULL;
    lk_status status = lk_languages_say(j->languages, s->said, s->n_said, &translation);

    if (status == LK_OK) status = lk_dataset_translation(dataset, sample, &reference);
    if (status == LK_OK) status = compare(translation, reference, sums);
    free(reference);
    free(translation);
    return status;
}

static lk_status count_own(job *j, translations *t, const lk_dataset *dataset, const decoder_weights *weights,
                           counts *sums)
{
    const translator translating = job_translator(j, weights);

    LK_TRY(translate(&translating, t->sentences, t->n));
    for (int64_t i = 0; i < t->n; i++)
        LK_TRY(count_sentence(j, &t->sentences[i], dataset, t->sample[i], sums));
    return LK_OK;
}

/* A worker's counts go into its first lane; doubles hold whole numbers up to 2^53. */
static lk_status sum_counts(job *j, counts *sums)
{
    const size_t own = (size_t)(j->lane_end - j->lane_begin);
    double *lanes = calloc(own * N_COUNTS, sizeof *lanes), all[N_COUNTS];
    int64_t each[N_COUNTS];
    lk_status status = job_agree(j, lanes ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: counts of translations"));

    memcpy(each, sums, sizeof each);
    for (int k = 0; status == LK_OK && k < N_COUNTS; k++) lanes[k] = (double)each[k];
    if (status == LK_OK) status = lk_world_sum_lanes(j->world, j->lanes, lanes, N_COUNTS, all);
    for (int k = 0; status == LK_OK && k < N_COUNTS; k++) each[k] = (int64_t)all[k];
    memcpy(sums, each, sizeof each);
    free(lanes);
    return status;
}

lk_status translations_score(job *j, translations *t, const lk_dataset *dataset, const decoder_weights *weights,
                             lk_sums *sums)
{
    counts all = {.n = 0};

    if (!t) return LK_OK;
    LK_TRY(job_agree(j, count_own(j, t, dataset, weights, &all)));
    LK_TRY(sum_counts(j, &all));
    sums->bleu = lk_bleu_score(&all.bleu);
    sums->textbook_bleu2 = ldexp((double)all.textbook, -BITS) / (double)all.n;
    return LK_OK;
}
