/*
 * Two recipes, key by key: what a run that is resumed, or a checkpoint that is looked at, is told in another way than
 * it was trained with.
 *
 * Compared are the completed documents, defaults included, so it does not matter who wrote a default out.  Keys of the
 * run as a whole are looked at once; those that stages and groups may name, in each of them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

/* Sections whose keys stages have; what another stage says alike is told once. */
static const char *const of_stages[] = {"train", "optimizer", "scheduler", "momentum_scheduler",
                                        "weight_decay_scheduler"};
/* Where a run lies, how it began and on how many threads it reads say nothing of what it computes; lanes are the
 * checkpoint's, and have a check of their own. */
static const char *const unimportant[] = {"run.name", "run.dir", "init_from", "train.lanes", "data.threads"};

/* Two documents side by side, and what they differ in. */
typedef struct pair {
    lk_yaml was, is;
    lk_recipe_changes *out;
    const char *prefix; /* put before a path: "stages.head." */
    const char *strip;  /* taken from its beginning: "optimizer." of a group's */
} pair;

void lk_recipe_changes_free(lk_recipe_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        free(changes->change[i].key);
        free(changes->change[i].was);
        free(changes->change[i].is);
    }
    free(changes->change);
    *changes = (lk_recipe_changes){0};
}

static bool is_one_of(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}
#define IS_ONE_OF(words, word) is_one_of(words, sizeof(words) / sizeof *(words), word)

/* ------------------------------------------------------------------- values */

static const yaml_node_t *node_of(const lk_yaml *yaml, int node) { return yaml->document.nodes.start + node - 1; }

static void put_value(FILE *text, lk_yaml *yaml, int node);

static void put_list(FILE *text, lk_yaml *yaml, const yaml_node_t *list)
{
    fputc('[', text);
    for (const int *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
        if (item > list->data.sequence.items.start) fprintf(text, ", ");
        put_value(text, yaml, *item);
    }
    fputc(']', text);
}

static void put_mapping(FILE *text, lk_yaml *yaml, const yaml_node_t *mapping)
{
    const yaml_node_pair_t *first = mapping->data.mapping.pairs.start;

    fputc('{', text);
    for (const yaml_node_pair_t *p = first; p < mapping->data.mapping.pairs.top; p++) {
        fprintf(text, "%s%s: ", p > first ? ", " : "", lk_yaml_text(yaml, p->key));
        put_value(text, yaml, p->value);
    }
    fputc('}', text);
}

static void put_value(FILE *text, lk_yaml *yaml, int node)
{
    const yaml_node_t *n = node_of(yaml, node);

    if (n->type == YAML_SCALAR_NODE) fprintf(text, "%s", (const char *)n->data.scalar.value);
    else if (n->type == YAML_SEQUENCE_NODE) put_list(text, yaml, n);
    else put_mapping(text, yaml, n);
}

/* node 0: the key is not there.  NULL: no memory. */
static char *value_text(lk_yaml *yaml, int node)
{
    char *text = NULL;
    size_t nbytes;

    if (!node) return strdup("unset");
    if (node_of(yaml, node)->type == YAML_MAPPING_NODE) return strdup("given"); /* a whole section */
    FILE *stream = open_memstream(&text, &nbytes);
    if (!stream) return NULL;
    put_value(stream, yaml, node);
    if (fclose(stream) == 0) return text;
    free(text);
    return NULL;
}

/* 1e-3 is 0.001. */
static bool is_same_text(const char *a, const char *b)
{
    char *end_a, *end_b;

    if (strcmp(a, b) == 0) return true;
    const double x = strtod(a, &end_a), y = strtod(b, &end_b);
    return *a && *b && !*end_a && !*end_b && x == y;
}

static bool is_same(pair *p, int was, int is);

static bool is_same_list(pair *p, const yaml_node_t *a, const yaml_node_t *b)
{
    const int *i = a->data.sequence.items.start, *k = b->data.sequence.items.start;
    const ptrdiff_t n = a->data.sequence.items.top - i;

    if (n != b->data.sequence.items.top - k) return false;
    for (ptrdiff_t at = 0; at < n; at++)
        if (!is_same(p, i[at], k[at])) return false;
    return true;
}

/* An entry of a list: a transform, a schedule in a sequence.  The order of its keys says nothing. */
static bool is_same_mapping(pair *p, const yaml_node_t *a, const yaml_node_t *b, int is)
{
    const yaml_node_pair_t *first = a->data.mapping.pairs.start, *end = a->data.mapping.pairs.top;

    if (end - first != b->data.mapping.pairs.top - b->data.mapping.pairs.start) return false;
    for (const yaml_node_pair_t *at = first; at < end; at++)
        if (!is_same(p, at->value, lk_yaml_get(&p->is, is, lk_yaml_text(&p->was, at->key)))) return false;
    return true;
}

