/*
 * An initialiser said in words: "NAME", or "NAME(argument, ...)" with arguments by place, then by name, as in Python.
 * One table holds each one's arguments, in torch.nn.init's order and with its defaults.
 */
#include "engine/model/fill.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Draws within the bounds of a trunc_normal are found by drawing again; fewer than this share would take for ever. */
#define LEAST_SHARE 1e-3

#define WORD(name, word) word,
static const char *const inits[] = {LK_INIT_LIST(WORD)};
static const char *const fans[] = {LK_FAN_LIST(WORD)};
static const char *const nonlinearities[] = {LK_NONLINEARITY_LIST(WORD)};
#undef WORD

#define N_OF(array) (sizeof(array) / sizeof *(array))
enum { MOST_ARGS = 4, MOST_BYTES = 64 };

typedef struct arg {
    const char *name;
    size_t offset;            /* in lk_fill: of a double, or of an int where there are words */
    const char *const *words;
    size_t n_words;
    const char *fallback;     /* NULL: it must be given */
} arg;

#define REAL(member, fallback_) {.name = #member, .offset = offsetof(lk_fill, member), .fallback = fallback_}
#define CHOICE(member, words_, fallback_) \
    {.name = #member, .offset = offsetof(lk_fill, member), .words = words_, .n_words = N_OF(words_), \
     .fallback = fallback_}
#define KAIMING {REAL(a, "0"), CHOICE(mode, fans, "fan_in"), CHOICE(nonlinearity, nonlinearities, "leaky_relu")}

static const struct { int least_dims, most_dims; arg args[MOST_ARGS]; } table[] = {
    [LK_INIT_DEFAULT] = {2, INT32_MAX, {{0}}},
    [LK_INIT_ZEROS] = {0, INT32_MAX, {{0}}},
    [LK_INIT_ONES] = {0, INT32_MAX, {{0}}},
    [LK_INIT_CONSTANT] = {0, INT32_MAX, {REAL(val, NULL)}},
    [LK_INIT_UNIFORM] = {0, INT32_MAX, {REAL(a, "0"), REAL(b, "1")}},
    [LK_INIT_NORMAL] = {0, INT32_MAX, {REAL(mean, "0"), REAL(std, "1")}},
    [LK_INIT_TRUNC_NORMAL] = {0, INT32_MAX, {REAL(mean, "0"), REAL(std, "1"), REAL(a, "-2"), REAL(b, "2")}},
    [LK_INIT_XAVIER_UNIFORM] = {2, INT32_MAX, {REAL(gain, "1")}},
    [LK_INIT_XAVIER_NORMAL] = {2, INT32_MAX, {REAL(gain, "1")}},
    [LK_INIT_KAIMING_UNIFORM] = {2, INT32_MAX, KAIMING},
    [LK_INIT_KAIMING_NORMAL] = {2, INT32_MAX, KAIMING},
    [LK_INIT_ORTHOGONAL] = {2, INT32_MAX, {REAL(gain, "1")}},
    [LK_INIT_EYE] = {2, 2, {{0}}},
    [LK_INIT_DIRAC] = {3, 5, {{0}}},
    [LK_INIT_SPARSE] = {2, 2, {REAL(sparsity, NULL), REAL(std, "0.01")}},
};
_Static_assert(N_OF(table) == N_OF(inits), "every initialiser has its row");

/* ------------------------------------------------------------------ arguments */

static int find_word(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0) return (int)i;
    return -1;
}

static size_t n_args(lk_init init)
{
    size_t n = 0;

    while (n < MOST_ARGS && table[init].args[n].name) n++;
    return n;
}

static const arg *find_arg(lk_init init, const char *name)
{
    for (size_t i = 0; i < n_args(init); i++)
        if (strcmp(table[init].args[i].name, name) == 0) return &table[init].args[i];
    return NULL;
}

