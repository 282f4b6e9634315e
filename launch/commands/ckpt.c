/* lockstep ckpt list|show|verify|digest|diff: what is in checkpoints, whether it is whole, and how two differ. */
#include "launch/launch.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

/* A verb's work on one path; several: there are others, so what is printed says whose it is. */
typedef lk_status verb_fn(const options *opt, const char *path, bool several);

static lk_status verb_list(const options *opt, const char *path, bool several)
{
    char dir[PATH_BYTES];
    struct stat info;
    lk_ckpt_entry *entries;
    size_t n;

    (void)opt;
    snprintf(dir, sizeof dir, "%s/checkpoints", path);
    LK_TRY(lk_checkpoint_list(stat(dir, &info) == 0 ? dir : path, &entries, &n));
    if (several && n > 0) printf("%s\n", path);
    for (size_t i = 0; i < n; i++)
        printf("%-16s step %10" PRId64 " %12" PRId64 " bytes%s%s\n", entries[i].name, entries[i].step,
               entries[i].nbytes, entries[i].latest ? "  latest" : "", entries[i].best ? "  best" : "");
    if (n == 0) printf("no checkpoints in %s\n", path);
    free(entries);
    return LK_OK;
}

static lk_status verb_show(const options *opt, const char *path, bool several)
{
    lk_checkpoint *ckpt = NULL;

    (void)several; /* it begins with the checkpoint's path */
    LK_TRY(open_checkpoint(path, &ckpt));
    const lk_status status = opt->against ? show_against(ckpt, opt) : show_checkpoint(ckpt);
    lk_checkpoint_free(&ckpt);
    return status;
}

static lk_status verify_one(const char *path)
{
    lk_checkpoint *ckpt = NULL;

    LK_TRY(open_checkpoint(path, &ckpt));
    printf("%s: every file, size and checksum is right; %zu tensors\n", lk_checkpoint_path(ckpt),
           lk_checkpoint_n_tensors(ckpt));
    lk_checkpoint_free(&ckpt);
    return LK_OK;
}

static lk_status verify_each(const char *dir, const lk_ckpt_entry *entries, size_t n)
{
    char path[PATH_BYTES + sizeof entries->name];
    size_t n_bad = 0;

    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entries[i].name);
        if (verify_one(path) == LK_OK) continue;
        fprintf(stderr, "lockstep: warning: %s\n", lk_error_message());
        n_bad++;
    }
    if (n_bad == 0) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "%zu of %zu checkpoints in %s do not verify; --resume passes over such", n_bad, n,
                   dir);
}

/* Of a run all its checkpoints: to whom one that can be resumed is enough, ckpt show names it. */
static lk_status verb_verify(const options *opt, const char *path, bool several)
{
    char dir[PATH_BYTES];
    struct stat info;
    lk_ckpt_entry *entries = NULL;
    size_t n = 0;

    (void)opt, (void)several;
    snprintf(dir, sizeof dir, "%s/checkpoints", path);
    if (stat(dir, &info) == 0) LK_TRY(lk_checkpoint_list(dir, &entries, &n));
    const lk_status status = n > 0 ? verify_each(dir, entries, n) : verify_one(path);
    free(entries);
    return status;
}

/* As sha256sum has it: the digest, then whose it is. */
static lk_status verb_digest(const options *opt, const char *path, bool several)
{
    lk_checkpoint *ckpt = NULL;
    char digest[33];

    LK_TRY(open_checkpoint(path, &ckpt));
    const lk_status status = lk_checkpoint_digest(ckpt, opt->ema ? "ema/" : "model/", digest);
    if (status == LK_OK) printf("%s%s%s\n", digest, several ? "  " : "", several ? path : "");
    lk_checkpoint_free(&ckpt);
    return status;
}

/* --------------------------------------------------------------------- diff */

static const lk_ckpt_tensor *find_tensor(const lk_checkpoint *ckpt, const char *path)
{
    for (size_t i = 0; i < lk_checkpoint_n_tensors(ckpt); i++)
        if (strcmp(lk_checkpoint_tensor(ckpt, i)->path, path) == 0) return lk_checkpoint_tensor(ckpt, i);
    return NULL;
}

