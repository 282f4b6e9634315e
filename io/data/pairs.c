/*
 * Pairs of sentences: which of them validate, the vocabularies, and the fields that a network reads.
 *
 *     source      the words of the sentence, then <eos>             filled up with <pad>
 *     source_len  how many these are
 *     target_in   <bos>, then the words of its translation          filled up with <pad>
 *     target      these words, then <eos>                           filled up with loss.ignore_index
 *
 * each cut to `steps` where the recipe says so, as the textbook cuts: a sentence that was cut has no <eos>.
 * Source: Zhang, Lipton, Li and Smola, Dive into Deep Learning, build_array_nmt and load_data_nmt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/data/data.h"

enum { FIRST_PAIRS = 1024, FIRST_BYTES = 1 << 16 };

/* ------------------------------------------------------------------- sentences */

static void clear_sentences(lk_sentences *s)
{
    free(s->text);
    free(s->begin);
    *s = (lk_sentences){0};
}

void lk_pairs_free(lk_pairs **pairs)
{
    if (!*pairs) return;
    for (int s = 0; s < LK_N_LANGUAGES; s++) clear_sentences(&(*pairs)->side[s]);
    lk_free(pairs);
}

/* Room for n pairs in all, and nbytes more of text. */
static lk_status make_room(lk_sentences *s, int64_t n, size_t nbytes)
{
    size_t *begin = realloc(s->begin, ((size_t)n + 1) * sizeof *begin);

    LK_TRY_ALLOC(begin, ((size_t)n + 1) * sizeof *begin, "sentences");
    if (!s->begin) begin[0] = 0;
    s->begin = begin;
    if (s->nbytes + nbytes <= s->room) return LK_OK;
    const size_t twice = s->room ? 2 * s->room : FIRST_BYTES, least = s->nbytes + nbytes;
    const size_t room = twice > least ? twice : least;
    char *text = realloc(s->text, room);
    LK_TRY_ALLOC(text, room, "sentences");
    s->text = text;
    s->room = room;
    return LK_OK;
}

static void put(lk_sentences *s, int64_t i, const char *text, size_t nbytes)
{
    if (nbytes) memmove(s->text + s->nbytes, text, nbytes); /* which may be its own, further behind */
    s->nbytes += nbytes;
    s->begin[i + 1] = s->nbytes;
}

lk_status lk_pairs_add(lk_pairs *pairs, const char *const text[LK_N_LANGUAGES], const size_t nbytes[LK_N_LANGUAGES])
{
    if (pairs->n == pairs->room) pairs->room = pairs->room ? 2 * pairs->room : FIRST_PAIRS;
    for (int s = 0; s < LK_N_LANGUAGES; s++) {
        LK_TRY(make_room(&pairs->side[s], pairs->room, nbytes[s]));
        put(&pairs->side[s], pairs->n, text[s], nbytes[s]);
    }
    pairs->n++;
    return LK_OK;
}

const char *lk_pairs_sentence(const lk_pairs *pairs, lk_language side, int64_t i, const char **end)
{
    const lk_sentences *s = &pairs->side[side];

    *end = s->text + s->begin[i + 1];
    return s->text + s->begin[i];
}

lk_status lk_pairs_join(lk_pairs *to, lk_pairs **from)
{
    lk_status status = LK_OK;

    for (int64_t i = 0; i < (*from)->n && status == LK_OK; i++) {
        const char *text[LK_N_LANGUAGES], *end;
        size_t nbytes[LK_N_LANGUAGES];
        for (int s = 0; s < LK_N_LANGUAGES; s++) {
            text[s] = lk_pairs_sentence(*from, s, i, &end);
            nbytes[s] = (size_t)(end - text[s]);
        }
        status = lk_pairs_add(to, text, nbytes);
    }
    lk_pairs_free(from);
    return status;
}

/* Those held out into `out`, which has room for them; the others close up. */
static void split_sentences(lk_pairs *pairs, lk_language side, const bool *held_out, lk_sentences *out)
{
    lk_sentences *s = &pairs->side[side];
    int64_t n_kept = 0, n_taken = 0;

    s->nbytes = 0;
    for (int64_t i = 0; i < pairs->n; i++) {
        const char *end, *text = lk_pairs_sentence(pairs, side, i, &end);

        if (held_out[i]) put(out, n_taken++, text, (size_t)(end - text));
        else put(s, n_kept++, text, (size_t)(end - text));
    }
}

