/*
 * What was probably meant by a key or a word that does not exist: first what other trainers call it, then a key of
 * that name in another section, then one a few letters away.
 *
 * Letters are compared key by key and never path by path: a long section's name in common would make anything near.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/recipe/parts.h"

enum { MOST_KEYS = 512 };

/* What PyTorch, Lightning, torchtitan, Keras and the shell's habits call keys of ours; "epochs" and the like are here
 * because several sections have one. */
static const struct { const char *theirs, *ours; } synonyms[] = {
    {"learning_rate", "optimizer.lr"},     {"wd", "optimizer.weight_decay"},     {"optim", "optimizer.kind"},
    {"max_grad_norm", "optimizer.clip_norm"}, {"grad_clip", "optimizer.clip_norm"},
    {"gradient_clip_val", "optimizer.clip_norm"},
    {"batch_size", "train.batch"},         {"bs", "train.batch"},                {"epochs", "train.epochs"},
    {"n_epochs", "train.epochs"},          {"num_epochs", "train.epochs"},       {"max_epochs", "train.epochs"},
    {"num_train_epochs", "train.epochs"},  {"steps", "train.steps"},             {"max_steps", "train.steps"},
    {"num_steps", "train.steps"},          {"eval_every", "train.evaluate_every"},
    {"early_stopping", "train.early_stop"}, {"patience", "train.early_stop.patience"},
    {"eval_batch_size", "train.evaluate_batch"},
    {"device", "engine.kind"},             {"accelerator", "engine.kind"},       {"gpu", "engine.kind"},
    {"dtype", "engine.precision"},         {"amp", "engine.precision"},          {"num_threads", "engine.threads"},
    {"random_seed", "run.seed"},           {"random_state", "run.seed"},         {"output_dir", "run.dir"},
    {"out_dir", "run.dir"},                {"save_dir", "run.dir"},              {"logdir", "run.dir"},
    {"last_epoch", "scheduler.start_step"}, {"initial_lr", "optimizer.lr"},
    {"lr_scheduler", "scheduler"},         {"criterion", "loss.kind"},           {"ema_decay", "ema.beta"},
    {"min_epochs", "train.early_stop.min_epochs"}, {"start_from_epoch", "train.early_stop.min_epochs"},
    {"save_every", "checkpoint.every"},    {"backend", "dist.reduction"},
};
static const struct { const char *theirs, *ours; } words[] = {
    {"gpu", "cuda"},                {"mae", "l1"},                  {"l2", "mse"},
    {"ce", "cross_entropy"},        {"crossentropy", "cross_entropy"}, {"bfloat16", "bf16"},
    {"float32", "fp32"},            {"f32", "fp32"},                {"cosine_annealing", "cosine"},
    {"one_cycle", "onecycle"},      {"plateau", "reduce_on_plateau"},
};
#define N_OF(array) (sizeof(array) / sizeof *(array))

static const char *synonym_of(const char *key)
{
    for (size_t i = 0; i < N_OF(synonyms); i++)
        if (strcasecmp(synonyms[i].theirs, key) == 0) return synonyms[i].ours;
    return NULL;
}

const char *lk_recipe_word_synonym(const char *word)
{
    for (size_t i = 0; i < N_OF(words); i++)
        if (strcasecmp(words[i].theirs, word) == 0) return words[i].ours;
    return NULL;
}

/* Keys on the way through all paths, with the last word of each. */
typedef struct collect {
    size_t n;
    char path[MOST_KEYS][LK_RECIPE_PATH_BYTES];
    const char *last[MOST_KEYS];
} collect;

static void keep_path(void *arg, const char *path)
{
    collect *c = arg;

    if (c->n == MOST_KEYS) return;
    snprintf(c->path[c->n], LK_RECIPE_PATH_BYTES, "%s", path);
    const char *dot = strrchr(c->path[c->n], '.');
    c->last[c->n] = dot ? dot + 1 : c->path[c->n];
    c->n++;
}

/* The n characters before the last word. */
static bool is_beside(const char *path, const char *last, const char *other, size_t n)
{
    return (size_t)(last - path) == n && strncmp(path, other, n) == 0;
}

/* Beside the key first, where its section is one. */
static const char *near_beside(const collect *c, const char *path, const char *last)
{
    const char *beside[MOST_KEYS] = {NULL};
    size_t n = 0, at[MOST_KEYS];

    for (size_t i = 0; i < c->n; i++)
        if (is_beside(path, last, c->path[i], (size_t)(c->last[i] - c->path[i]))) at[n] = i, beside[n++] = c->last[i];
    const char *near = lk_nearest(last, beside, n);
    for (size_t i = 0; near && i < n; i++)
        if (beside[i] == near) return c->path[at[i]];
    return NULL;
}

static const char *near_anywhere(const collect *c, const char *last)
{
    const char *near = lk_nearest(last, c->last, c->n);

    for (size_t i = 0; near && i < c->n; i++)
        if (c->last[i] == near) return c->path[i];
    return NULL;
}

static const char *find_named(const collect *c, const char *name)
{
    const char *found = synonym_of(name);

    for (size_t i = 0; !found && i < c->n; i++)
        if (strcasecmp(c->last[i], name) == 0) found = c->path[i];
    return found;
}

static const char *find_near(const collect *c, const char *path, const char *last)
{
    const char *found = near_beside(c, path, last);

    return found ? found : near_anywhere(c, last);
}

static bool find(const char *path, bool near, char *out, size_t nbytes)
{
    const char *dot = strrchr(path, '.'), *last = dot ? dot + 1 : path;
    collect *c = calloc(1, sizeof *c);

    if (!c) return false; /* nothing is suggested */
    lk_recipe_each_path(keep_path, c);
    const char *found = find_named(c, last);
    if (!found && near) found = find_near(c, path, last);
    if (found) snprintf(out, nbytes, "%s", found);
    free(c);
    return found != NULL;
}

bool lk_recipe_meant(const char *path, char out[LK_RECIPE_PATH_BYTES])
{
    return find(path, true, out, LK_RECIPE_PATH_BYTES);
}

bool lk_recipe_find_key(const char *name, char *out, size_t nbytes) { return find(name, false, out, nbytes); }

lk_status lk_recipe_fail_unknown_path(const char *where, const char *path)
{
    char meant[LK_RECIPE_PATH_BYTES];

    if (!lk_recipe_meant(path, meant))
        return LK_FAIL(LK_ERR_USAGE, "%s: no such key; `lockstep keys` lists them", where);
    return LK_FAIL(LK_ERR_USAGE, "%s: no such key; did you mean `%s`?", where, meant);
}
