/*
 * Which weights of a checkpoint, ours or a safetensors file, go where, when a run starts from them (`init_from`).
 *
 * Names and shapes alone decide: the checkpoint's names go through the rename rules, then a tensor of the model takes
 * the one of its name if that has its shape.  What does not fit is kept with its reason, for the report, for `lockstep
 * ckpt show --against`, and for the error under `strict`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"
#include "io/weights/match.h"

enum { RULE_BYTES = 256, MOST_LISTED = 8, LIST_BYTES = 1536 };

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
    lk_weight_match_row *row =
        add_row(t, !there ? LK_MATCH_MISSING : fits ? LK_MATCH_LOADED : LK_MATCH_SHAPE, here, there);

    if (!there)
        snprintf(row->why, sizeof row->why, "absent in the checkpoint");
    else if (!fits)
        snprintf(row->why, sizeof row->why, "%s in the checkpoint, %s here",
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
    if (status == LK_OK) status = lk_rename_all(there, n_there, rename, names);
    if (status == LK_OK) lk_prefix_take_off(here, n_here, names, n_there);
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
    lk_text_add(&out, ", %zu of another shape", t->n[LK_MATCH_SHAPE]);
    list(t, LK_MATCH_SHAPE, &out);
}

/* What to do about names that do not fit. */
static void advise(const lk_weight_match *t, char *text, size_t nbytes)
{
    char rule[RULE_BYTES];

    if (lk_rename_suggest(t, rule, sizeof rule))
        snprintf(text, nbytes, "rename: [\"%s\"] turns its names into the model's", rule);
    else snprintf(text, nbytes, "rename: [\"FROM -> TO\"] turns its names into the model's");
}

lk_status lk_weight_match_check(const lk_weight_match *t, bool strict)
{
    char report[LIST_BYTES], advice[RULE_BYTES + 64];

    if (t->n[LK_MATCH_LOADED] > 0 && (!strict || t->n[LK_MATCH_LOADED] == t->n_rows)) return LK_OK;
    lk_weight_match_describe(t, report, sizeof report);
    advise(t, advice, sizeof advice);
    if (t->n[LK_MATCH_LOADED] == 0)
        return LK_FAIL(LK_ERR_USAGE, "no tensor of the checkpoint fits this model: %s; %s", report, advice);
    return LK_FAIL(LK_ERR_USAGE, "the checkpoint does not fit this model: %s; strict: false loads what fits, %s",
                   report, advice);
}

/* ------------------------------------------------------------------- loading */

lk_status lk_weight_match_load(const lk_weight_match *t, lk_weights *weights)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        const lk_weight_match_row *row = &t->row[i];

        if (row->result == LK_MATCH_LOADED)
            LK_TRY(lk_weights_read(weights, (size_t)(row->there - lk_weights_tensor(weights, 0)), row->here->data));
    }
    return LK_OK;
}
