/*
 * The rename rules of init_from: "FROM -> TO", globs over names, each * of TO being what the * of the same number in
 * FROM matched, the shortest that fits.  Of several rules the first that matches a name decides.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights/match.h"

/* MOST_STARS also bounds the ways to match a name. */
enum { RULE_BYTES = 256, NAME_BYTES = 1024, MOST_STARS = 8 };

typedef struct rule { char from[RULE_BYTES], to[RULE_BYTES]; } rule;

/* What one * matched. */
typedef struct capture { const char *text; size_t n; } capture;

/* Bytes of a pattern that match one character: a class, an escaped character, a character. */
static size_t unit_length(const char *pattern)
{
    if (*pattern == '\\' && pattern[1]) return 2;
    if (*pattern != '[') return 1;
    const size_t first = pattern[1] == '!' || pattern[1] == '^' ? 2 : 1; /* a ] there is one of the class */
    const char *end = pattern[first] ? strchr(pattern + first + 1, ']') : NULL;
    return end ? (size_t)(end - pattern) + 1 : 1;
}

static size_t count_stars(const char *pattern)
{
    size_t n = 0;

    for (; *pattern; pattern += unit_length(pattern)) n += *pattern == '*';
    return n;
}

static bool match(const char *pattern, const char *name, capture *captures)
{
    char unit[RULE_BYTES];
    const char one[] = {*name, '\0'};

    if (*pattern == '\0') return *name == '\0';
    if (*pattern == '*') {
        *captures = (capture){.text = name};
        for (; !match(pattern + 1, name + captures->n, captures + 1); captures->n++)
            if (name[captures->n] == '\0') return false;
        return true;
    }
    if (*name == '\0') return false;
    const size_t n = unit_length(pattern);
    snprintf(unit, sizeof unit, "%.*s", (int)n, pattern);
    return lk_glob(unit, one) && match(pattern + n, name + 1, captures);
}

/* Text between two places without the blanks around it.  False: there is none, or too much. */
static bool take(char out[RULE_BYTES], const char *begin, const char *end)
{
    while (begin < end && isspace((unsigned char)*begin)) begin++;
    while (end > begin && isspace((unsigned char)end[-1])) end--;
    return begin < end && snprintf(out, RULE_BYTES, "%.*s", (int)(end - begin), begin) < RULE_BYTES;
}

static lk_status parse_rule(const char *text, rule *out)
{
    static const char arrow[] = "->";
    const char *at = strstr(text, arrow);

    if (!at || !take(out->from, text, at) || !take(out->to, at + strlen(arrow), text + strlen(text)))
        return LK_FAIL(LK_ERR_USAGE, "`%s` is not written FROM -> TO, as in \"backbone.* -> features.*\"", text);
    const size_t before = count_stars(out->from), behind = count_stars(out->to);
    if (before > MOST_STARS) return LK_FAIL(LK_ERR_USAGE, "`%s` has more than %d *", text, MOST_STARS);
    if (behind > before)
        return LK_FAIL(LK_ERR_USAGE, "`%s` has %zu * behind the arrow and only %zu before it, which they are to repeat",
                       text, behind, before);
    return LK_OK;
}

lk_status lk_rename_check(const char *text)
{
    rule parsed;

    return parse_rule(text, &parsed);
}

/* `to` with its captures in the places of its *. */
static lk_status substitute(const char *to, const capture *captures, char out[NAME_BYTES])
{
    size_t used = 0;

    for (const char *c = to; *c; c++) {
        const capture piece = *c == '*' ? *captures++ : (capture){.text = c, .n = 1};

        if (used + piece.n >= NAME_BYTES)
            return LK_FAIL(LK_ERR_USAGE, "`%s` makes a name of more than %d bytes", to, NAME_BYTES);
        memcpy(out + used, piece.text, piece.n);
        used += piece.n;
    }
    out[used] = '\0';
    return LK_OK;
}

/* The name by the first rule that matches it. */
static lk_status rename_one(const char *name, const rule *rules, size_t n_rules, bool *matched, char out[NAME_BYTES])
{
    capture captures[MOST_STARS] = {{0}}, first[MOST_STARS];
    const rule *found = NULL;

    for (size_t i = 0; i < n_rules; i++) {
        if (!match(rules[i].from, name, captures)) continue;
        matched[i] = true;
        if (found) continue;
        found = &rules[i];
        memcpy(first, captures, sizeof first);
    }
    if (found) return substitute(found->to, first, out);
    if (snprintf(out, NAME_BYTES, "%s", name) >= NAME_BYTES)
        return LK_FAIL(LK_ERR_USAGE, "the name %.64s... has more than %d bytes", name, NAME_BYTES);
    return LK_OK;
}

static lk_status fail_unmatched(const char *from, const lk_ckpt_tensor *there, size_t n)
{
    const char **names = calloc(n ? n : 1, sizeof *names);

    LK_TRY_ALLOC(names, n * sizeof *names);
    for (size_t i = 0; i < n; i++) names[i] = lk_tensor_name(&there[i]);
    const char *near = lk_nearest(from, names, n);
    const lk_status status = LK_FAIL(LK_ERR_USAGE, "`%s` matches no tensor of the checkpoint; %s%s", from,
                                     near ? "did you mean " : "its first is ", near ? near : n ? names[0] : "none");
    free(names);
    return status;
}

static lk_status apply_all(const lk_ckpt_tensor *there, size_t n_there, const rule *rules, size_t n_rules,
                            bool *matched, char **names)
{
    char name[NAME_BYTES];

    for (size_t i = 0; i < n_there; i++) {
        LK_TRY(rename_one(lk_tensor_name(&there[i]), rules, n_rules, matched, name));
        names[i] = strdup(name);
        LK_TRY_ALLOC(names[i], strlen(name) + 1);
        for (size_t k = 0; k < i; k++)
            if (strcmp(names[k], name) == 0)
                return LK_FAIL(LK_ERR_USAGE, "%s and %s of the checkpoint both become %s", lk_tensor_name(&there[k]),
                               lk_tensor_name(&there[i]), name);
    }
    for (size_t r = 0; r < n_rules; r++)
        if (!matched[r]) return fail_unmatched(rules[r].from, there, n_there);
    return LK_OK;
}

lk_status lk_rename_all(const lk_ckpt_tensor *there, size_t n_there, const lk_words *rename, char **names)
{
    rule *rules = calloc(rename->n + 1, sizeof *rules);
    bool *matched = calloc(rename->n + 1, sizeof *matched);
    lk_status status = rules && matched ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %u rename rules", rename->n);

    for (unsigned i = 0; status == LK_OK && i < rename->n; i++) status = parse_rule(rename->word[i], &rules[i]);
    if (status == LK_OK) status = apply_all(there, n_there, rules, rename->n, matched, names);
    free(matched);
    free(rules);
    return status;
}
