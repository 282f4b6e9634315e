/*
 * Translations in an evaluation: each worker translates the sentences of its lanes, the likeliest word each time, and
 * compares them with the data's.  A translation does not depend on those beside it, and what is summed are whole
 * numbers, so the metrics are the same on any number of workers.
 */
#ifndef LK_BLEU_H
#define LK_BLEU_H

#include "launch/decode/translate.h"
#include "launch/launch.h"

/* translator.c.  Whether some metric wants translations.  Local, as the next two. */
bool       translations_wanted(const job *j);
/* A translator of the job's network, greedy. */
translator job_translator(job *j, const decoder_weights *weights);
/* Makes ready for translations, once the loaders of what is evaluated are there: j->translation_bytes, and whether the
 * network can translate.  Nothing where no metric wants them.  Errors: LK_ERR_USAGE. */
lk_status translations_open(job *j);

/* What an evaluation is to translate. */
typedef struct translations translations;

/* *out stays NULL where no metric wants translations.  Local, as the next two. */
lk_status translations_new(job *j, translations **out);
void      translations_free(translations **t);
/* The sentences of a lane; t may be NULL. */
lk_status translations_add(translations *t, const lk_batch_lane *own);
/* Translates them under these weights and puts what all workers' come to into sums; t may be NULL, and is on all
 * workers or on none.  Collective. */
lk_status translations_score(job *j, translations *t, const lk_dataset *dataset, const decoder_weights *weights,
                             lk_sums *sums);

#endif
