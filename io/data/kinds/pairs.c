/*
 * The kind `pairs`: a line is a sentence, a tab, and its translation, as Tatoeba's files have them; what stands behind
 * a second tab (their attribution) is left out.  UTF-8, packed (gz, xz) or not.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

/* Where a file is being read. */
typedef struct reader {
    const char *path;
    int64_t line;
    lk_word_rules rules;
    lk_pairs *pairs;       /* borrowed */
    char *words[LK_N_LANGUAGES]; /* owned, with room for the longest line */
} reader;

static const char mark[] = "\xEF\xBB\xBF"; /* some editors begin a file with it */

static size_t line_nbytes(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));

    return (size_t)((newline ? newline : end) - at);
}

static size_t longest_line(const char *at, const char *end)
{
    size_t longest = 0;

    for (size_t n; at < end; at += n + 1) {
        n = line_nbytes(at, end);
        if (n > longest) longest = n;
    }
    return longest;
}

static lk_status check_characters(const reader *r, const char *line, size_t nbytes)
{
    const size_t good = lk_utf8_check(line, nbytes);
    const char *nul = memchr(line, '\0', nbytes);

    if (good < nbytes)
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: byte %zu of the line, 0x%02x, is not UTF-8; pairs are text in UTF-8: "
                       "convert the file (iconv -t UTF-8)", r->path, (long long)r->line, good + 1,
                       (unsigned char)line[good]);
    if (nul)
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: byte %zu of the line is 0; pairs are text in UTF-8", r->path,
                       (long long)r->line, (size_t)(nul - line) + 1);
    return LK_OK;
}

/* What lies between tabs; past the line's end there is nothing. */
static const char *next_column(const char **at, const char *end, size_t *nbytes)
{
    const char *begin = *at, *tab = memchr(begin, '\t', (size_t)(end - begin));

    *nbytes = (size_t)((tab ? tab : end) - begin);
    *at = tab ? tab + 1 : end;
    return begin;
}

static lk_status take_line(reader *r, const char *line, size_t line_bytes)
{
    static const char *const sides[] = {"sentence in front of the tab", "translation behind the tab"};
    const char *at = line, *end = line + line_bytes;
    size_t nbytes[LK_N_LANGUAGES];

    LK_TRY(check_characters(r, line, line_bytes));
    if (!memchr(line, '\t', line_bytes))
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: the line has no tab; it is to be a sentence, a tab and its translation",
                       r->path, (long long)r->line);
    for (int s = 0; s < LK_N_LANGUAGES; s++) {
        const char *column = next_column(&at, end, &nbytes[s]);
        nbytes[s] = lk_words_apart(&r->rules, column, nbytes[s], r->words[s]);
        if (nbytes[s] == 0)
            return LK_FAIL(LK_ERR_DATA, "%s:%lld: the %s has no words", r->path, (long long)r->line, sides[s]);
    }
    return lk_pairs_add(r->pairs, (const char *const *)r->words, nbytes);
}

static lk_status read_lines(reader *r, const char *at, const char *end, int64_t most)
{
    const size_t room = LK_WORDS_GROWTH * longest_line(at, end) + 1;

    for (int s = 0; s < LK_N_LANGUAGES; s++) {
        r->words[s] = malloc(room);
        LK_TRY_ALLOC(r->words[s], room);
    }
    for (size_t n; at < end && (most == 0 || r->line < most); at += n + 1) {
        n = line_nbytes(at, end);
        r->line++;
        LK_TRY(take_line(r, at, n > 0 && at[n - 1] == '\r' ? n - 1 : n));
    }
    return r->line > 0 ? LK_OK : LK_FAIL(LK_ERR_DATA, "%s holds no pairs", r->path);
}

static lk_status read_file(const lk_data_spec *spec, const lk_source *source, lk_pairs *pairs)
{
    reader r = {.path = source->file, .pairs = pairs};
    char *bytes;
    size_t nbytes;

    LK_TRY(lk_data_file_read(source->file, &bytes, &nbytes));
    const size_t begin = nbytes >= strlen(mark) && memcmp(bytes, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
    lk_status status = lk_word_rules_open(spec->lowercase, &r.rules);
    if (status == LK_OK)
        status = read_lines(&r, bytes + begin, bytes + nbytes, source->part == LK_PART_TRAIN ? spec->examples : 0);
    for (int s = 0; s < LK_N_LANGUAGES; s++) free(r.words[s]);
    lk_word_rules_close(&r.rules);
    free(bytes);
    return status;
}

lk_status lk_read_pairs(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind pairs has words as targets; set loss.kind to cross_entropy");
    LK_TRY(lk_pairs_check_bpe(stats, spec));
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, "target", 0));
    out->path = source->file;
    out->rows_per_sample = 1;
    out->pairs = calloc(1, sizeof *out->pairs);
    LK_TRY_ALLOC(out->pairs, sizeof *out->pairs);
    out->pairs->steps = spec->steps;
    out->pairs->ignore_index = spec->ignore_index;
    out->pairs->want_target = source->want_target;
    LK_TRY(read_file(spec, source, out->pairs));
    out->n = out->pairs->n;
    return LK_OK;
}
