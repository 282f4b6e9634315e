/*
 * What a recipe leaves unsaid, and what concerns several keys at once.
 *
 * Defaults become nodes of the document, so that libcyaml finds every key.  Most are in the schema; those that depend
 * on other keys are derived here.  The text that checkpoints keep is written before this, with what the person said
 * alone: so an override at resume meets no default it would contradict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

/* ---------------------------------------------------------------- defaults */

static lk_status fill_section(lk_yaml *yaml, const cyaml_schema_field_t *fields, const lk_rule *rules, int section);

/* A list of sections; its place moves when nodes are added. */
static lk_status fill_list(lk_yaml *yaml, const cyaml_schema_field_t *field, const lk_rule *rule, int list)
{
    const yaml_node_t *node = yaml_document_get_node(&yaml->document, list);
    const ptrdiff_t n = node->data.sequence.items.top - node->data.sequence.items.start;

    for (ptrdiff_t i = 0; i < n; i++) {
        const int item = yaml_document_get_node(&yaml->document, list)->data.sequence.items.start[i];
        LK_TRY(fill_section(yaml, field->value.sequence.entry->mapping.fields, rule->rules, item));
    }
    return LK_OK;
}

/* What stands without brackets where there may be several. */
static lk_status make_list_of_one(lk_yaml *yaml, const char *key, int section, int node)
{
    const int list = yaml_document_add_sequence(&yaml->document, NULL, YAML_FLOW_SEQUENCE_STYLE);

    if (!list || !yaml_document_append_sequence_item(&yaml->document, list, node))
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a list of one for %s", key);
    return lk_yaml_set(yaml, section, key, list);
}

static lk_status fill_key(lk_yaml *yaml, const cyaml_schema_field_t *field, const lk_rule *rule, const char *kind,
                          int section)
{
    const char *fallback = lk_rule_fallback(rule, kind);
    int node = lk_yaml_get(yaml, section, field->key);

    if (!node && fallback) {
        if (field->value.type == CYAML_MAPPING) LK_TRY(lk_yaml_add_mapping(yaml, &node));
        else LK_TRY(lk_yaml_add_text(yaml, fallback, &node));
        LK_TRY(lk_yaml_set(yaml, section, field->key, node));
    }
    if (node && rule->one_or_more && lk_yaml_text(yaml, node))
        return make_list_of_one(yaml, field->key, section, node);
    if (node && field->value.type == CYAML_MAPPING)
        return fill_section(yaml, field->value.mapping.fields, rule->rules, node);
    if (node && field->value.type == CYAML_SEQUENCE && field->value.sequence.entry->type == CYAML_MAPPING)
        return fill_list(yaml, field, rule, node);
    return LK_OK;
}

/* A section's kind comes first in the schema, so it is there when the others ask for it. */
static lk_status fill_section(lk_yaml *yaml, const cyaml_schema_field_t *fields, const lk_rule *rules, int section)
{
    for (int row = 0; fields[row].key; row++) {
        const char *kind = lk_yaml_text(yaml, lk_yaml_get(yaml, section, "kind"));
        if (lk_rule_takes(&rules[row], kind)) LK_TRY(fill_key(yaml, &fields[row], &rules[row], kind, section));
    }
    return LK_OK;
}

/* ----------------------------------------------------------------- derived */

/* The pair is one key, unless somebody wrote its inner names. */
static lk_status derive_betas(lk_yaml *yaml)
{
    static const char *const pair[] = {"0.9", "0.999"};
    int list;

    if (lk_yaml_at(yaml, "optimizer.betas")) return LK_OK;
    if (lk_yaml_at(yaml, "optimizer.beta1") || lk_yaml_at(yaml, "optimizer.beta2")) {
        LK_TRY(lk_yaml_default_to(yaml, "optimizer", "beta1", pair[0]));
        return lk_yaml_default_to(yaml, "optimizer", "beta2", pair[1]);
    }
    LK_TRY(lk_yaml_add_list(yaml, pair, 2, &list));
    return lk_yaml_set(yaml, lk_yaml_at(yaml, "optimizer"), "betas", list);
}

