/*
 * lockstep ckpt list|show|verify|digest|diff|export: what is in checkpoints and in files of weights, whether it is
 * whole, how two differ; and a checkpoint's weights as such a file.
 */
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
    if (is_weights_file(path))
        return LK_FAIL(LK_ERR_USAGE, "%s: a file has no list of checkpoints; `lockstep ckpt show %s` tells what is in "
                       "it", path, path);
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
    if (opt->against) return show_against(path, opt);
    if (is_weights_file(path)) return show_file(path);
    LK_TRY(open_checkpoint(path, &ckpt));
    const lk_status status = show_checkpoint(ckpt);
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

static lk_status read_whole(lk_weights *weights, size_t i, float **out)
{
    const size_t nbytes = lk_weights_tensor(weights, i)->n_elem * sizeof **out;

    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    return lk_weights_read(weights, i, *out);
}

/* Numbers of a file that are none, or a variance below 0: a word, for the file is whole all the same. */
static lk_status look_at_numbers(lk_weights *weights)
{
    odd_weights odd = {0};

    for (size_t i = 0; i < lk_weights_n(weights); i++) {
        const lk_ckpt_tensor *t = lk_weights_tensor(weights, i);
        float *values = NULL;

        if (!lk_weights_are_real(weights, i)) continue;
        const lk_status status = read_whole(weights, i, &values);
        if (status == LK_OK) odd_look(&odd, lk_tensor_name(t), values, t->n_elem);
        lk_free(&values);
        LK_TRY(status);
    }
    odd_say(&odd, lk_weights_path(weights));
    return LK_OK;
}

/* There are no checksums in one. */
static lk_status verify_file(const char *path)
{
    lk_weights *weights;

    LK_TRY(lk_weights_open(path, &weights));
    printf("%s: header, types, shapes and places are right; %zu tensors\n", path, lk_weights_n(weights));
    fflush(stdout);
    const lk_status status = look_at_numbers(weights);
    lk_weights_free(&weights);
    return status;
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
    if (is_weights_file(path)) return verify_file(path);
    snprintf(dir, sizeof dir, "%s/checkpoints", path);
    if (stat(dir, &info) == 0) LK_TRY(lk_checkpoint_list(dir, &entries, &n));
    const lk_status status = n > 0 ? verify_each(dir, entries, n) : verify_one(path);
    free(entries);
    return status;
}

static const char *kind_of(const options *opt) { return opt->ema ? "ema/" : "model/"; }

/* As sha256sum has it: the digest, then whose it is. */
static lk_status verb_digest(const options *opt, const char *path, bool several)
{
    lk_weights *weights;
    char digest[LK_HASH_BYTES];

    LK_TRY(open_weights(path, kind_of(opt), &weights));
    const lk_status status = lk_weights_digest(weights, digest);
    if (status == LK_OK) printf("%s%s%s\n", digest, several ? "  " : "", several ? path : "");
    lk_weights_free(&weights);
    return status;
}

/* ------------------------------------------------------------------- export */

static bool ends_with(const char *text, const char *ending)
{
    const size_t n = strlen(text), m = strlen(ending);

    return n >= m && strcmp(text + n - m, ending) == 0;
}

/* Updates that the weights have seen; -1: whoever wrote them does not say. */
static int64_t step_of(const lk_weights *weights)
{
    int64_t step;

    return lk_metadata_get_int(lk_weights_metadata(weights), "run/step", &step) == LK_OK ? step : -1;
}

static lk_status verb_export(const options *opt, const char *path, bool several)
{
    lk_weights *weights;

    if (several) return LK_FAIL(LK_ERR_USAGE, "lockstep ckpt export takes one run or checkpoint");
    if (!opt->out) return LK_FAIL(LK_ERR_USAGE, "lockstep ckpt export needs -o FILE.safetensors");
    if (!ends_with(opt->out, ".safetensors"))
        return LK_FAIL(LK_ERR_USAGE, "-o: safetensors is what is written, and %s has another format's name", opt->out);
    LK_TRY(open_weights(path, kind_of(opt), &weights));
    const lk_status status = lk_weights_write(weights, step_of(weights), opt->ema, opt->out);
    if (status == LK_OK)
        printf("%s: %zu tensors of %s%s\n", opt->out, lk_weights_n(weights), lk_weights_path(weights),
               opt->ema ? ", its EMA" : "");
    lk_weights_free(&weights);
    return status;
}

/* --------------------------------------------------------------------- diff */

/* Of two checkpoints all is compared, with a file the weights alone, whatever kind theirs are called. */
static const char *key_of(const lk_ckpt_tensor *t, bool whole) { return whole ? t->path : lk_tensor_name(t); }