static bool is_same(pair *p, int was, int is)
{
    const yaml_node_t *a = was ? node_of(&p->was, was) : NULL, *b = is ? node_of(&p->is, is) : NULL;

    if (!a || !b || a->type != b->type) return false;
    if (a->type == YAML_SEQUENCE_NODE) return is_same_list(p, a, b);
    if (a->type == YAML_MAPPING_NODE) return is_same_mapping(p, a, b, is);
    return is_same_text((const char *)a->data.scalar.value, (const char *)b->data.scalar.value);
}

/* ------------------------------------------------------------------ changes */

static bool is_known(const lk_recipe_changes *all, const char *key, const char *was, const char *is)
{
    for (size_t i = 0; i < all->n; i++) {
        const lk_recipe_change *c = &all->change[i];
        if (strcmp(c->key, key) == 0 && strcmp(c->was, was) == 0 && strcmp(c->is, is) == 0) return true;
    }
    return false;
}

/* The section's rule goes for its keys, but for names of files: what is in them counts. */
static bool is_fixed(const char *path)
{
    char section[LK_RECIPE_PATH_BYTES];
    const lk_rule *rule = NULL, *whole = NULL;

    snprintf(section, sizeof section, "%.*s", (int)strcspn(path, "."), path);
    lk_recipe_field(section, &whole);
    lk_recipe_field(path, &rule);
    return !(rule && rule->is_path) && ((rule && rule->fixed) || (whole && whole->fixed));
}

static bool drops_state(const char *path)
{
    const lk_rule *rule = NULL;

    lk_recipe_field(path, &rule);
    return rule && rule->state;
}

/* Takes was and is. */
static lk_status add(pair *p, const char *path, char *was, char *is)
{
    lk_recipe_changes *out = p->out;
    const size_t n_strip = strlen(p->strip);
    const char *rest = strncmp(path, p->strip, n_strip) == 0 ? path + n_strip : path;
    char key[2 * LK_RECIPE_PATH_BYTES];

    snprintf(key, sizeof key, "%s%s", p->prefix, rest);
    lk_recipe_change change = {
        .key = strdup(key), .was = was, .is = is, .fixed = is_fixed(path), .state = drops_state(path)};
    lk_recipe_change *grown = realloc(out->change, (out->n + 1) * sizeof *grown);
    if (grown) out->change = grown;
    if (!grown || !change.key || !was || !is || is_known(out, path, was, is) || is_known(out, key, was, is)) {
        const bool short_of_memory = !grown || !change.key || !was || !is;

        free(change.key);
        free(was);
        free(is);
        return short_of_memory ? LK_FAIL(LK_ERR_SYSTEM, "out of memory: what changed in a recipe") : LK_OK;
    }
    out->change[out->n++] = change;
    return LK_OK;
}

static lk_status compare_node(pair *p, const char *path, int was, int is);

/* Keys of `a` that `b` has too, or, of the second pass, has not. */
static lk_status compare_keys(pair *p, const char *path, int was, int is, bool missing_alone)
{
    lk_yaml *of = missing_alone ? &p->is : &p->was;
    const yaml_node_t *n = node_of(of, missing_alone ? is : was);

    for (const yaml_node_pair_t *at = n->data.mapping.pairs.start; at < n->data.mapping.pairs.top; at++) {
        const char *key = lk_yaml_text(of, at->key);
        const int a = lk_yaml_get(&p->was, was, key), b = lk_yaml_get(&p->is, is, key);
        char inner[LK_RECIPE_PATH_BYTES];

        if (missing_alone && a) continue;
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
        LK_TRY(compare_node(p, inner, a, b));
    }
    return LK_OK;
}

static lk_status compare_node(pair *p, const char *path, int was, int is)
{
    const yaml_node_t *a = was ? node_of(&p->was, was) : NULL, *b = is ? node_of(&p->is, is) : NULL;

    if (IS_ONE_OF(unimportant, path)) return LK_OK;
    if (a && b && a->type == YAML_MAPPING_NODE && b->type == YAML_MAPPING_NODE) {
        LK_TRY(compare_keys(p, path, was, is, false));
        return compare_keys(p, path, was, is, true);
    }
    if (is_same(p, was, is)) return LK_OK;
    return add(p, path, value_text(&p->was, was), value_text(&p->is, is));
}

/* ------------------------------------------------------------------ recipes */

/* Sections that stages have (or the others), and of those the ones that groups have. */
typedef enum which { WHOLE_RUN, OF_A_STAGE, OF_A_GROUP } which;

static bool is_among(const char *section, which sections)
{
    const bool stage = IS_ONE_OF(of_stages, section);

    if (sections == OF_A_GROUP) return stage && strcmp(section, "train") != 0;
    return stage == (sections == OF_A_STAGE);
}

