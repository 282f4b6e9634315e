/* The command line: one command, its arguments, overrides "a.b=value" and options, all from OPTION_LIST. */
#include "launch/launch.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_kind { FLAG, TEXT, COUNT, WHOLE, REAL } option_kind;

typedef struct option {
    size_t offset;
    option_kind kind;
    const char *spelling, *argument, *commands, *help;
} option;

static const option option_table[] = {
#define OPTION_ROW(field, kind, spelling, argument, commands, help) \
    {offsetof(options, field), kind, spelling, argument, commands, help},
    OPTION_LIST(OPTION_ROW)
#undef OPTION_ROW
};

/* The short spellings. */
static const struct { const char *is, *of; } short_table[] = {{"-o", "--out"}, {"-n", "--workers"}};

static const double most_number = 1e6; /* of workers, restarts, seconds */

enum { N_OPTIONS = sizeof option_table / sizeof option_table[0], HELP_COLUMN = 22, OPTION_BYTES = 256 };

static bool has_word(const char *words, const char *word)
{
    const size_t n = strlen(word);

    for (const char *at = words; (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    return false;
}

void options_help(FILE *stream, const char *command)
{
    fprintf(stream, "\noptions:\n");
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &option_table[i];

        if (command && *o->commands && !has_word(o->commands, command)) continue;
        const int used = fprintf(stream, "  %s %s", o->spelling, o->argument ? o->argument : "");
        fprintf(stream, "%*s%s%s%s\n", used < HELP_COLUMN ? HELP_COLUMN - used : 1, "", command ? "" : o->commands,
                !command && *o->commands ? ": " : "", o->help);
    }
}

/* "section.key=value": a dotted word of letters, digits and underscores before the first equals sign. */
static bool is_override(const char *argument)
{
    const char *equals = strchr(argument, '=');

    if (!equals || equals == argument) return false;
    for (const char *c = argument; c < equals; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.') return false;
    return true;
}

/* The name without its dashes, or all options would be alike in their first letters. */
static const char *bare(const char *spelling) { return spelling + strspn(spelling, "-"); }

static lk_status unknown_option(const char *argument)
{
    const char *known[N_OPTIONS];
    char name[OPTION_BYTES], key[OPTION_BYTES];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(bare(argument), "="), bare(argument));
    for (int i = 0; i < N_OPTIONS; i++) known[i] = bare(option_table[i].spelling);
    if (lk_recipe_find_key(name, key, sizeof key))
        return LK_FAIL(LK_ERR_USAGE, "%s: no such option; a key of the recipe is set by %s=VALUE", argument, key);
    const char *near = lk_nearest(name, known, N_OPTIONS);
    if (near) return LK_FAIL(LK_ERR_USAGE, "%s: no such option; did you mean --%s?", argument, near);
    return LK_FAIL(LK_ERR_USAGE, "%s: no such option; see lockstep --help", argument);
}

static lk_status set_count(int64_t *field, const option *o, const char *value, long long least)
{
    char *end;

    errno = 0;
    const long long count = strtoll(value, &end, 10);
    if (errno || *end || end == value || count < least)
        return LK_FAIL(LK_ERR_USAGE, "%s: `%s` is not a whole number of at least %lld", o->spelling, value, least);
    *field = count;
    return LK_OK;
}

static lk_status set_whole(OPTION_WHOLE *field, const option *o, const char *value)
{
    field->given = true;
    return set_count(&field->value, o, value, 0);
}

static lk_status set_real(OPTION_REAL *field, const option *o, const char *value)
{
    char *end;

    *field = (OPTION_REAL){strtod(value, &end), true};
    if (*end || end == value || !isfinite(field->value) || field->value < 0.0)
        return LK_FAIL(LK_ERR_USAGE, "%s: `%s` is not a number of at least 0", o->spelling, value);
    return LK_OK;
}

static lk_status set_option(options *out, const option *o, const char *value)
{
    void *field = (char *)out + o->offset;

    if (o->kind == FLAG) {
        if (value) return LK_FAIL(LK_ERR_USAGE, "%s takes no value, got `%s`", o->spelling, value);
        *(bool *)field = true;
        return LK_OK;
    }
    if (!value) return LK_FAIL(LK_ERR_USAGE, "%s needs a value: %s", o->spelling, o->argument);
    if (o->kind == TEXT) {
        *(const char **)field = value;
        return LK_OK;
    }
    switch (o->kind) {
    case WHOLE: return set_whole(field, o, value);
    case REAL: return set_real(field, o, value);
    default: return set_count(field, o, value, 1);
    }
}

static bool is_given(const options *opt, const option *o)
{
    const void *field = (const char *)opt + o->offset;

    switch (o->kind) {
    case FLAG: return *(const bool *)field;
    case TEXT: return *(const char *const *)field != NULL;
    case COUNT: return *(const int64_t *)field != 0;
    case WHOLE: return ((const OPTION_WHOLE *)field)->given;
    case REAL: return ((const OPTION_REAL *)field)->given;
    }
    return false;
}

lk_status option_number(const char *spelling, const char *text, bool whole, double least, double *out)
{
    char *end;

    if (!text) return LK_OK;
    const double value = strtod(text, &end);
    if (*end || end == text || !(value >= least) || value > most_number || (whole && value != floor(value)))
        return LK_FAIL(LK_ERR_USAGE, "%s: `%s` is no %snumber from %g to %g", spelling, text, whole ? "whole " : "",
                       least, most_number);
    *out = value;
    return LK_OK;
}

lk_status options_check(const options *opt)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &option_table[i];

        if (*o->commands && is_given(opt, o) && !has_word(o->commands, opt->command))
            return LK_FAIL(LK_ERR_USAGE, "lockstep %s does not take %s; it is for: %s", opt->command, o->spelling,
                           o->commands);
    }
    return LK_OK;
}

