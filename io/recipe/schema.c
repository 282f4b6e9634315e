/*
 * The schema of recipes: every key once, with its type, its place in lk_recipe, its range and its default.
 *
 * One list per section makes two arrays of equal length: fields, by which libcyaml fills lk_recipe, and rules, by
 * which check.c and fill.c judge and complete what a person wrote.  Words of enumerations come from the
 * lists in engine.h and io.h.  Defaults are PyTorch's and ema-pytorch's where those have the thing.
 */
#include <stdio.h>
#include <string.h>

#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t engine_words[] = WORDS(LK_ENGINE_LIST);
static const cyaml_strval_t precision_words[] = WORDS(LK_PRECISION_LIST);
static const cyaml_strval_t data_words[] = WORDS(LK_DATA_LIST);
static const cyaml_strval_t missing_words[] = WORDS(LK_MISSING_LIST);
static const cyaml_strval_t standardize_words[] = WORDS(LK_STANDARDIZE_LIST);
static const cyaml_strval_t model_words[] = WORDS(LK_MODEL_LIST);
static const cyaml_strval_t activation_words[] = WORDS(LK_ACTIVATION_LIST);
static const cyaml_strval_t norm_words[] = WORDS(LK_NORM_LIST);
static const cyaml_strval_t norm_place_words[] = WORDS(LK_NORM_PLACE_LIST);
static const cyaml_strval_t pool_words[] = WORDS(LK_POOL_LIST);
static const cyaml_strval_t init_words[] = WORDS(LK_INIT_LIST);
static const cyaml_strval_t loss_words[] = WORDS(LK_LOSS_LIST);
static const cyaml_strval_t optimizer_words[] = WORDS(LK_OPTIMIZER_LIST);
static const cyaml_strval_t extremum_words[] = WORDS(LK_EXTREMUM_LIST);
static const cyaml_strval_t nonfinite_words[] = WORDS(LK_ON_NONFINITE_LIST);
static const cyaml_strval_t frozen_norm_words[] = WORDS(LK_FROZEN_NORM_LIST);
static const cyaml_strval_t unit_words[] = WORDS(LK_UNIT_LIST);
/* dist's list, which io may not see; test_recipe.c holds the two together. */
static const cyaml_strval_t reduction_words[] = {{"tree", 0}, {"mpi", 1}, {"nccl", 2}};

enum { MOST_THREADS = 1024, MOST_LANES = 1 << 16, MOST_DEGREE = 1000 };

#define RUN_KEYS(X)                    \
    X("name", TEXT(run.name), NEEDED)  \
    X("seed", COUNTER(run.seed), AT_LEAST(0), DEFAULT("0")) \
    X("dir", TEXT(run.dir))

#define ENGINE_KEYS(X)                                                             \
    X("kind", WORD(engine.kind, engine_words), DEFAULT("auto"))                    \
    X("precision", WORD(engine.precision, precision_words), DEFAULT("fp32"))       \
    X("threads", WHOLE(engine.threads), FROM_TO(1, MOST_THREADS), DEFAULT("1"))