static lk_status compare_sections(const lk_recipe *was, const lk_recipe *is, which sections, const char *prefix,
                                  const char *strip, lk_recipe_changes *out)
{
    pair p = {.out = out, .prefix = prefix, .strip = strip};

    lk_status status = lk_yaml_load(was->completed, was->path, false, &p.was);
    if (status == LK_OK) status = lk_yaml_load(is->completed, is->path, false, &p.is);
    for (int i = 0; status == LK_OK && lk_recipe_fields[i].key; i++) {
        const char *section = lk_recipe_fields[i].key;
        const int a = lk_yaml_at(&p.was, section), b = lk_yaml_at(&p.is, section);

        if ((a || b) && is_among(section, sections)) status = compare_node(&p, section, a, b);
    }
    lk_yaml_close(&p.is);
    lk_yaml_close(&p.was);
    return status;
}

static lk_status add_count(lk_recipe_changes *out, const char *key, unsigned was, unsigned is)
{
    pair p = {.out = out, .prefix = "", .strip = ""};
    char *a, *b;

    if (was == is) return LK_OK;
    if (asprintf(&a, "%u", was) < 0) a = NULL;
    if (asprintf(&b, "%u", is) < 0) b = NULL;
    return add(&p, key, a, b);
}

static lk_status compare_groups(const lk_recipe *was, const lk_recipe *is, const char *stage, lk_recipe_changes *out)
{
    char prefix[LK_RECIPE_PATH_BYTES];

    snprintf(prefix, sizeof prefix, "%soptimizer.groups", stage);
    LK_TRY(add_count(out, prefix, was->n_groups - 1, is->n_groups - 1));
    for (unsigned g = 1; g < was->n_groups && g < is->n_groups; g++) {
        snprintf(prefix, sizeof prefix, "%soptimizer.groups.%s.", stage, is->groups[g]->group);
        LK_TRY(compare_sections(was->groups[g], is->groups[g], OF_A_GROUP, prefix, "optimizer.", out));
    }
    return LK_OK;
}

/* A change that all stages share, as one override of a section makes it, is told as that of the section. */
static bool is_everywhere(const lk_recipe_changes *stages, unsigned n, const lk_recipe_change *c)
{
    for (unsigned s = 0; s < n; s++)
        if (!is_known(&stages[s], c->key, c->was, c->is)) return false;
    return true;
}

static lk_status move_changes(lk_recipe_changes *stages, unsigned s, unsigned n, const char *name,
                              lk_recipe_changes *out)
{
    for (size_t i = 0; i < stages[s].n; i++) {
        const lk_recipe_change *c = &stages[s].change[i];
        char prefix[LK_RECIPE_PATH_BYTES] = "";
        const bool shared = n == 1 || is_everywhere(stages, n, c);

        if (shared && s > 0) continue;
        if (!shared) snprintf(prefix, sizeof prefix, "stages.%s.", name);
        pair p = {.out = out, .prefix = prefix, .strip = shared ? "" : "train."};
        LK_TRY(add(&p, c->key, strdup(c->was), strdup(c->is)));
        out->change[out->n - 1].state = c->state;
    }
    return LK_OK;
}

static lk_status compare_stages(const lk_recipe *was, const lk_recipe *is, unsigned n, lk_recipe_changes *stages)
{
    for (unsigned s = 0; s < n; s++) {
        LK_TRY(compare_sections(was->stages[s], is->stages[s], OF_A_STAGE, "", "", &stages[s]));
        LK_TRY(compare_groups(was->stages[s], is->stages[s], "", &stages[s]));
    }
    return LK_OK;
}

lk_status lk_recipe_compare(const lk_recipe *was, const lk_recipe *is, lk_recipe_changes *out)
{
    const unsigned n = was->n_stages < is->n_stages ? was->n_stages : is->n_stages;
    lk_recipe_changes *stages = calloc(n, sizeof *stages);

    *out = (lk_recipe_changes){0};
    LK_TRY_ALLOC(stages, n * sizeof *stages);
    lk_status status = compare_sections(was, is, WHOLE_RUN, "", "", out);
    if (status == LK_OK) status = add_count(out, "stages", was->n_stages, is->n_stages);
    if (status == LK_OK) status = compare_stages(was, is, n, stages);
    for (unsigned s = 0; status == LK_OK && s < n; s++)
        status = move_changes(stages, s, n, is->stages[s]->stage ? is->stages[s]->stage : "", out);
    for (unsigned s = 0; s < n; s++) lk_recipe_changes_free(&stages[s]);
    free(stages);
    if (status != LK_OK) lk_recipe_changes_free(out);
    return status;
}