static lk_status derive_optimizer(lk_yaml *yaml)
{
    const char *decay = lk_yaml_is(yaml, "optimizer.kind", "adamw") ? "1e-2" : "0";

    LK_TRY(lk_yaml_default_to(yaml, "optimizer", "weight_decay", decay));
    return lk_yaml_is(yaml, "optimizer.kind", "sgd") ? LK_OK : derive_betas(yaml);
}

/* Whether data of this kind have a key. */
static bool data_take(lk_yaml *yaml, const char *path)
{
    const lk_rule *rule;

    return lk_recipe_field(path, &rule) && lk_rule_takes(rule, lk_yaml_text_at(yaml, "data.kind"));
}

static lk_status derive_data(lk_yaml *yaml)
{
    const double most_informative = 10; /* scikit-learn's make_regression */

    LK_TRY(lk_yaml_default_to(yaml, "data", "seed", lk_yaml_text_at(yaml, "run.seed")));
    if (lk_yaml_is(yaml, "data.kind", "hdf5")) LK_TRY(lk_yaml_default_to(yaml, "data", "target", "y"));
    LK_TRY(lk_recipe_check_transforms(yaml));
    if (data_take(yaml, "data.pixel_mean")) {
        LK_TRY(lk_yaml_default_to(yaml, "data", "pixel_mean", "0"));
        LK_TRY(lk_yaml_default_to(yaml, "data", "pixel_std", "1"));
    }
    if (lk_yaml_is(yaml, "data.kind", "regression") && lk_yaml_number_at(yaml, "data.n_features") > most_informative)
        return lk_yaml_default_to(yaml, "data", "n_informative", "10");
    if (lk_yaml_is(yaml, "data.kind", "regression"))
        return lk_yaml_default_to(yaml, "data", "n_informative", lk_yaml_text_at(yaml, "data.n_features"));
    return LK_OK;
}

/* A run (or a stage) ends by epochs, or by steps alone. */
static lk_status derive_epochs(lk_yaml *yaml)
{
    if (lk_yaml_at(yaml, "train.epochs")) return LK_OK;
    /* No end: 2^30. */
    if (lk_yaml_number_at(yaml, "train.steps") > 0) return lk_yaml_default_to(yaml, "train", "epochs", "1073741824");
    return lk_yaml_fail(yaml, lk_yaml_at(yaml, "train"), "train.epochs", "is missing: give epochs, or steps");
}

static lk_status derive(lk_yaml *yaml)
{
    char *dir;

    LK_TRY(derive_epochs(yaml));

    if (asprintf(&dir, "runs/%s", lk_yaml_text_at(yaml, "run.name")) < 0)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of the run's folder");
    const lk_status status = lk_yaml_default_to(yaml, "run", "dir", dir);
    free(dir);
    LK_TRY(status);
    LK_TRY(derive_data(yaml));
    LK_TRY(derive_optimizer(yaml));
    return lk_recipe_derive_measures(yaml);
}

/* ------------------------------------------------------------ between keys */

static lk_status check_decimal(lk_yaml *yaml, const char *delimiter)
{
    const char *decimal = lk_yaml_text_at(yaml, "data.decimal"), *comment = lk_yaml_text_at(yaml, "data.comment");
    const int node = lk_yaml_at(yaml, "data.decimal");

    if (decimal && strcmp(decimal, ".") != 0 && strcmp(decimal, ",") != 0)
        return lk_yaml_fail(yaml, node, "data.decimal", "`%s` is neither a point nor a comma", decimal);
    if (decimal && delimiter && strcmp(decimal, delimiter) == 0)
        return lk_yaml_fail(yaml, node, "data.decimal", "`%s` is data.delimiter too: cells and decimals look alike",
                            decimal);
    if (comment && !*comment)
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, "data.comment"), "data.comment",
                            "is empty; it says how lines begin that are left out");
    return LK_OK;
}

static lk_status check_names(lk_yaml *yaml)
{
    const char *name = lk_yaml_text_at(yaml, "run.name"), *delimiter = lk_yaml_text_at(yaml, "data.delimiter");

    if (strchr(name, '/') || *name == '.')
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, "run.name"), "run.name",
                            "`%s` is to name a folder: no `/` in it and no `.` before it", name);
    if (delimiter && strlen(delimiter) != 1 && strcmp(delimiter, "tab") != 0 && strcmp(delimiter, "\\t") != 0 &&
        strcmp(delimiter, "space") != 0)
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, "data.delimiter"), "data.delimiter",
                            "`%s` is not one character, nor tab, nor space", delimiter);
    return check_decimal(yaml, delimiter);
}

