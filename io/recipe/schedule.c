/*
 * The section `scheduler`: defaults that depend on the kind, and what concerns several keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))
#define PLATEAU "reduce_on_plateau"

/* Defaults of keys that several kinds take and PyTorch sets differently; NULL: the kind needs the key. */
static const struct { const char *kind, *key, *text; } kind_defaults[] = {
    {PLATEAU, "factor", "0.1"},       {"constant", "factor", "0.33333333333333331"}, /* 1/3 */
    {"step", "gamma", "0.1"},         {"multistep", "gamma", "0.1"},
    {"exponential", "gamma", NULL},   {"cyclic", "gamma", "1"},
    {"cyclic", "mode", "triangular"}, {"cyclic", "scale_mode", "cycle"},
    {"cyclic", "base_momentum", "0.8"},    {"cyclic", "max_momentum", "0.9"},
    {"onecycle", "base_momentum", "0.85"}, {"onecycle", "max_momentum", "0.95"},
    {"inverse_sqrt", "warmup_steps", NULL}, {"wsd", "warmup_steps", "0"},
};

/* One schedule of the document: its mapping, path and kind. */
typedef struct place { lk_yaml *yaml; int node; const char *path, *kind; bool outermost; } place;

static int get(const place *p, const char *key) { return lk_yaml_get(p->yaml, p->node, key); }
static const char *text_of(const place *p, const char *key) { return lk_yaml_text(p->yaml, get(p, key)); }
static bool has(const place *p, const char *key) { return get(p, key) != 0; }
static bool is_kind(const place *p, const char *kind) { return strcmp(p->kind, kind) == 0; }

/* Fails at a key, or at the schedule where it lacks the key. */
#define FAIL_AT(p, key, ...)                                                                          \
    ({                                                                                                \
        char path_[LK_RECIPE_PATH_BYTES];                                                             \
        const int node_ = get(p, key);                                                                \
        snprintf(path_, sizeof path_, "%s.%s", (p)->path, key);                                       \
        lk_yaml_fail((p)->yaml, node_ ? node_ : (p)->node, path_, __VA_ARGS__);                       \
    })

static lk_status set_default(const place *p, const char *key, const char *text)
{
    int node;

    if (has(p, key)) return LK_OK;
    LK_TRY(lk_yaml_add_text(p->yaml, text, &node));
    return lk_yaml_set(p->yaml, p->node, key, node);
}

static lk_status fill_kind(const place *p)
{
    for (size_t i = 0; i < N_OF(kind_defaults); i++) {
        if (!is_kind(p, kind_defaults[i].kind) || has(p, kind_defaults[i].key)) continue;
        if (!kind_defaults[i].text) return FAIL_AT(p, kind_defaults[i].key, "is missing: kind %s needs it", p->kind);
        LK_TRY(set_default(p, kind_defaults[i].key, kind_defaults[i].text));
    }
    if (is_kind(p, "cyclic") && has(p, "step_size_up"))
        return set_default(p, "step_size_down", text_of(p, "step_size_up"));
    return is_kind(p, "cyclic") ? set_default(p, "step_size_down", "2000") : LK_OK;
}

static bool is_cycle_word(const char *word)
{
#define IS_WORD(name, text) if (strcmp(word, text) == 0) return true;
    LK_CYCLE_LIST(IS_WORD)
#undef IS_WORD
    return false;
}