/* "mean, std" */
static const char *list_args(lk_init init, char text[MOST_BYTES])
{
    lk_text list = lk_text_in(text, MOST_BYTES);

    for (size_t i = 0; i < n_args(init); i++) lk_text_add(&list, "%s%s", i ? ", " : "", table[init].args[i].name);
    if (n_args(init) == 0) lk_text_add(&list, "none");
    return text;
}

static lk_status set(lk_fill *fill, const arg *to, const char *value)
{
    char *at = (char *)fill + to->offset, *end;

    if (to->words) {
        *(int *)(void *)at = find_word(to->words, to->n_words, value);
        if (*(int *)(void *)at >= 0) return LK_OK;
        const char *near = lk_nearest(value, to->words, to->n_words);
        return LK_FAIL(LK_ERR_USAGE, "%s has no %s `%s`%s%s%s", inits[fill->init], to->name, value,
                       near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
    *(double *)(void *)at = strtod(value, &end);
    if (end != value && *end == '\0' && isfinite(*(double *)(void *)at)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: %s is `%s`, not a number", inits[fill->init], to->name, value);
}

/* ----------------------------------------------------------------------- call */

/* Copies [begin, end) without blanks around it. */
static lk_status trim(const char *begin, const char *end, char out[MOST_BYTES])
{
    while (begin < end && isspace((unsigned char)*begin)) begin++;
    while (begin < end && isspace((unsigned char)end[-1])) end--;
    if (end - begin >= MOST_BYTES)
        return LK_FAIL(LK_ERR_USAGE, "`%.*s...` is longer than any name or number", MOST_BYTES - 1, begin);
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = '\0';
    return LK_OK;
}

/* One argument, by name or, where it has none, the one at `place`. */
static lk_status read_arg(lk_fill *fill, size_t place, const char *begin, const char *end, bool given[MOST_ARGS])
{
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    char name[MOST_BYTES] = "", value[MOST_BYTES], has[MOST_BYTES];
    const arg *to = place < n_args(fill->init) ? &table[fill->init].args[place] : NULL;

    if (equals) LK_TRY(trim(begin, equals, name));
    LK_TRY(trim(equals ? equals + 1 : begin, end, value));
    if (equals) to = find_arg(fill->init, name);
    if (!to)
        return LK_FAIL(LK_ERR_USAGE, "%s has no argument `%s`; its arguments: %s", inits[fill->init],
                       equals ? name : value, list_args(fill->init, has));
    bool *was_given = &given[to - table[fill->init].args];
    if (*was_given) return LK_FAIL(LK_ERR_USAGE, "%s is given %s twice", inits[fill->init], to->name);
    *was_given = true;
    return set(fill, to, value);
}

/* What is between the brackets. */
static lk_status read_args(lk_fill *fill, const char *begin, const char *end)
{
    bool given[MOST_ARGS] = {false};
    char blank[MOST_BYTES];

    LK_TRY(trim(begin, end < begin + MOST_BYTES - 1 ? end : begin + MOST_BYTES - 1, blank));
    for (size_t place = 0; *blank && begin <= end; place++) {
        const char *comma = memchr(begin, ',', (size_t)(end - begin)), *stop = comma ? comma : end;

        LK_TRY(read_arg(fill, place, begin, stop, given));
        begin = stop + 1;
    }
    for (size_t i = 0; i < n_args(fill->init); i++) {
        const arg *each = &table[fill->init].args[i];

        if (given[i]) continue;
        if (!each->fallback)
            return LK_FAIL(LK_ERR_USAGE, "%s needs its %s: %s(%s=...)", inits[fill->init], each->name,
                           inits[fill->init], each->name);
        LK_TRY(set(fill, each, each->fallback));
    }
    return LK_OK;
}

static lk_status check_numbers(const lk_fill *fill)
{
    const char *name = inits[fill->init];

    if (fill->std < 0.0) return LK_FAIL(LK_ERR_USAGE, "%s: std is %g; it must be at least 0", name, fill->std);
    if ((fill->init == LK_INIT_UNIFORM || fill->init == LK_INIT_TRUNC_NORMAL) && fill->a > fill->b)
        return LK_FAIL(LK_ERR_USAGE, "%s: a is %g, above b, %g", name, fill->a, fill->b);
    if (!(fill->sparsity >= 0.0 && fill->sparsity <= 1.0))
        return LK_FAIL(LK_ERR_USAGE, "%s: sparsity is %g; it must be between 0 and 1", name, fill->sparsity);
    if (fill->init != LK_INIT_TRUNC_NORMAL) return LK_OK;
    const double scale = fill->std * sqrt(2.0);
    const double share = 0.5 * (erf((fill->b - fill->mean) / scale) - erf((fill->a - fill->mean) / scale));
    if (!(share >= LEAST_SHARE))
        return LK_FAIL(LK_ERR_USAGE, "%s: between %g and %g lies hardly anything of N(%g, %g^2); a and b are bounds of "
                       "values, not deviations", name, fill->a, fill->b, fill->mean, fill->std);
    return LK_OK;
}

lk_status lk_fill_parse(const char *text, lk_fill *out)
{
    const char *given = text ? text : inits[LK_INIT_DEFAULT], *open = strchr(given, '('), *end = given + strlen(given);
    char name[MOST_BYTES];

    *out = (lk_fill){.init = LK_INIT_DEFAULT};
    while (end > given && isspace((unsigned char)end[-1])) end--;
    if (open && end[-1] != ')') return LK_FAIL(LK_ERR_USAGE, "`%s` has a bracket that is not closed", given);
    LK_TRY(trim(given, open ? open : end, name));
    const int init = find_word(inits, N_OF(inits), name);
    if (init < 0) {
        const char *near = lk_nearest(name, inits, N_OF(inits));
        return LK_FAIL(LK_ERR_USAGE, "there is no initialiser `%s`%s%s%s", name, near ? "; did you mean `" : "",
                       near ? near : "", near ? "`?" : "");
    }
    out->init = (lk_init)init;
    LK_TRY(open ? read_args(out, open + 1, end - 1) : read_args(out, end, end));
    return check_numbers(out);
}

/* ---------------------------------------------------------------------- shape */

lk_status lk_fill_check(const lk_fill *fill, int ndim, bool has_fans)
{
    const char *name = inits[fill->init];
    const int least = table[fill->init].least_dims, most = table[fill->init].most_dims;

    LK_TRY(check_numbers(fill));
    if ((ndim >= least || (fill->init == LK_INIT_DEFAULT && has_fans)) && ndim <= most) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s fills tensors of %d%s dimensions, and this one has %d", name, least,
                   most == INT32_MAX ? " or more" : most > least ? " to 5" : "", ndim);
}

/* --------------------------------------------------------------------- makers */

lk_fill lk_fill_constant(double val) { return (lk_fill){.init = LK_INIT_CONSTANT, .val = val}; }
lk_fill lk_fill_uniform(double a, double b) { return (lk_fill){.init = LK_INIT_UNIFORM, .a = a, .b = b}; }
lk_fill lk_fill_normal(double mean, double std) { return (lk_fill){.init = LK_INIT_NORMAL, .mean = mean, .std = std}; }

lk_fill lk_fill_trunc_normal(double mean, double std, double a, double b)
{
    return (lk_fill){.init = LK_INIT_TRUNC_NORMAL, .mean = mean, .std = std, .a = a, .b = b};
}

lk_fill lk_fill_xavier(lk_init init, double gain) { return (lk_fill){.init = init, .gain = gain}; }

lk_fill lk_fill_kaiming(lk_init init, lk_fan mode, lk_nonlinearity nonlinearity)
{
    return (lk_fill){.init = init, .mode = mode, .nonlinearity = nonlinearity};
}