/* The node that a file's line is known by: of a list of names, the first. */
static int named_at(lk_yaml *yaml, const char *path)
{
    const int node = lk_yaml_at(yaml, path);
    const yaml_node_t *list = yaml_document_get_node(&yaml->document, node);

    return list && list->type == YAML_SEQUENCE_NODE ? *list->data.sequence.items.start : node;
}

static ptrdiff_t length_at(lk_yaml *yaml, const char *path)
{
    const yaml_node_t *list = yaml_document_get_node(&yaml->document, lk_yaml_at(yaml, path));

    return list ? list->data.sequence.items.top - list->data.sequence.items.start : 0;
}

/* Each file of images has one of labels. */
static lk_status check_labels(lk_yaml *yaml, const char *files, const char *labels)
{
    const ptrdiff_t n_files = length_at(yaml, files), n_labels = length_at(yaml, labels);

    if (n_labels == 0 || n_labels == n_files) return LK_OK;
    return lk_yaml_fail(yaml, named_at(yaml, labels), labels, "%td files of labels for the %td of %s", n_labels,
                        n_files, files);
}

/* Byte pairs are read from a file, or learned. */
static lk_status check_byte_pairs(lk_yaml *yaml)
{
    const int tokenizer = lk_yaml_at(yaml, "data.tokenizer"), vocabulary = lk_yaml_at(yaml, "data.vocabulary");
    const int merges = lk_yaml_at(yaml, "data.merges");
    const double least = 256, most = 65535; /* the bytes; what the form of a list can hold */
    const double tokens = lk_yaml_number_at(yaml, "data.vocabulary");

    if (!lk_yaml_is(yaml, "data.tokenizer", "bpe")) return LK_OK;
    if (!merges && !vocabulary)
        return lk_yaml_fail(yaml, tokenizer, "data.tokenizer",
                            "bpe needs data.merges, a list of merges, or data.vocabulary, how many tokens to learn");
    if (merges && vocabulary)
        return lk_yaml_fail(yaml, vocabulary, "data.vocabulary", "data.merges is given too: leave one of them out");
    if (vocabulary && (tokens < least || tokens > most))
        return lk_yaml_fail(yaml, vocabulary, "data.vocabulary", "%s is not from %g, the bytes, to %g",
                            lk_yaml_text_at(yaml, "data.vocabulary"), least, most);
    return LK_OK;
}

static lk_status check_tokenizer(lk_yaml *yaml)
{
    const char *tokenizer = lk_yaml_text_at(yaml, "data.tokenizer"), *kind = lk_yaml_text_at(yaml, "data.kind");
    const bool of_pairs = lk_yaml_is(yaml, "data.tokenizer", "words") || lk_yaml_is(yaml, "data.tokenizer", "bpe");
    const int node = lk_yaml_at(yaml, "data.tokenizer");

    if (!tokenizer) return LK_OK;
    if (of_pairs != lk_yaml_is(yaml, "data.kind", "pairs"))
        return lk_yaml_fail(yaml, node, "data.tokenizer", "data.kind %s has no tokenizer %s; it has %s", kind,
                            tokenizer, of_pairs ? "none, gpt2, chars and bytes" : "words and bpe");
    if (lk_yaml_is(yaml, "data.tokenizer", "words") && lk_yaml_at(yaml, "data.merges"))
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, "data.merges"), "data.merges", "is for data.tokenizer bpe");
    if (lk_yaml_is(yaml, "data.tokenizer", "gpt2") && !lk_yaml_at(yaml, "data.merges"))
        return lk_yaml_fail(yaml, node, "data.merges", "is missing: data.tokenizer gpt2 needs it, GPT-2's vocab.bpe");
    return check_byte_pairs(yaml);
}