lk_status options_check_among(const options *opt, const char *takes)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &option_table[i];

        if (*o->commands && is_given(opt, o) && !has_word(takes, o->spelling))
            return LK_FAIL(LK_ERR_USAGE, "lockstep %s does not take %s", opt->command, o->spelling);
    }
    return LK_OK;
}

static const char *spelt_out(const char *argument)
{
    for (size_t i = 0; i < sizeof short_table / sizeof *short_table; i++)
        if (strcmp(argument, short_table[i].is) == 0) return short_table[i].of;
    return argument;
}

/* "--name value", "--name=value" or "-o value"; *i is left on the last argument used. */
static lk_status parse_option(int argc, char **argv, int *i, options *out)
{
    const char *argument = spelt_out(argv[*i]);
    const char *equals = strchr(argument, '=');
    const size_t length = equals ? (size_t)(equals - argument) : strlen(argument);

    for (int k = 0; k < N_OPTIONS; k++) {
        const option *o = &option_table[k];

        if (strlen(o->spelling) != length || strncmp(o->spelling, argument, length) != 0) continue;
        const char *value = equals ? equals + 1 : NULL;
        if (!value && o->kind != FLAG && *i + 1 < argc) value = argv[++*i];
        return set_option(out, o, value);
    }
    return unknown_option(argument);
}

static lk_status add_override(options *out, const char *argument)
{
    if (out->n_overrides == MAX_OVERRIDES)
        return LK_FAIL(LK_ERR_USAGE, "more than %d overrides: put them into the recipe", MAX_OVERRIDES);
    out->overrides[out->n_overrides++] = argument;
    return LK_OK;
}

/* A command, an override or an argument of the command. */
static lk_status add_word(options *out, const char *argument)
{
    if (!out->command) {
        out->command = argument;
        return LK_OK;
    }
    if (is_override(argument)) return add_override(out, argument);
    if (out->n_positional == MAX_POSITIONAL)
        return LK_FAIL(LK_ERR_USAGE, "too many arguments, from `%s` on: lockstep %s takes at most %d", argument,
                       out->command, MAX_POSITIONAL);
    out->positional[out->n_positional++] = argument;
    return LK_OK;
}

/* Whether words behind "--" are options of mpirun's, as `lockstep run` hands them on. */
static bool passes_words_on(const options *opt)
{
    return opt->command && (strcmp(opt->command, "run") == 0 || strcmp(opt->command, "verify") == 0);
}

/* "--section.key=value", as other trainers have it. */
static bool is_dashed_override(const char *argument)
{
    const char *equals = strchr(argument, '='), *dot = strchr(argument, '.');

    return strncmp(argument, "--", 2) == 0 && equals && dot && dot < equals && is_override(argument + 2);
}

lk_status options_parse(int argc, char **argv, options *out)
{
    bool words_alone = false; /* behind "--" */

    memset(out, 0, sizeof *out);
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];

        /* "-" is standard input */
        if (words_alone || argument[0] != '-' || !argument[1]) LK_TRY(add_word(out, argument));
        else if (strcmp(argument, "--") == 0 && passes_words_on(out)) {
            out->passed = (const char *const *)argv + i + 1;
            out->n_passed = argc - i - 1;
            break;
        }
        else if (strcmp(argument, "--") == 0) words_alone = true;
        else if (strcmp(argument, "-h") == 0) out->help = true;
        else if (is_dashed_override(argument)) LK_TRY(add_override(out, argument + 2));
        else LK_TRY(parse_option(argc, argv, &i, out));
    }
    return LK_OK;
}