#define KIND_AND_BLANK(id, word, read) word " "
#define FILES LK_DATA_FILES_LIST(KIND_AND_BLANK)
#define GENERATORS LK_DATA_GENERATORS_LIST(KIND_AND_BLANK)
#define DATA_KEYS(X)                                                                                   \
    X("kind", WORD(data.kind, data_words), NEEDED)                                                     \
    X("train", TEXT(data.train), A_PATH, NEEDED, ONLY(FILES))                                          \
    X("validation", TEXT(data.validation), A_PATH, ONLY(FILES))                                        \
    X("validation_fraction", REAL(data.validation_fraction), FROM_BELOW(0, 1), DEFAULT("0"), ONLY(FILES)) \
    X("train_labels", TEXT(data.train_labels), A_PATH, NEEDED, ONLY("idx"))                            \
    X("validation_labels", TEXT(data.validation_labels), A_PATH, ONLY("idx"))                          \
    X("target", TEXT(data.target), ONLY("csv hdf5"))                                                   \
    X("features", TEXT(data.features), DEFAULT("x"), ONLY("hdf5"))                                     \
    X("header", TRUTH(data.header), DEFAULT("true"), ONLY("csv"))                                      \
    X("delimiter", TEXT(data.delimiter), DEFAULT(","), ONLY("csv"))                                    \
    X("decimal", TEXT(data.decimal), DEFAULT("."), ONLY("csv"))                                        \
    X("comment", TEXT(data.comment), ONLY("csv"))                                                      \
    X("missing", WORD(data.missing, missing_words), DEFAULT("error"), ONLY("csv"))                     \
    X("missing_values", TEXTS(data.missing_values), ONLY("csv"))                                       \
    X("categorical", TEXTS(data.categorical), ONLY("csv"))                                             \
    X("ignore", TEXTS(data.ignore), ONLY("csv"))                                                       \
    X("standardize", WORD(data.standardize, standardize_words), DEFAULT("false"), ONLY("csv hdf5 " GENERATORS)) \
    X("pixel_mean", REAL(data.pixel_mean), ANY, DEFAULT("0"), ONLY("idx"))                             \
    X("pixel_std", REAL(data.pixel_std), ABOVE(0), DEFAULT("1"), ONLY("idx"))                          \
    X("samples", WHOLE(data.samples), AT_LEAST(1), NEEDED, ONLY(GENERATORS))                           \
    X("validation_samples", WHOLE(data.validation_samples), AT_LEAST(0), DEFAULT("0"), ONLY(GENERATORS)) \
    X("n_features", WHOLE(data.n_features), A_SIZE, NEEDED, ONLY("regression"))                        \
    X("n_informative", WHOLE(data.n_informative), A_SIZE, ONLY("regression"))                          \
    X("noise", REAL(data.noise), AT_LEAST(0), DEFAULT("0"), ONLY(GENERATORS))                          \
    X("weights", REALS(data.weights, data.n_weights, 1), ANY, NEEDED, ONLY("polynomial"))              \
    X("degree", WHOLE(data.degree), FROM_TO(0, MOST_DEGREE), DEFAULT("1"), ONLY("polynomial"))         \
    X("seed", COUNTER(data.seed), AT_LEAST(0))                                                         \
    X("drop_last", TRUTH(data.drop_last), DEFAULT("false"))                                            \
    X("shuffle", TRUTH(data.shuffle), DEFAULT("true"))

#define MODEL_KEYS(X)                                                                                  \
    X("kind", WORD(model.kind, model_words), NEEDED)                                                   \
    X("layers", WHOLES(model.layers, model.n_layers, 2), A_SIZE, NEEDED, ONLY("mlp"))                  \
    X("image", FIXED(model.image, int64_t, whole_entry, 3), A_SIZE, ONLY("cnn"))                       \
    X("channels", WHOLES(model.channels, model.n_channels, 1), A_SIZE, NEEDED, ONLY("cnn"))            \
    X("kernel", WHOLE(model.kernel), A_SIZE, DEFAULT("3"), ONLY("cnn"))                                \
    X("pool", WORD(model.pool, pool_words), DEFAULT("max"), ONLY("cnn"))                               \
    X("hidden", WHOLES(model.hidden, model.n_hidden, 0), A_SIZE, ONLY("cnn"))                          \
    X("classes", WHOLE(model.classes), FROM_TO(0, 1 << 30), DEFAULT("0"), ONLY("cnn"))                 \
    X("activation", WORD(model.activation, activation_words), DEFAULT("relu"))                         \
    X("norm", WORD(model.norm, norm_words), DEFAULT("none"))                                           \
    X("norm_place", WORD(model.norm_place, norm_place_words), DEFAULT("before"))                       \
    X("dropout", REAL(model.dropout), FROM_BELOW(0, 1), DEFAULT("0"))                                  \
    X("init", WORD(model.init, init_words), DEFAULT("default"))

#define LOSS_KEYS(X)                                                                                    \
    X("kind", WORD(model.loss.kind, loss_words), NEEDED)                                                \
    X("label_smoothing", REAL(model.loss.label_smoothing), FROM_TO(0, 1), DEFAULT("0"), ONLY("cross_entropy")) \
    X("ignore_index", WHOLE(model.loss.ignore_index), A_LABEL, DEFAULT("-100"), ONLY("cross_entropy"))