static lk_status check_data(lk_yaml *yaml)
{
    const int data = lk_yaml_at(yaml, "data"), labels = named_at(yaml, "data.validation_labels");
    const int validation = named_at(yaml, "data.validation");
    const int fraction = lk_yaml_at(yaml, "data.validation_fraction");

    if (lk_yaml_is(yaml, "data.kind", "csv") && !lk_yaml_at(yaml, "data.target"))
        return lk_yaml_fail(yaml, data, "data.target", "is missing: kind csv needs it");
    if (validation && lk_yaml_number_at(yaml, "data.validation_fraction") > 0)
        return lk_yaml_fail(yaml, fraction, "data.validation_fraction",
                            "data.validation is given too: leave one of them out");
    if (lk_yaml_is(yaml, "data.kind", "idx") && validation && !labels)
        return lk_yaml_fail(yaml, validation, "data.validation_labels", "is missing: data.validation needs it");
    if (labels && !validation)
        return lk_yaml_fail(yaml, labels, "data.validation", "is missing: data.validation_labels needs it");
    LK_TRY(check_tokenizer(yaml));
    if (lk_yaml_number_at(yaml, "data.buckets") > 0 && lk_yaml_number_at(yaml, "data.steps") > 0)
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, "data.buckets"), "data.buckets",
                            "data.steps fills every sentence up to %s, so there is nothing to sort by: leave one of "
                            "them out", lk_yaml_text_at(yaml, "data.steps"));
    LK_TRY(check_labels(yaml, "data.train", "data.train_labels"));
    LK_TRY(check_labels(yaml, "data.validation", "data.validation_labels"));
    if (lk_yaml_number_at(yaml, "data.n_informative") > lk_yaml_number_at(yaml, "data.n_features"))
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, "data.n_informative"), "data.n_informative",
                            "%s is more than data.n_features, %s", lk_yaml_text_at(yaml, "data.n_informative"),
                            lk_yaml_text_at(yaml, "data.n_features"));
    return LK_OK;
}

static lk_status check_betas(lk_yaml *yaml)
{
    static const char *const singles[] = {"optimizer.beta1", "optimizer.beta2"};

    for (size_t i = 0; lk_yaml_at(yaml, "optimizer.betas") && i < sizeof singles / sizeof *singles; i++)
        if (lk_yaml_at(yaml, singles[i]))
            return lk_yaml_fail(yaml, lk_yaml_at(yaml, singles[i]), singles[i],
                                "optimizer.betas is given too: leave one of them out");
    return LK_OK;
}

static lk_status check_first_values(lk_yaml *yaml)
{
    static const char *const keys[] = {"model.init", "model.init_bias"};
    lk_fill fill;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (lk_fill_parse(lk_yaml_text_at(yaml, keys[i]), &fill) != LK_OK)
            return lk_yaml_fail(yaml, lk_yaml_at(yaml, keys[i]), keys[i], "%s", lk_error_message());
    return LK_OK;
}

static lk_status fill_rate_scheduler(lk_yaml *yaml, const char *path)
{
    const int node = lk_yaml_at(yaml, path);
    const char *kind = lk_yaml_text(yaml, lk_yaml_get(yaml, node, "kind"));

    if (kind && strcmp(kind, "reduce_on_plateau") == 0)
        return lk_yaml_fail(yaml, node, path, "a plateau drives the learning rate alone: see the section scheduler");
    return lk_recipe_fill_schedule(yaml, path);
}

static lk_status check_renames(lk_yaml *yaml)
{
    static const char path[] = "init_from.rename";
    const yaml_node_t *list = yaml_document_get_node(&yaml->document, lk_yaml_at(yaml, path));

    for (const int *item = list ? list->data.sequence.items.start : NULL; list && item < list->data.sequence.items.top;
         item++)
        if (lk_rename_check(lk_yaml_text(yaml, *item)) != LK_OK)
            return lk_yaml_fail(yaml, *item, path, "%s", lk_error_message());
    return LK_OK;
}

lk_status lk_recipe_fill(lk_yaml *yaml)
{
    LK_TRY(lk_recipe_fill_schedule(yaml, "scheduler"));
    LK_TRY(fill_rate_scheduler(yaml, "momentum_scheduler"));
    LK_TRY(fill_rate_scheduler(yaml, "weight_decay_scheduler"));
    LK_TRY(fill_section(yaml, lk_recipe_fields, lk_recipe_rules, 1));
    LK_TRY(derive(yaml));
    LK_TRY(check_names(yaml));
    LK_TRY(check_data(yaml));
    LK_TRY(check_betas(yaml));
    LK_TRY(check_renames(yaml));
    LK_TRY(check_first_values(yaml));
    return lk_recipe_check_measures(yaml);
}
