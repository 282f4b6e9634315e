/*
 * Digests of a run from the files of its workers, brought into one order, so that two runs are compared by walking
 * along both, and the first that differs is the first that was computed differently.
 */
#include "launch/verify/record.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

static const char of_lane[] = "lane ", of_ema[] = "ema ";

static int64_t group_of(const char *name)
{
    if (strncmp(name, of_lane, sizeof of_lane - 1) == 0) return atoll(name + sizeof of_lane - 1);
    return strncmp(name, of_ema, sizeof of_ema - 1) == 0 ? RECORD_EMA : RECORD_WEIGHTS;
}

/* ----------------------------------------------------------------------------- reading */

static int in_order(const void *left, const void *right)
{
    const record_cell *a = left, *b = right;

    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    return a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

/* Columns of a group are its tensors in their order. */
static lk_status add_cells(record *r, const lk_digests_table *t)
{
    size_t *first = calloc(t->n_columns + 1, sizeof *first);
    record_cell *grown = realloc(r->cell, (r->n + t->n_cells + 1) * sizeof *grown);

    if (grown) r->cell = grown;
    for (size_t c = 1; first && c < t->n_columns; c++)
        first[c] = group_of(t->name[c]) == group_of(t->name[c - 1]) ? first[c - 1] : c;
    for (size_t i = 0; first && grown && i < t->n_cells; i++) {
        const lk_digest_cell *from = &t->cell[i];
        const char *name = t->name[from->column];

        r->cell[r->n++] = (record_cell){from->step, group_of(name), from->column - first[from->column], from->value,
                                        name, t->who};
    }
    const bool good = first && grown;
    free(first);
    return good ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu digests", r->n + t->n_cells);
}

static lk_status add_file(record *r, const char *path)
{
    lk_digests_table **grown = realloc(r->file, (r->n_files + 1) * sizeof *grown);

    LK_TRY_ALLOC(grown, (r->n_files + 1) * sizeof *grown);
    r->file = grown;
    LK_TRY(lk_digests_read(path, &r->file[r->n_files]));
    return add_cells(r, r->file[r->n_files++]);
}

static lk_status add_folder(record *r, DIR *dir, const char *path)
{
    char name[PATH_BYTES + sizeof ((struct dirent *)0)->d_name];

    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (*entry->d_name == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        LK_TRY(add_file(r, name));
    }
    return LK_OK;
}

lk_status record_read(const char *run, record *out)
{
    char path[PATH_BYTES];

    *out = (record){0};
    snprintf(path, sizeof path, "%s/digests", run);
    DIR *dir = opendir(path);
    if (!dir) return LK_FAIL(LK_ERR_DATA, "%s has no digests", run);
    const lk_status status = add_folder(out, dir, path);
    closedir(dir);
    LK_TRY(status);
    if (out->n == 0) return LK_FAIL(LK_ERR_DATA, "%s has no digests of any step", run);
    qsort(out->cell, out->n, sizeof *out->cell, in_order);
    return LK_OK;
}

void record_free(record *r)
{
    for (size_t i = 0; i < r->n_files; i++) lk_digests_table_free(&r->file[i]);
    free(r->file);
    free(r->cell);
    *r = (record){0};
}

int64_t record_steps(const record *r) { return r->n > 0 ? r->cell[r->n - 1].step : 0; }

bool record_has_gradients(const record *r) { return r->n > 0 && r->cell[0].group < RECORD_WEIGHTS; }

/* --------------------------------------------------------------------------- comparing */

/* "the gradient of lane 1, tensor fc.weight", "the weights fc.weight", "the EMA's fc.weight". */
static void describe(const record_cell *c, lk_text *out)
{
    if (c->group == RECORD_WEIGHTS) lk_text_add(out, "the weights `%s`", c->name + strlen("model "));
    else if (c->group == RECORD_EMA) lk_text_add(out, "the EMA's `%s`", c->name + sizeof of_ema - 1);
    else {
        const char *tensor = strchr(c->name + sizeof of_lane - 1, ' ');
        lk_text_add(out, "the gradient `%s` of lane %" PRId64, tensor + 1, c->group);
    }
}

static void tell(record_difference *out, const record_cell *c, const char *how, const char *who)
{
    lk_text text = lk_text_in(out->what, sizeof out->what);

    out->step = c->step;
    describe(c, &text);
    lk_text_add(&text, "%s%s", how, who);
}

/* Cells [at, *end) are of one array in one step. */
static size_t end_of(const record *r, size_t at)
{
    size_t end = at + 1;

    while (end < r->n && in_order(&r->cell[at], &r->cell[end]) == 0) end++;
    return end;
}

/* False: one of [at, end) has another value; who had it is told. */
static bool agree(const record *r, size_t at, size_t end, uint64_t value, record_difference *out)
{
    const record_cell *other = NULL;
    size_t n = 0;

    for (size_t i = at; i < end; i++) {
        if (r->cell[i].value == value) continue;
        if (!other) other = &r->cell[i];
        n++;
    }
    if (!other) return true;
    if (n == end - at && n > 1) tell(out, other, "", ", on all workers alike");
    else tell(out, other, " of ", other->who);
    return false;
}

void record_compare(const record *want, const record *is, record_difference *out)
{
    size_t w = 0, i = 0;

    *out = (record_difference){0};
    while (w < want->n || i < is->n) {
        const int order = w == want->n ? 1 : i == is->n ? -1 : in_order(&want->cell[w], &is->cell[i]);

        if (order < 0) {
            tell(out, &want->cell[w], " is missing", "");
            return;
        }
        if (order > 0) {
            tell(out, &is->cell[i], " is one more, of ", is->cell[i].who);
            return;
        }
        const size_t end = end_of(is, i);
        if (!agree(is, i, end, want->cell[w].value, out)) return;
        w = end_of(want, w);
        i = end;
    }
}
