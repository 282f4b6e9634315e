/*
 * Which weights of a checkpoint go where, when a run starts from the checkpoint of another (`init_from`).
 *
 * Names and shapes alone decide: the checkpoint's names go through the rename rules, then a tensor of the model takes
 * the one of its name if that has its shape.  What does not fit is kept with its reason, for the report, for `lockstep
 * ckpt show --against`, and for the error under `strict`.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/checkpoint.h"

/* MOST_STARS also bounds the ways to match a name. */
enum { RULE_BYTES = 256, NAME_BYTES = 1024, MOST_STARS = 8, MOST_LISTED = 8, LIST_BYTES = 1536 };

const char *lk_tensor_name(const lk_ckpt_tensor *tensor)
{
    const char *slash = strchr(tensor->path, '/');

    return slash ? slash + 1 : tensor->path;
}

/* ------------------------------------------------------------------ renaming */

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

static lk_status rename_all(const lk_ckpt_tensor *there, size_t n_there, const rule *rules, size_t n_rules,
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

/* The checkpoint's names as they are here; names has room for n_there, each to be freed. */
static lk_status make_names(const lk_ckpt_tensor *there, size_t n_there, const lk_words *rename, char **names)
{
    rule *rules = calloc(rename->n + 1, sizeof *rules);
    bool *matched = calloc(rename->n + 1, sizeof *matched);
    lk_status status = rules && matched ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %u rename rules", rename->n);

    for (unsigned i = 0; status == LK_OK && i < rename->n; i++) status = parse_rule(rename->word[i], &rules[i]);
    if (status == LK_OK) status = rename_all(there, n_there, rules, rename->n, matched, names);
    free(matched);
    free(rules);
    return status;
}

/* ------------------------------------------------------------------- meeting */

static lk_weight_match_row *add_row(lk_weight_match *t, lk_match_result result, const lk_ckpt_tensor *here,
                                    const lk_ckpt_tensor *there)
{
    lk_weight_match_row *row = &t->row[t->n_rows++];

    *row = (lk_weight_match_row){.result = result, .here = here, .there = there};
    t->n[result]++;
    return row;
}

static void meet(lk_weight_match *t, const lk_ckpt_tensor *here, const lk_ckpt_tensor *there)
{
    char saved[LK_SHAPE_BYTES], wanted[LK_SHAPE_BYTES];
    const bool fits = there && lk_tensor_same_shape(here, there);
    lk_weight_match_row *row = add_row(t, fits ? LK_MATCH_LOADED : LK_MATCH_MISSING, here, there);

    if (!there)
        snprintf(row->why, sizeof row->why, "absent in the checkpoint");
    else if (!fits)
        snprintf(row->why, sizeof row->why, "shape %s in the checkpoint, %s here",
                 lk_print_shape(there->ndim, there->shape, saved), lk_print_shape(here->ndim, here->shape, wanted));
}

static void leave(lk_weight_match *t, const lk_ckpt_tensor *there, const char *name)
{
    lk_weight_match_row *row = add_row(t, LK_MATCH_UNEXPECTED, NULL, there);

    if (strcmp(name, lk_tensor_name(there)) == 0) snprintf(row->why, sizeof row->why, "absent here");
    else snprintf(row->why, sizeof row->why, "renamed to %.200s, absent here", name);
}

/* names: of `there`, as they are here. */
static void meet_all(lk_weight_match *t, const lk_ckpt_tensor *here, size_t n_here, const lk_ckpt_tensor *there,
                     size_t n_there, char *const *names)
{
    for (size_t i = 0; i < n_here; i++) {
        const lk_ckpt_tensor *found = NULL;

        for (size_t k = 0; k < n_there && !found; k++)
            if (strcmp(lk_tensor_name(&here[i]), names[k]) == 0) found = &there[k];
        meet(t, &here[i], found);
    }
    for (size_t k = 0; k < n_there; k++) {
        bool is_here = false;

        for (size_t i = 0; i < n_here && !is_here; i++) is_here = strcmp(lk_tensor_name(&here[i]), names[k]) == 0;
        if (!is_here) leave(t, &there[k], names[k]);
    }
}

lk_status lk_weight_match_new(const lk_ckpt_tensor *here, size_t n_here, const lk_ckpt_tensor *there, size_t n_there,
                              const lk_words *rename, lk_weight_match **out)
{
    lk_weight_match *t = calloc(1, sizeof *t);
    char **names = calloc(n_there + 1, sizeof *names);

    if (t) t->row = calloc(n_here + n_there + 1, sizeof *t->row);
    lk_status status = t && t->row && names ? LK_OK
                                            : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu tensors", n_here + n_there);
    if (status == LK_OK) status = make_names(there, n_there, rename, names);
    if (status == LK_OK) meet_all(t, here, n_here, there, n_there, names);
    else lk_weight_match_free(&t);
    for (size_t i = 0; names && i < n_there; i++) free(names[i]);
    free(names);
    *out = t;
    return status;
}

void lk_weight_match_free(lk_weight_match **match)
{
    if (!match || !*match) return;
    free((*match)->row);
    lk_free(match);
}

/* ----------------------------------------------------------------- reporting */

/* " (8.weight: why; 8.bias: why; and 3 more)", nothing for no rows. */
static void list(const lk_weight_match *t, lk_match_result result, lk_text *out)
{
    size_t listed = 0;

    for (size_t i = 0; i < t->n_rows && listed < MOST_LISTED; i++) {
        const lk_weight_match_row *row = &t->row[i];

        if (row->result != result) continue;
        lk_text_add(out, "%s%s: %s", listed ? "; " : " (", lk_tensor_name(row->here ? row->here : row->there),
                    row->why);
        listed++;
    }
    if (t->n[result] > listed) lk_text_add(out, "; and %zu more", t->n[result] - listed);
    if (listed) lk_text_add(out, ")");
}

void lk_weight_match_describe(const lk_weight_match *t, char *bytes, size_t nbytes)
{
    lk_text out = lk_text_in(bytes, nbytes);

    lk_text_add(&out, "%zu loaded, %zu missing", t->n[LK_MATCH_LOADED], t->n[LK_MATCH_MISSING]);
    list(t, LK_MATCH_MISSING, &out);
    lk_text_add(&out, ", %zu unexpected", t->n[LK_MATCH_UNEXPECTED]);
    list(t, LK_MATCH_UNEXPECTED, &out);
}

lk_status lk_weight_match_check(const lk_weight_match *t, bool strict)
{
    char report[LIST_BYTES];

    lk_weight_match_describe(t, report, sizeof report);
    if (t->n[LK_MATCH_LOADED] == 0)
        return LK_FAIL(LK_ERR_USAGE,
                       "no tensor of the checkpoint fits this model: %s; rename: [\"FROM -> TO\"] turns its "
                       "names into the model's",
                       report);
    if (!strict || t->n[LK_MATCH_LOADED] == t->n_rows) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "the checkpoint does not fit this model: %s; strict: false loads what fits, "
                   "rename: [\"FROM -> TO\"] turns its names into the model's", report);
}

/* ------------------------------------------------------------------- loading */

lk_status lk_weight_match_load(const lk_weight_match *t, lk_checkpoint *checkpoint)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        const lk_weight_match_row *row = &t->row[i];

        if (row->result != LK_MATCH_LOADED) continue;
        LK_TRY(lk_checkpoint_read(checkpoint, row->there->path, 0, lk_tensor_rows(row->there), row->here->data));
    }
    return LK_OK;
}