#define OPTIMIZER_KEYS(X)                                                                     \
    X("kind", WORD(optimizer.kind, optimizer_words), NEEDED)                                  \
    X("lr", REAL(optimizer.lr), AT_LEAST(0), DEFAULT("1e-3"))                                 \
    X("momentum", REAL(optimizer.momentum), AT_LEAST(0), DEFAULT("0"), ONLY("sgd"))           \
    X("dampening", REAL(optimizer.dampening), ANY, DEFAULT("0"), ONLY("sgd"))                 \
    X("nesterov", TRUTH(optimizer.nesterov), DEFAULT("false"), ONLY("sgd"))                   \
    X("weight_decay", REAL(optimizer.weight_decay), AT_LEAST(0))                              \
    X("betas", FIXED(optimizer.beta1, double, real_entry, 2), FROM_BELOW(0, 1), ONLY("adam adamw")) \
    X("beta1", REAL(optimizer.beta1), FROM_BELOW(0, 1), ONLY("adam adamw"))                   \
    X("beta2", REAL(optimizer.beta2), FROM_BELOW(0, 1), ONLY("adam adamw"))                   \
    X("eps", REAL(optimizer.eps), AT_LEAST(0), DEFAULT("1e-8"), ONLY("adam adamw"))           \
    X("amsgrad", TRUTH(optimizer.amsgrad), DEFAULT("false"), ONLY("adam adamw"))              \
    X("clip_norm", REAL(optimizer.clip_norm), AT_LEAST(0), DEFAULT("0"))                      \
    X("clip_value", REAL(optimizer.clip_value), AT_LEAST(0), DEFAULT("0"))                    \
    X("params", TEXTS(params)) /* of a group, groups.c; nobody writes it in the section itself */
_Static_assert(offsetof(lk_optimizer_spec, beta2) == offsetof(lk_optimizer_spec, beta1) + sizeof(double),
               "`betas` fills both");

#define EMA_KEYS(X)                                                                      \
    X("beta", REAL(ema.spec.beta), FROM_TO(0, 1), DEFAULT("0.9999"))                     \
    X("update_after_step", WHOLE(ema.spec.update_after_step), AT_LEAST(0), DEFAULT("100")) \
    X("update_every", WHOLE(ema.spec.update_every), AT_LEAST(1), DEFAULT("10"))          \
    X("inv_gamma", REAL(ema.spec.inv_gamma), ABOVE(0), DEFAULT("1"))                     \
    X("power", REAL(ema.spec.power), AT_LEAST(0), DEFAULT("0.66666666666666663")) /* 2/3 */ \
    X("min_value", REAL(ema.spec.min_value), FROM_TO(0, 1), DEFAULT("0"))                \
    X("copy", TEXTS(ema.copy))                                                           \
    X("ignore", TEXTS(ema.ignore))

#define INIT_FROM_KEYS(X)                                             \
    X("checkpoint", TEXT(init_from.checkpoint), NEEDED)               \
    X("ema", TRUTH(init_from.ema), DEFAULT("false"))                  \
    X("strict", TRUTH(init_from.strict), DEFAULT("true"))             \
    X("rename", TEXTS(init_from.rename))

#define EARLY_STOP_KEYS(X)                                                                     \
    X("metric", TEXT(train.early_stop.metric))                                                 \
    X("patience", WHOLE(train.early_stop.spec.patience), AT_LEAST(1), DEFAULT("10"))           \
    X("min_delta", REAL(train.early_stop.spec.min_delta), AT_LEAST(0), DEFAULT("0"))           \
    X("mode", WORD(train.early_stop.spec.mode, extremum_words))

#define TRAIN_KEYS(X)                                                                       \
    X("epochs", WHOLE(train.epochs), A_SIZE)                                                \
    X("steps", WHOLE(train.steps), AT_LEAST(0), DEFAULT("0"))                               \
    X("batch", WHOLE(train.batch), A_SIZE, DEFAULT("32"))                                   \
    X("lanes", WHOLE(train.lanes), FROM_TO(0, MOST_LANES), DEFAULT("0"))                    \
    X("evaluate_every", WHOLE(train.evaluate_every), AT_LEAST(1), DEFAULT("1"))             \
    X("evaluate_batch", WHOLE(train.evaluate_batch), FROM_TO(0, 1 << 30), DEFAULT("0"))     \
    X("check_finite", TRUTH(train.check_finite), DEFAULT("true"))                           \
    X("on_nonfinite", WORD(train.on_nonfinite, nonfinite_words), DEFAULT("stop"))           \
    X("freeze", TEXTS(train.freeze))                                                        \
    X("unfreeze", TEXTS(train.unfreeze))                                                    \
    X("norm", WORD(train.norm, frozen_norm_words), DEFAULT("eval"))                         \
    X("early_stop", KEYS(early_stop_fields), .rules = early_stop_rules)                     \
    X("best_metric", TEXT(train.best_metric))                                               \
    X("best_mode", WORD(train.best_mode, extremum_words))

