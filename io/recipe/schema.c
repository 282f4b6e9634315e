/*
 * The schema of recipes: every key once, with its type, its place in lk_recipe, its range, its default and its help.
 *
 * A section's keys are in keys_*.c.  One list makes two arrays of equal length: fields, by which libcyaml fills
 * lk_recipe, and rules, by which check.c and fill.c judge and complete what a person wrote, and from which help.c
 * writes the reference.  Words of enumerations come from the lists in engine.h and io.h.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

#define SECTION_TABLES(name) extern const cyaml_schema_field_t name##_fields[]; extern const lk_rule name##_rules[];
SECTION_TABLES(lk_run) SECTION_TABLES(lk_engine) SECTION_TABLES(lk_data) SECTION_TABLES(lk_model)
SECTION_TABLES(lk_loss) SECTION_TABLES(lk_optimizer) SECTION_TABLES(lk_ema) SECTION_TABLES(lk_init_from)
SECTION_TABLES(lk_train) SECTION_TABLES(lk_checkpoint) SECTION_TABLES(lk_metrics) SECTION_TABLES(lk_dist)

#define OF(name) .rules = lk_##name##_rules
#define SECTIONS(X)                                                                                                  \
    X("run", KEYS(lk_run_fields), OF(run), NEEDED, HELP("the run: its name, seed and folder"))                       \
    X("engine", KEYS(lk_engine_fields), OF(engine), DEFAULT("{}"), HELP("what computes"))                            \
    X("data", KEYS(lk_data_fields), OF(data), NEEDED, DECIDES, HELP("samples to learn from"))                        \
    X("model", KEYS(lk_model_fields), OF(model), NEEDED, DECIDES, HELP("the network"))                               \
    X("loss", KEYS(lk_loss_fields), OF(loss), NEEDED, DECIDES, HELP("what training makes small"))                    \
    X("optimizer", KEYS(lk_optimizer_fields), OF(optimizer), NEEDED, HELP("how weights follow gradients"))           \
    X("scheduler", SECTION(scheduler.spec, lk_schedule_fields), OF(schedule), DEFAULT("{}"),                         \
      HELP("the learning rate's course"))                                                                            \
    X("momentum_scheduler", SECTION(momentum_scheduler.spec, lk_schedule_fields), OF(schedule), DEFAULT("{}"),       \
      HELP("momentum's course (Adam: beta1's), written like `scheduler`; no plateau"))                               \
    X("weight_decay_scheduler", SECTION(weight_decay_scheduler.spec, lk_schedule_fields), OF(schedule), DEFAULT("{}"), \
      HELP("weight decay's course, written like `scheduler`; no plateau"))                                           \
    X("ema", KEYS(lk_ema_fields), OF(ema), HAS_STATE, HELP("an average of the weights, by ema-pytorch's rules"))     \
    X("init_from", KEYS(lk_init_from_fields), OF(init_from),                                                         \
      HELP("another run's weights for a new run to begin with"))                                                     \
    X("train", KEYS(lk_train_fields), OF(train), NEEDED, HELP("how long, in what steps, and when to stop"))          \
    X("checkpoint", KEYS(lk_checkpoint_fields), OF(checkpoint), DEFAULT("{}"), HELP("when to save and what to keep")) \
    X("metrics", KEYS(lk_metrics_fields), OF(metrics), DEFAULT("{}"), HELP("what TensorBoard is told"))              \
    X("dist", KEYS(lk_dist_fields), OF(dist), DEFAULT("{}"), HELP("how workers work together"))

const cyaml_schema_field_t lk_recipe_fields[] = {SECTIONS(AS_FIELD) CYAML_FIELD_END};
const lk_rule lk_recipe_rules[] = {SECTIONS(AS_RULE)};

int lk_recipe_row(const cyaml_schema_field_t *fields, const char *key)
{
    for (int i = 0; fields[i].key; i++)
        if (strcmp(fields[i].key, key) == 0) return i;
    return -1;
}

const cyaml_schema_field_t *lk_recipe_field(const char *path, const lk_rule **rule)
{
    const cyaml_schema_field_t *fields = lk_recipe_fields;
    const lk_rule *rules = lk_recipe_rules;

    for (;;) {
        char key[LK_RECIPE_PATH_BYTES];
        const size_t n = strcspn(path, ".");

        snprintf(key, sizeof key, "%.*s", (int)n, path);
        const int row = n < sizeof key ? lk_recipe_row(fields, key) : -1;
        if (row < 0) return NULL;
        if (path[n] == '\0') {
            if (rule) *rule = &rules[row];
            return &fields[row];
        }
        if (fields[row].value.type != CYAML_MAPPING) return NULL;
        path += n + 1;
        rules = rules[row].rules;
        fields = fields[row].value.mapping.fields;
    }
}

/* The first of `words`, which blanks separate, with a final 0; returns what is behind it. */
static const char *take_word(const char *words, char out[LK_RECIPE_PATH_BYTES])
{
    const size_t length = strcspn(words, " ");

    assert(length < LK_RECIPE_PATH_BYTES);
    memcpy(out, words, length);
    out[length] = '\0';
    return words + length + strspn(words + length, " ");
}

bool lk_rule_takes(const lk_rule *rule, const char *kind)
{
    char pattern[LK_RECIPE_PATH_BYTES];

    if (!rule->only || !kind) return true;
    for (const char *left = rule->only; *left;) {
        left = take_word(left, pattern);
        if (lk_glob(pattern, kind)) return true;
    }
    return false;
}

const char *lk_rule_fallback(const lk_rule *rule, const char *kind)
{
    for (const lk_kind_default *own = rule->own_fallback; kind && own && own->kinds; own++)
        if (lk_glob(own->kinds, kind)) return own->text;
    return rule->fallback;
}

static void visit_fields(const cyaml_schema_field_t *fields, const lk_rule *rules, const char *prefix,
                         void (*visit)(void *arg, const char *path), void *arg)
{
    for (; fields->key; fields++, rules++) {
        char path[LK_RECIPE_PATH_BYTES];

        const int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", fields->key);
        if (rules->inner || n >= (int)sizeof path) continue; /* no key of ours is that long */
        visit(arg, path);
        if (fields->value.type == CYAML_MAPPING)
            visit_fields(fields->value.mapping.fields, rules->rules, path, visit, arg);
    }
}

void lk_recipe_each_path(void (*visit)(void *arg, const char *path), void *arg)
{
    visit_fields(lk_recipe_fields, lk_recipe_rules, "", visit, arg);
}
