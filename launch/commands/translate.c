/*
 * lockstep translate: sentences, from the command line or a line each from standard input, and their translations, a
 * tab between.  Many are taken at once, for they are translated in batches; of a terminal each line is answered.
 */
#include "launch/job/bleu.h"
#include "launch/plot/plot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 4096, WHERE_BYTES = 64 };
static const double LENGTH_PENALTY = 0.75; /* the textbook's */

/* Sentences as they were given, and as numbers. */
typedef struct batch {
    char **text;           /* (room), owned, n of them; as the next */
    sentence *sentences;
    int64_t n, room, before; /* before: given in earlier batches */
    bool typed;            /* words of the command line; else lines of standard input */
} batch;

/* ----------------------------------------------------------------------- input */

static lk_status batch_new(const options *opt, batch *b)
{
    const bool typed = opt->n_positional > 1;
    const int64_t room = typed ? opt->n_positional - 1 : isatty(STDIN_FILENO) ? 1 : AT_ONCE;

    *b = (batch){.text = calloc((size_t)room, sizeof *b->text), .sentences = calloc((size_t)room, sizeof *b->sentences),
                 .room = room, .typed = typed};
    if (b->text && b->sentences) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %lld sentences", (long long)room);
}

static void batch_empty(batch *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        free(b->text[i]), b->text[i] = NULL;
        free(b->sentences[i].source);
        free(b->sentences[i].said);
        b->sentences[i] = (sentence){0};
    }
    b->before += b->n;
    b->n = 0;
}

static void batch_free(batch *b)
{
    batch_empty(b);
    free(b->sentences);
    free(b->text);
}

static const char *where(const batch *b, int64_t i, char text[WHERE_BYTES])
{
    snprintf(text, WHERE_BYTES, "%s%lld", b->typed ? "sentence " : "standard input:", (long long)(b->before + i + 1));
    return text;
}

/* As numbers; what training would cut off is told. */
static lk_status add(const job *j, batch *b, char *text, size_t nbytes)
{
    sentence *s = &b->sentences[b->n];
    char place[WHERE_BYTES];
    int64_t n_cut;

    b->text[b->n] = text;
    where(b, b->n++, place);
    const lk_status status = lk_languages_number(j->languages, text, nbytes, &s->source, &s->n_source, &n_cut);
    if (status != LK_OK) return LK_FAIL(status, "%s: %s", place, lk_error_message());
    if (n_cut > 1)
        fprintf(stderr, "lockstep: warning: %s: the sentence has %lld tokens, <eos> among them; the first %lld are "
                "read, as in training (data.steps)\n", place, (long long)(s->n_source + n_cut), (long long)s->n_source);
    return LK_OK;
}

static lk_status add_typed(const job *j, const options *opt, batch *b)
{
    for (int i = 1; i < opt->n_positional; i++) {
        char *text = strdup(opt->positional[i]);

        LK_TRY_ALLOC(text, strlen(opt->positional[i]) + 1);
        LK_TRY(add(j, b, text, strlen(text)));
    }
    return LK_OK;
}

static lk_status add_lines(const job *j, batch *b, bool *more)
{
    while (b->n < b->room) {
        char *line = NULL;
        size_t room = 0;
        ssize_t nbytes = getline(&line, &room, stdin);

        if (nbytes < 0) {
            free(line);
            *more = false;
            return ferror(stdin) ? LK_FAIL(LK_ERR_SYSTEM, "cannot read standard input: %s", strerror(errno)) : LK_OK;
        }
        while (nbytes > 0 && (line[nbytes - 1] == '\n' || line[nbytes - 1] == '\r')) line[--nbytes] = '\0';
        LK_TRY(add(j, b, line, (size_t)nbytes));
    }
    return LK_OK;
}

/* ---------------------------------------------------------------------- output */

static lk_status print_all(const job *j, const batch *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        char *said;

        LK_TRY(lk_languages_say(j->languages, b->sentences[i].said, b->sentences[i].n_said, &said));
        printf("%s\t%s\n", b->text[i], said);
        free(said);
    }
    return fflush(stdout) == 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "cannot write the translations: %s", strerror(errno));
}

static lk_status draw(job *j, const options *opt, const batch *b)
{
    if (b->before > 0 || b->n != 1 || b->sentences[0].n_source == 0)
        return LK_FAIL(LK_ERR_USAGE, "--attention draws the words of one sentence: give one");
    return plot_attention(j, &b->sentences[0], opt->attention);
}

/* --------------------------------------------------------------------- command */

static lk_status take_batch(job *j, const options *opt, batch *b, const translator *t, bool *more)
{
    if (b->typed) *more = false;
    LK_TRY(b->typed ? add_typed(j, opt, b) : add_lines(j, b, more));
    LK_TRY(translate(t, b->sentences, b->n));
    LK_TRY(print_all(j, b));
    return opt->attention && (b->n > 0 || b->before == 0) ? draw(j, opt, b) : LK_OK;
}

static lk_status translate_all(job *j, const options *opt)
{
    const decoder_weights weights = {.params = j->params, .version = j->params_version};
    translator t = job_translator(j, &weights);
    lk_status status = LK_OK;
    bool more = true;
    batch b;

    if (opt->beam) t.search.beam = opt->beam;
    t.search.length_penalty = opt->length_penalty.given ? opt->length_penalty.value : LENGTH_PENALTY;
    status = batch_new(opt, &b);
    while (status == LK_OK && more) {
        status = take_batch(j, opt, &b, &t, &more);
        batch_empty(&b);
    }
    batch_free(&b);
    return status;
}

static lk_status check(const options *opt)
{
    if (opt->attention) LK_TRY(gnuplot_check_name("--attention", opt->attention));
    if (opt->length_penalty.given && !opt->beam)
        return LK_FAIL(LK_ERR_USAGE, "--length-penalty chooses among a beam's translations: give --beam K, too");
    return LK_OK;
}

/* The leader translates, as it alone has standard input, and waits for it as long as that takes. */
lk_status command_translate(job *j, const options *opt)
{
    LK_TRY(job_agree(j, check(opt)));
    LK_TRY(job_open_for_sentences(j, opt));
    LK_TRY(job_agree(j, lk_world_set_timeout(j->world, 0.0)));
    return job_agree(j, j->leader ? translate_all(j, opt) : LK_OK);
}