static size_t find_tensor(const lk_weights *in, const lk_ckpt_tensor *t, bool whole)
{
    size_t i = 0;

    while (i < lk_weights_n(in) && strcmp(key_of(lk_weights_tensor(in, i), whole), key_of(t, whole)) != 0) i++;
    return i;
}

static bool same_shape(const lk_ckpt_tensor *a, const lk_ckpt_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

/* Tensor i of a and k of b. */
static lk_status compare_tensor(lk_weights *a, size_t i, lk_weights *b, size_t k, size_t *n_different)
{
    const lk_ckpt_tensor *t = lk_weights_tensor(a, i);
    float *va = NULL, *vb = NULL;
    size_t count = 0;
    double largest = 0.0;

    lk_status status = read_whole(a, i, &va);
    if (status == LK_OK) status = read_whole(b, k, &vb);
    for (size_t e = 0; status == LK_OK && e < t->n_elem; e++) {
        if (memcmp(&va[e], &vb[e], sizeof va[e]) == 0) continue;
        count++;
        if (!(fabs((double)va[e] - vb[e]) <= largest)) largest = fabs((double)va[e] - vb[e]);
    }
    if (count) printf("  %-44s %zu of %zu elements differ, by up to %.6g\n", t->path, count, t->n_elem, largest);
    *n_different += count != 0;
    lk_free(&va);
    lk_free(&vb);
    return status;
}

static lk_status compare(lk_weights *a, lk_weights *b, bool whole, bool *differ)
{
    size_t n_different = 0, n_same = 0;

    for (size_t i = 0; i < lk_weights_n(a); i++) {
        const lk_ckpt_tensor *t = lk_weights_tensor(a, i);
        const size_t k = find_tensor(b, t, whole), before = n_different;

        if (k == lk_weights_n(b) || !same_shape(t, lk_weights_tensor(b, k))) {
            printf("  %-44s %s\n", t->path, k < lk_weights_n(b) ? "shapes differ" : "only in the first");
            n_different++;
            continue;
        }
        LK_TRY(compare_tensor(a, i, b, k, &n_different));
        n_same += n_different == before;
    }
    for (size_t k = 0; k < lk_weights_n(b); k++)
        if (find_tensor(a, lk_weights_tensor(b, k), whole) == lk_weights_n(a)) {
            printf("  %-44s only in the second\n", lk_weights_tensor(b, k)->path);
            n_different++;
        }
    printf("%zu tensors have the same bits, %zu differ\n", n_same, n_different);
    *differ = n_different > 0;
    return LK_OK;
}

static lk_status diff(const options *opt, bool *differ)
{
    lk_weights *a = NULL, *b = NULL;

    if (opt->n_positional != 3)
        return LK_FAIL(LK_ERR_USAGE, "lockstep ckpt diff needs two checkpoints: lockstep ckpt diff PATH PATH");
    const char *first = opt->positional[1], *second = opt->positional[2];
    const bool whole = !is_weights_file(first) && !is_weights_file(second);
    lk_status status = open_weights(first, whole ? "" : kind_of(opt), &a);
    if (status == LK_OK) status = open_weights(second, whole ? "" : kind_of(opt), &b);
    if (status == LK_OK) status = compare(a, b, whole, differ);
    lk_weights_free(&b);
    lk_weights_free(&a);
    return status;
}

static const struct { const char *name; verb_fn *run; } verbs[] = {
    {"list", verb_list}, {"show", verb_show}, {"verify", verb_verify}, {"digest", verb_digest}, {"export", verb_export},
};

enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

lk_status command_ckpt(job *j, const options *opt)
{
    if (opt->n_positional < 2)
        return LK_FAIL(LK_ERR_USAGE,
                       "lockstep ckpt needs a verb and a path: lockstep ckpt list|show|verify|digest|diff|export PATH");
    if (opt->against && strcmp(opt->positional[0], "show") != 0)
        return LK_FAIL(LK_ERR_USAGE, "--against is for lockstep ckpt show, not ckpt %s", opt->positional[0]);
    if (opt->out && strcmp(opt->positional[0], "export") != 0)
        return LK_FAIL(LK_ERR_USAGE, "--out is for lockstep ckpt export, not ckpt %s", opt->positional[0]);
    if (strcmp(opt->positional[0], "diff") == 0) return diff(opt, &j->differs);
    for (int i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i].name, opt->positional[0]) != 0) continue;
        for (int k = 1; k < opt->n_positional; k++)
            LK_TRY(verbs[i].run(opt, opt->positional[k], opt->n_positional > 2));
        return LK_OK;
    }
    return LK_FAIL(LK_ERR_USAGE, "lockstep ckpt %s: no such verb; there are list, show, verify, digest, diff, export",
                   opt->positional[0]);
}