#define CHECKPOINT_KEYS(X)                                                      \
    X("every", WHOLE(checkpoint.every), AT_LEAST(0), DEFAULT("1"))              \
    X("unit", WORD(checkpoint.unit, unit_words), DEFAULT("epoch"))              \
    X("keep", WHOLE(checkpoint.keep), AT_LEAST(1), DEFAULT("3"))                \
    X("best", TRUTH(checkpoint.best), DEFAULT("true"))

#define METRICS_KEYS(X)                                                     \
    X("tensorboard", TRUTH(metrics.tensorboard), DEFAULT("false"))          \
    X("every", WHOLE(metrics.every), AT_LEAST(1), DEFAULT("10"))            \
    X("histograms", WHOLE(metrics.histograms), AT_LEAST(0), DEFAULT("0"))

#define DIST_KEYS(X)                                                                \
    X("reduction", WORD(dist.reduction, reduction_words), DEFAULT("tree"))          \
    X("check_every", WHOLE(dist.check_every), AT_LEAST(0), DEFAULT("100"))          \
    X("timeout", REAL(dist.timeout), AT_LEAST(0), DEFAULT("300"))                   \
    X("bucket_bytes", WHOLE(dist.bucket_bytes), AT_LEAST(1), DEFAULT("26214400")) /* PyTorch's 25 MiB */

#define SECTIONS(X)                                                                      \
    X("run", KEYS(run_fields), NEEDED, .rules = run_rules)                               \
    X("engine", KEYS(engine_fields), DEFAULT("{}"), .rules = engine_rules)               \
    X("data", KEYS(data_fields), NEEDED, .rules = data_rules)                            \
    X("model", KEYS(model_fields), NEEDED, .rules = model_rules)                         \
    X("loss", KEYS(loss_fields), NEEDED, .rules = loss_rules)                            \
    X("optimizer", KEYS(optimizer_fields), NEEDED, .rules = optimizer_rules)             \
    X("scheduler", SECTION(scheduler.spec, lk_schedule_fields), DEFAULT("{}"), .rules = lk_schedule_rules) \
    X("momentum_scheduler", SECTION(momentum_scheduler.spec, lk_schedule_fields), DEFAULT("{}"), .rules = lk_schedule_rules) \
    X("weight_decay_scheduler", SECTION(weight_decay_scheduler.spec, lk_schedule_fields), DEFAULT("{}"), .rules = lk_schedule_rules) \
    X("ema", KEYS(ema_fields), .rules = ema_rules)                                       \
    X("init_from", KEYS(init_from_fields), .rules = init_from_rules)                     \
    X("train", KEYS(train_fields), NEEDED, .rules = train_rules)                         \
    X("checkpoint", KEYS(checkpoint_fields), DEFAULT("{}"), .rules = checkpoint_rules)   \
    X("metrics", KEYS(metrics_fields), DEFAULT("{}"), .rules = metrics_rules)            \
    X("dist", KEYS(dist_fields), DEFAULT("{}"), .rules = dist_rules)

TABLES(run, RUN_KEYS)
TABLES(engine, ENGINE_KEYS)
TABLES(data, DATA_KEYS)
TABLES(model, MODEL_KEYS)
TABLES(loss, LOSS_KEYS)
TABLES(optimizer, OPTIMIZER_KEYS)
TABLES(ema, EMA_KEYS)
TABLES(init_from, INIT_FROM_KEYS)
TABLES(early_stop, EARLY_STOP_KEYS)
TABLES(train, TRAIN_KEYS)
TABLES(checkpoint, CHECKPOINT_KEYS)
TABLES(metrics, METRICS_KEYS)
TABLES(dist, DIST_KEYS)
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

bool lk_rule_takes(const lk_rule *rule, const char *kind)
{
    if (!rule->only || !kind) return true;
    const size_t n = strlen(kind);

    for (const char *word = rule->only; *word; word += strspn(word, " ")) {
        const size_t length = strcspn(word, " ");
        if (length == n && strncmp(word, kind, n) == 0) return true;
        word += length;
    }
    return false;
}

static void visit_fields(const cyaml_schema_field_t *fields, const char *prefix,
                         void (*visit)(void *arg, const char *path), void *arg)
{
    for (; fields->key; fields++) {
        char path[LK_RECIPE_PATH_BYTES];

        const int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", fields->key);
        if (n >= (int)sizeof path) continue; /* no key of ours is that long */
        visit(arg, path);
        if (fields->value.type == CYAML_MAPPING) visit_fields(fields->value.mapping.fields, path, visit, arg);
    }
}

void lk_recipe_each_path(void (*visit)(void *arg, const char *path), void *arg)
{
    visit_fields(lk_recipe_fields, "", visit, arg);
}
