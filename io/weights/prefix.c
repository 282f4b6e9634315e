/*
 * Names that fit but for a prefix: "module." of PyTorch's DataParallel, "model." or "backbone." of who keeps a network
 * in a module of his own.  The rule that would make them fit is worth a word; one prefix is so common that it is taken
 * off: "transformer." of GPT-2's files with a head (Hugging Face's GPT2LMHeadModel).
 */
#include <stdio.h>
#include <string.h>

#include "io/weights/match.h"

/* A tensor of one side that the other has not: side true: the model's. */
static const char *alone(const lk_weight_match *t, size_t i, bool here)
{
    const lk_weight_match_row *row = &t->row[i];

    if (here) return row->here && !row->there ? lk_tensor_name(row->here) : NULL;
    return row->there && !row->here ? lk_tensor_name(row->there) : NULL;
}

static bool has_alone(const lk_weight_match *t, bool here, const char *prefix, size_t n, const char *name)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        const char *other = alone(t, i, here);

        if (other && strncmp(other, prefix, n) == 0 && strcmp(other + n, name) == 0) return true;
    }
    return false;
}

/* Whether for each name that only the side with the short names has there is the prefixed one on the other. */
static bool all_have(const lk_weight_match *t, bool short_here, const char *prefix, size_t n)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        const char *name = alone(t, i, short_here);

        if (name && !has_alone(t, !short_here, prefix, n, name)) return false;
    }
    return true;
}

/* The prefix that the long side's names have before those of the short side; bytes of it, 0: there is none. */
static size_t find_prefix(const lk_weight_match *t, bool short_here, const char **prefix)
{
    const char *first = NULL;

    for (size_t i = 0; i < t->n_rows && !first; i++) first = alone(t, i, short_here);
    for (size_t i = 0; first && i < t->n_rows; i++) {
        const char *other = alone(t, i, !short_here);
        const size_t n = other ? strlen(other) : 0, behind = strlen(first);

        if (n <= behind || other[n - behind - 1] != '.' || strcmp(other + n - behind, first) != 0) continue;
        *prefix = other;
        if (all_have(t, short_here, other, n - behind)) return n - behind;
    }
    return 0;
}

bool lk_rename_suggest(const lk_weight_match *t, char *rule, size_t nbytes)
{
    const char *prefix;
    size_t n = find_prefix(t, true, &prefix);

    if (n) return snprintf(rule, nbytes, "%.*s* -> *", (int)n, prefix) < (int)nbytes;
    /* Such a rule would rename what fits already. */
    n = t->n[LK_MATCH_LOADED] + t->n[LK_MATCH_SHAPE] == 0 ? find_prefix(t, false, &prefix) : 0;
    return n && snprintf(rule, nbytes, "* -> %.*s*", (int)n, prefix) < (int)nbytes;
}

/* ------------------------------------------------------------------ taken off */

static bool begins(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

static bool is_among(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

void lk_prefix_take_off(const lk_ckpt_tensor *here, size_t n_here, char *const *names, size_t n_there)
{
    static const char prefix[] = "transformer.";
    const size_t n = strlen(prefix);

    for (size_t i = 0; i < n_here; i++)
        if (begins(lk_tensor_name(&here[i]), prefix)) return;
    for (size_t k = 0; k < n_there; k++)
        if (begins(names[k], prefix) && !is_among(names, n_there, names[k] + n))
            memmove(names[k], names[k] + n, strlen(names[k]) - n + 1);
}