lk_status lk_pairs_split(lk_pairs *pairs, const bool *held_out, lk_pairs **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    for (int64_t i = 0; i < pairs->n; i++) (*out)->n += held_out[i];
    for (int side = 0; side < LK_N_LANGUAGES; side++) {
        lk_sentences *to = &(*out)->side[side];

        if (!pairs->side[side].begin) continue;
        LK_TRY(make_room(to, (*out)->n, pairs->side[side].nbytes));
        split_sentences(pairs, (lk_language)side, held_out, to);
    }
    pairs->n -= (*out)->n;
    return LK_OK;
}

bool lk_pairs_held_out(const lk_pairs *pairs, int64_t i, double fraction, uint64_t seed)
{
    const double range = 18446744073709551616.0; /* 2^64 */
    const char *end, *text = lk_pairs_sentence(pairs, LK_LANGUAGE_SOURCE, i, &end);

    return (double)XXH3_64bits_withSeed(text, (size_t)(end - text), seed) < fraction * range;
}

/* ---------------------------------------------------------------- vocabularies */

static lk_status count_words(const char *at, const char *end, lk_counted *words)
{
    const char *word;
    size_t nbytes;

    for (lk_words_next(&at, end, &word, &nbytes); word; lk_words_next(&at, end, &word, &nbytes))
        LK_TRY(lk_counted_add(words, word, nbytes));
    return LK_OK;
}

static lk_status choose_words(const lk_pairs *p, lk_language side, const bool *held_out, int64_t min_freq,
                              lk_vocabulary **out)
{
    lk_counted words = {0};
    lk_status status = LK_OK;

    for (int64_t i = 0; i < p->n && status == LK_OK; i++) {
        const char *end, *text = lk_pairs_sentence(p, side, i, &end);
        if (!(held_out && held_out[i])) status = count_words(text, end, &words);
    }
    if (status == LK_OK) status = lk_vocabulary_choose(&words, min_freq, out);
    lk_counted_clear(&words);
    return status;
}

lk_status lk_pairs_fit(lk_data_stats *stats, const lk_data_spec *spec, const lk_pairs *pairs, const bool *held_out)
{
    for (int s = 0; s < LK_N_LANGUAGES; s++)
        LK_TRY(choose_words(pairs, s, held_out, spec->min_freq, &stats->words[s]));
    return LK_OK;
}

/* ---------------------------------------------------------------------- fields */

enum { SOURCE, SOURCE_LEN, TARGET_IN, TARGET, N_FIELDS };

static void describe_field(const char *name, const lk_vocabulary *words, int32_t pad, lk_table_field *out)
{
    *out = (lk_table_field){.field = {.dtype = LK_DTYPE_I32, .n_values = lk_vocabulary_n(words)}, .pad = pad};
    memcpy(out->field.name, name, strlen(name) + 1);
    if (words) out->field.ndim = 1, out->field.shape[0] = LK_LENGTH;
}

/* Every sentence's numbers behind those of the one before, cut to `steps`. */
static lk_status encode_all(const lk_pairs *p, lk_language side, lk_coding *coding, lk_table_field *out)
{
    out->begin[0] = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const char *end, *text = lk_pairs_sentence(p, side, i, &end);
        int64_t n;

        LK_TRY(lk_coding_encode(coding, text, (size_t)(end - text), (int32_t *)out->values + out->begin[i], &n));
        out->begin[i + 1] = out->begin[i] + (p->steps && n > p->steps ? p->steps : n);
    }
    return LK_OK;
}

/* A field of one side's numbers. */
static lk_status number_side(const lk_pairs *p, const lk_data_stats *stats, lk_language side, const char *name,
                             int32_t pad, lk_table_field *out)
{
    const size_t room = (p->side[side].nbytes + LK_CODING_MORE * (size_t)p->n) * sizeof(int32_t);
    lk_coding coding = {.words = stats->words[side], .bpe = stats->bpe};

    describe_field(name, stats->words[side], pad, out);
    out->begin = calloc((size_t)p->n + 1, sizeof *out->begin);
    LK_TRY_ALLOC(out->begin, ((size_t)p->n + 1) * sizeof *out->begin);
    out->values = malloc(room);
    LK_TRY_ALLOC(out->values, room, "numbers of sentences");
    const lk_status status = encode_all(p, side, &coding, out);
    lk_coding_clear(&coding);
    void *fitting = realloc(out->values, (size_t)out->begin[p->n] * sizeof(int32_t) + 1);
    if (fitting) out->values = fitting;
    return status;
}