static lk_status check_kind(const place *p)
{
    const char *mode = text_of(p, "mode"), *factor = text_of(p, "factor"), *warm = text_of(p, "warmup_steps");

    if (mode && is_kind(p, "cyclic") != is_cycle_word(mode))
        return FAIL_AT(p, "mode", "`%s` is none of %s", mode,
                       is_kind(p, "cyclic") ? "triangular, triangular2, exp_range" : "min, max");
    if (factor && is_kind(p, PLATEAU) && strtod(factor, NULL) == 1.0)
        return FAIL_AT(p, "factor", "%s is out of range: below 1", factor);
    if (factor && is_kind(p, "constant") && strtod(factor, NULL) == 0.0)
        return FAIL_AT(p, "factor", "%s is out of range: above 0", factor);
    if (warm && is_kind(p, "inverse_sqrt") && strtod(warm, NULL) < 1.0)
        return FAIL_AT(p, "warmup_steps", "%s is out of range: at least 1", warm);
    if (is_kind(p, "onecycle") && has(p, "total_steps") == (has(p, "epochs") || has(p, "steps_per_epoch")))
        return FAIL_AT(p, "total_steps", "give total_steps, or epochs and steps_per_epoch");
    if (is_kind(p, "onecycle") && has(p, "epochs") != has(p, "steps_per_epoch"))
        return FAIL_AT(p, has(p, "epochs") ? "steps_per_epoch" : "epochs", "is missing: the other one is given");
    return LK_OK;
}

static lk_status check_nesting(const place *p)
{
    if (p->outermost) return LK_OK;
    if (!text_of(p, "kind")) return FAIL_AT(p, "kind", "is missing: each of several schedulers names its kind");
    if (has(p, "every")) return FAIL_AT(p, "every", "belongs to the outermost scheduler: all in it count alike");
    if (has(p, "start_step")) return FAIL_AT(p, "start_step", "belongs to the outermost scheduler");
    if (is_kind(p, PLATEAU))
        return FAIL_AT(p, "kind", "reduce_on_plateau goes by a metric and cannot be part of another schedule");
    return LK_OK;
}

/* ------------------------------------------------------------ several of them */

static const yaml_node_t *list_of(const place *p, const char *key)
{
    return yaml_document_get_node(&p->yaml->document, get(p, key));
}

static size_t length_of(const yaml_node_t *list)
{
    return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static lk_status check_milestones(const place *p)
{
    const yaml_node_t *list = list_of(p, "milestones");
    const size_t n = length_of(list), n_schedulers = length_of(list_of(p, "schedulers"));
    long long before = 0;

    if (n + 1 != n_schedulers)
        return FAIL_AT(p, "milestones", "a list of %zu for %zu schedulers: expected %zu, one between each two", n,
                       n_schedulers, n_schedulers - 1);
    for (size_t i = 0; i < n; i++) {
        const long long milestone = strtoll(lk_yaml_text(p->yaml, list->data.sequence.items.start[i]), NULL, 10);

        if (milestone < before)
            return FAIL_AT(p, "milestones", "%lld comes after %lld: they count up", milestone, before);
        before = milestone;
    }
    return LK_OK;
}

static lk_status fill_schedule(lk_yaml *yaml, int node, const char *path, bool outermost)
{
    const char *kind = lk_yaml_text(yaml, lk_yaml_get(yaml, node, "kind"));
    const place p = {.yaml = yaml, .node = node, .path = path, .kind = kind ? kind : "none", .outermost = outermost};

    LK_TRY(check_nesting(&p));
    LK_TRY(check_kind(&p));
    LK_TRY(fill_kind(&p));
    if (is_kind(&p, "sequential")) LK_TRY(check_milestones(&p));
    if (!has(&p, "schedulers")) return LK_OK;
    const size_t n = length_of(list_of(&p, "schedulers"));
    for (size_t i = 0; i < n; i++) { /* the list moves when nodes are added */
        char inner[LK_RECIPE_PATH_BYTES];

        snprintf(inner, sizeof inner, "%s.schedulers[%zu]", path, i);
        LK_TRY(fill_schedule(yaml, list_of(&p, "schedulers")->data.sequence.items.start[i], inner, false));
    }
    return LK_OK;
}

lk_status lk_recipe_fill_schedule(lk_yaml *yaml, const char *path)
{
    const int node = lk_yaml_at(yaml, path);

    return node ? fill_schedule(yaml, node, path, true) : LK_OK;
}