static bool same_shape(const lk_ckpt_tensor *a, const lk_ckpt_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

static lk_status read_whole(lk_checkpoint *ckpt, const lk_ckpt_tensor *t, float **out)
{
    *out = lk_alloc(t->n_elem * sizeof **out);
    LK_TRY_ALLOC(*out, t->n_elem * sizeof **out);
    return lk_checkpoint_read(ckpt, t->path, 0, t->ndim ? t->shape[0] : 1, *out);
}

static lk_status compare_tensor(lk_checkpoint *a, lk_checkpoint *b, const lk_ckpt_tensor *t, size_t *n_different)
{
    float *va = NULL, *vb = NULL;
    size_t count = 0;
    double largest = 0.0;

    lk_status status = read_whole(a, t, &va);
    if (status == LK_OK) status = read_whole(b, t, &vb);
    for (size_t i = 0; status == LK_OK && i < t->n_elem; i++) {
        if (memcmp(&va[i], &vb[i], sizeof va[i]) == 0) continue;
        count++;
        if (!(fabs((double)va[i] - vb[i]) <= largest)) largest = fabs((double)va[i] - vb[i]);
    }
    if (count) printf("  %-44s %zu of %zu elements differ, by up to %.6g\n", t->path, count, t->n_elem, largest);
    *n_different += count != 0;
    lk_free(&va);
    lk_free(&vb);
    return status;
}

static lk_status compare(lk_checkpoint *a, lk_checkpoint *b, bool *differ)
{
    size_t n_different = 0, n_same = 0;

    for (size_t i = 0; i < lk_checkpoint_n_tensors(a); i++) {
        const lk_ckpt_tensor *t = lk_checkpoint_tensor(a, i), *other = find_tensor(b, t->path);
        const size_t before = n_different;

        if (!other || !same_shape(t, other)) {
            printf("  %-44s %s\n", t->path, other ? "shapes differ" : "only in the first");
            n_different++;
            continue;
        }
        LK_TRY(compare_tensor(a, b, t, &n_different));
        n_same += n_different == before;
    }
    for (size_t i = 0; i < lk_checkpoint_n_tensors(b); i++)
        if (!find_tensor(a, lk_checkpoint_tensor(b, i)->path)) {
            printf("  %-44s only in the second\n", lk_checkpoint_tensor(b, i)->path);
            n_different++;
        }
    printf("%zu tensors have the same bits, %zu differ\n", n_same, n_different);
    *differ = n_different > 0;
    return LK_OK;
}

static lk_status diff(const options *opt, bool *differ)
{
    lk_checkpoint *a = NULL, *b = NULL;

    if (opt->n_positional != 3)
        return LK_FAIL(LK_ERR_USAGE, "lockstep ckpt diff needs two checkpoints: lockstep ckpt diff PATH PATH");
    lk_status status = open_checkpoint(opt->positional[1], &a);
    if (status == LK_OK) status = open_checkpoint(opt->positional[2], &b);
    if (status == LK_OK) status = compare(a, b, differ);
    lk_checkpoint_free(&b);
    lk_checkpoint_free(&a);
    return status;
}

static const struct { const char *name; verb_fn *run; } verbs[] = {
    {"list", verb_list}, {"show", verb_show}, {"verify", verb_verify}, {"digest", verb_digest},
};

enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

lk_status command_ckpt(job *j, const options *opt)
{
    if (opt->n_positional < 2)
        return LK_FAIL(LK_ERR_USAGE,
                       "lockstep ckpt needs a verb and a path: lockstep ckpt list|show|verify|digest|diff PATH");
    if (opt->against && strcmp(opt->positional[0], "show") != 0)
        return LK_FAIL(LK_ERR_USAGE, "--against is for lockstep ckpt show, not ckpt %s", opt->positional[0]);
    if (strcmp(opt->positional[0], "diff") == 0) return diff(opt, &j->differs);
    for (int i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i].name, opt->positional[0]) != 0) continue;
        for (int k = 1; k < opt->n_positional; k++)
            LK_TRY(verbs[i].run(opt, opt->positional[k], opt->n_positional > 2));
        return LK_OK;
    }
    return LK_FAIL(LK_ERR_USAGE, "lockstep ckpt %s: no such verb; there are list, show, verify, digest, diff",
                   opt->positional[0]);
}