static lk_status make_lengths(const lk_table_field *source, int64_t n, lk_table_field *out)
{
    describe_field("source_len", NULL, 0, out);
    out->values = malloc((size_t)n * sizeof(int32_t));
    LK_TRY_ALLOC(out->values, (size_t)n * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++) ((int32_t *)out->values)[i] = (int32_t)lk_table_field_length(source, i);
    return LK_OK;
}

/* What the decoder has read when it is to say the target: one word less, <bos> in front. */
static void shift(lk_table_field *f, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t *word = (int32_t *)f->values + f->begin[i];

        memmove(word + 1, word, (size_t)(lk_table_field_length(f, i) - 1) * sizeof *word);
        word[0] = LK_SPECIAL_BOS;
    }
}

lk_status lk_pairs_apply(const lk_data_stats *stats, lk_table *t)
{
    lk_pairs *p = t->pairs;

    if (!stats->words[LK_LANGUAGE_SOURCE] || !stats->words[LK_LANGUAGE_TARGET])
        return LK_FAIL(LK_ERR_DATA, "%s: the statistics of training hold no vocabularies", t->path);
    t->length = p->steps;
    t->n_fields = p->want_target ? N_FIELDS : TARGET;
    LK_TRY(number_side(p, stats, LK_LANGUAGE_SOURCE, "source", LK_SPECIAL_PAD, &t->fields[SOURCE]));
    LK_TRY(make_lengths(&t->fields[SOURCE], p->n, &t->fields[SOURCE_LEN]));
    LK_TRY(number_side(p, stats, LK_LANGUAGE_TARGET, "target_in", LK_SPECIAL_PAD, &t->fields[TARGET_IN]));
    shift(&t->fields[TARGET_IN], p->n);
    if (p->want_target) {
        LK_TRY(number_side(p, stats, LK_LANGUAGE_TARGET, "target", p->ignore_index, &t->fields[TARGET]));
        t->fields[TARGET].field.target = true;
    }
    clear_sentences(&p->side[LK_LANGUAGE_SOURCE]);
    return LK_OK;
}

/* ------------------------------------------------------------------------ text */

lk_status lk_dataset_translation(const lk_dataset *dataset, int64_t sample, char **text)
{
    const char *end, *begin;

    *text = NULL;
    if (!dataset->pairs) return LK_FAIL(LK_ERR_USAGE, "data.kind: only pairs have translations");
    begin = lk_pairs_sentence(dataset->pairs, LK_LANGUAGE_TARGET, sample, &end);
    *text = strndup(begin, (size_t)(end - begin));
    LK_TRY_ALLOC(*text, end - begin);
    return LK_OK;
}

static lk_status list_words(const lk_vocabulary *words, char **text)
{
    size_t nbytes = 0;
    FILE *stream = open_memstream(text, &nbytes);

    LK_TRY_ALLOC(stream, sizeof *stream, "a vocabulary");
    for (int64_t w = 0; w < lk_vocabulary_n(words); w++) fprintf(stream, "%s\n", lk_vocabulary_text(words, w));
    return fclose(stream) == 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a vocabulary as text");
}

/* Takes over the text. */
static lk_status write_text(const char *dir, const char *name, char *text)
{
    char *path;

    if (asprintf(&path, "%s/%s", dir, name) < 0) path = NULL;
    const lk_status status = path ? lk_write_file_atomic(path, text, strlen(text))
                                  : LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of a vocabulary");
    free(path);
    free(text);
    return status;
}

lk_status lk_dataset_write_words(const lk_dataset *dataset, const char *dir)
{
    static const char *const names[] = {"words-source.txt", "words-target.txt"};
    char *text = NULL;

    if (dataset->stats->bpe) {
        LK_TRY(lk_bpe_write(dataset->stats->bpe, &text));
        return write_text(dir, "vocab.bpe", text);
    }
    for (int side = 0; side < LK_N_LANGUAGES && dataset->stats->kind == LK_DATA_PAIRS; side++) {
        LK_TRY(list_words(dataset->stats->words[side], &text));
        LK_TRY(write_text(dir, names[side], text));
    }
    return LK_OK;
}
