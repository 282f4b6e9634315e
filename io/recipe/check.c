/*
 * A recipe's document against the schema, in the order it was written: the first fault is reported, with its line
 * (or its override), the path of the key, what is wrong and what would be right.
 *
 * libcyaml checks too while it loads, but says less; after this check nothing is left for it to find.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/recipe/parts.h"

enum { MOST_NAMES = 64, LIST_BYTES = 1024, MOST_SHOWN_BYTES = 60 };

/* Names that could have been meant. */
typedef struct names { const char *name[MOST_NAMES]; size_t n; } names;

typedef struct check { lk_yaml *yaml; lk_recipe_lines **lines; } check;

static lk_status check_value(check *c, const char *path, const cyaml_schema_value_t *value, const lk_rule *rule,
                             int node);

/* Those that sections of a kind take; kind NULL: all. */
static names names_of_fields(const cyaml_schema_field_t *fields, const lk_rule *rules, const char *kind)
{
    names all = {.n = 0};
    for (; fields->key && all.n < MOST_NAMES; fields++, rules++)
        if (!rules->inner && lk_rule_takes(rules, kind)) all.name[all.n++] = fields->key;
    return all;
}

static names names_of_words(const cyaml_schema_value_t *value)
{
    names all = {.n = 0};
    for (uint32_t i = 0; i < value->enumeration.count && i < MOST_NAMES; i++)
        all.name[all.n++] = value->enumeration.strings[i].str;
    return all;
}

/* "a, b, c" */
static const char *join(const names *all, char text[LIST_BYTES])
{
    return lk_print_list(all->name, all->n, text, LIST_BYTES);
}

/* "; did you mean `x`?" or nothing. */
static const char *suggestion(const names *all, const char *word, char text[LIST_BYTES])
{
    const char *near = lk_recipe_word_synonym(word);

    for (size_t i = 0; near && i < all->n; i++)
        if (strcmp(all->name[i], near) == 0) break;
        else if (i + 1 == all->n) near = NULL;
    if (!near) near = lk_nearest(word, all->name, all->n);
    if (!near) return "";
    snprintf(text, LIST_BYTES, "; did you mean `%s`?", near);
    return text;
}

static yaml_node_t *node_of(const check *c, int node) { return yaml_document_get_node(&c->yaml->document, node); }

/* What a node is, for messages. */
static const char *describe(const check *c, int node, char text[LIST_BYTES])
{
    const yaml_node_t *n = node_of(c, node);

    if (n->type == YAML_MAPPING_NODE) return "a section of keys";
    if (n->type == YAML_SEQUENCE_NODE) return "a list";
    if (n->data.scalar.length == 0) return "nothing";
    const bool is_long = n->data.scalar.length > MOST_SHOWN_BYTES; /* for instance a table in place of the recipe */

    snprintf(text, LIST_BYTES, "`%.*s%s`", MOST_SHOWN_BYTES, (const char *)n->data.scalar.value, is_long ? "..." : "");
    return text;
}

/* ----------------------------------------------------------------- scalars */

static lk_status check_range(check *c, const char *path, const lk_rule *rule, int node, double number)
{
    const char *text = lk_yaml_text(c->yaml, node);

    if (number < rule->low || (rule->above && number == rule->low))
        return lk_yaml_fail(c->yaml, node, path, "%s is out of range: %s %.10g", text,
                            rule->above ? "above" : "at least", rule->low);
    if (number > rule->high || (rule->below && number == rule->high))
        return lk_yaml_fail(c->yaml, node, path, "%s is out of range: %s %.10g", text,
                            rule->below ? "below" : "at most", rule->high);
    return LK_OK;
}

/* Decimal digits alone: 010 would be eight to some readers of YAML and 0x10 is not what a recipe needs. */
static bool is_whole(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');
    const size_t n = strspn(digits, "0123456789");

    return n > 0 && digits[n] == '\0' && (n == 1 || *digits != '0');
}

static lk_status check_whole(check *c, const char *path, const cyaml_schema_value_t *value, const lk_rule *rule,
                             int node)
{
    const char *text = lk_yaml_text(c->yaml, node);
    const bool is_signed = value->type == CYAML_INT || *text == '-';

    if (!is_whole(text)) return lk_yaml_fail(c->yaml, node, path, "expected a whole number, found `%s`", text);
    errno = 0;
    const double number = is_signed ? (double)strtoll(text, NULL, 10) : (double)strtoull(text, NULL, 10);
    if (errno == ERANGE) return lk_yaml_fail(c->yaml, node, path, "%s does not fit in 64 bits", text);
    LK_TRY(check_range(c, path, rule, node, number));
    if (value->data_size == sizeof(int32_t) && (number < INT32_MIN || number > INT32_MAX))
        return lk_yaml_fail(c->yaml, node, path, "%s does not fit in 32 bits", text);
    return LK_OK;
}

static lk_status check_real(check *c, const char *path, const lk_rule *rule, int node)
{
    const char *text = lk_yaml_text(c->yaml, node);
    const bool looks_right = strspn(text, "+-.0123456789eE") == strlen(text);
    char *end;

    errno = 0;
    const double number = strtod(text, &end);
    if (!looks_right || end == text || *end != '\0')
        return lk_yaml_fail(c->yaml, node, path, "expected a number, found `%s`", text);
    if (errno == ERANGE || !isfinite(number))
        return lk_yaml_fail(c->yaml, node, path, "%s is too large or too small for a number", text);
    return check_range(c, path, rule, node, number);
}

/* YAML 1.1's spellings of truth, without its bare y and n; NULL when it is none. */
static const char *truth(const char *text)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcasecmp(text, yes[i]) == 0) return "true";
        if (strcasecmp(text, no[i]) == 0) return "false";
    }
    return NULL;
}

static lk_status check_truth(check *c, const char *path, int node)
{
    const char *text = lk_yaml_text(c->yaml, node), *canonical = truth(text);

    if (!canonical) return lk_yaml_fail(c->yaml, node, path, "expected true or false, found `%s`", text);
    return lk_yaml_rewrite(c->yaml, node, canonical);
}

/* The word as the schema spells it, NULL for none: capitals do not matter, as in ReLU or AdamW. */
static const char *spelling(const cyaml_schema_value_t *value, const char *text)
{
    for (uint32_t i = 0; i < value->enumeration.count; i++)
        if (strcasecmp(value->enumeration.strings[i].str, text) == 0) return value->enumeration.strings[i].str;
    return NULL;
}

static lk_status check_word(check *c, const char *path, const cyaml_schema_value_t *value, int node)
{
    const char *text = lk_yaml_text(c->yaml, node), *canonical = truth(text);
    char list[LIST_BYTES], near[LIST_BYTES];

    const char *word = spelling(value, text);
    if (!word && canonical) word = spelling(value, canonical);
    if (word) return strcmp(word, text) == 0 ? LK_OK : lk_yaml_rewrite(c->yaml, node, word);
    const names words = names_of_words(value);
    return lk_yaml_fail(c->yaml, node, path, "`%s` is none of %s%s", text, join(&words, list),
                        suggestion(&words, text, near));
}

static const char *expected(cyaml_type_e type)
{
    switch (type) {
    case CYAML_INT: case CYAML_UINT: return "a whole number";
    case CYAML_FLOAT: return "a number";
    case CYAML_BOOL: return "true or false";
    case CYAML_ENUM: return "a word";
    default: return "text";
    }
}

static lk_status check_scalar(check *c, const char *path, const cyaml_schema_value_t *value, const lk_rule *rule,
                              int node)
{
    const yaml_node_t *n = node_of(c, node);
    char text[LIST_BYTES];

    if (n->type != YAML_SCALAR_NODE || n->data.scalar.length == 0)
        return lk_yaml_fail(c->yaml, node, path, "expected %s, found %s", expected(value->type),
                            describe(c, node, text));
    if (strlen((const char *)n->data.scalar.value) != n->data.scalar.length)
        return lk_yaml_fail(c->yaml, node, path, "holds a NUL character");

    switch (value->type) {
    case CYAML_INT: case CYAML_UINT: return check_whole(c, path, value, rule, node);
    case CYAML_FLOAT: return check_real(c, path, rule, node);
    case CYAML_BOOL: return check_truth(c, path, node);
    case CYAML_ENUM: return check_word(c, path, value, node);
    default: return LK_OK; /* any text */
    }
}

/* ------------------------------------------------------------------- lists */

static lk_status check_length(check *c, const char *path, const cyaml_schema_value_t *value, int node, size_t n)
{
    const uint32_t least = value->sequence.min, most = value->sequence.max;

    if (n >= least && n <= most) return LK_OK;
    if (least == most) return lk_yaml_fail(c->yaml, node, path, "a list of %zu, expected %u", n, least);
    if (n < least) return lk_yaml_fail(c->yaml, node, path, "a list of %zu, expected at least %u", n, least);
    return lk_yaml_fail(c->yaml, node, path, "a list of %zu, expected at most %u", n, most);
}

static lk_status check_list(check *c, const char *path, const cyaml_schema_value_t *value, const lk_rule *rule,
                            int node)
{
    const yaml_node_t *list = node_of(c, node);
    char text[LIST_BYTES];

    if (rule->one_or_more && list->type == YAML_SCALAR_NODE)
        return check_scalar(c, path, value->sequence.entry, rule, node);
    if (list->type != YAML_SEQUENCE_NODE)
        return lk_yaml_fail(c->yaml, node, path, "expected a list in brackets, [a, b], found %s",
                            describe(c, node, text));
    const size_t n = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
    LK_TRY(check_length(c, path, value, node, n));
    for (size_t i = 0; i < n; i++) {
        char item[LK_RECIPE_PATH_BYTES];

        snprintf(item, sizeof item, "%s[%zu]", path, i);
        LK_TRY(check_value(c, item, value->sequence.entry, rule, list->data.sequence.items.start[i]));
    }
    return LK_OK;
}

/* ---------------------------------------------------------------- sections */

/* In a section that the schema has no path for (a schedule in a schedule) only its own keys can be meant. */
static lk_status fail_unknown(check *c, const char *path, const cyaml_schema_field_t *fields, const lk_rule *rules,
                              const char *kind, int node, const char *key)
{
    const names known = names_of_fields(fields, rules, NULL), taken = names_of_fields(fields, rules, kind);
    char list[LIST_BYTES], meant[LK_RECIPE_PATH_BYTES];

    if (!strchr(path, '[') && lk_recipe_meant(path, meant))
        return lk_yaml_fail(c->yaml, node, path, "no such key; did you mean `%s`?", meant);
    if (lk_nearest(key, known.name, known.n))
        return lk_yaml_fail(c->yaml, node, path, "no such key%s", suggestion(&known, key, list));
    return lk_yaml_fail(c->yaml, node, path, "no such key; known here: %s", join(&taken, list));
}

/* "adam, adamw" from "adam adamw" */
static const char *list_kinds(const char *kinds, char text[LIST_BYTES])
{
    size_t used = 0;

    for (; *kinds && used + 2 < LIST_BYTES; kinds++) {
        if (kinds[0] == ' ' && !kinds[1]) break;
        if (*kinds == ' ') text[used++] = ',';
        text[used++] = *kinds;
    }
    text[used] = '\0';
    return text;
}

static lk_status fail_given_twice(check *c, const char *path, int first, int again)
{
    const int line = lk_yaml_line(c->yaml, first);

    if (!line) return lk_yaml_fail(c->yaml, again, path, "given twice");
    return lk_yaml_fail(c->yaml, again, path, "given twice, first on line %d", line);
}

static lk_status check_pair(check *c, const char *prefix, const cyaml_schema_field_t *fields, const lk_rule *rules,
                            const char *kind, int mapping, size_t i)
{
    const yaml_node_pair_t pair = node_of(c, mapping)->data.mapping.pairs.start[i];
    const char *key = lk_yaml_text(c->yaml, pair.key);
    char path[LK_RECIPE_PATH_BYTES], list[LIST_BYTES];

    if (!key) return lk_yaml_fail(c->yaml, pair.key, *prefix ? prefix : "recipe", "a key must be a word");
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
    const int row = lk_recipe_row(fields, key);
    if (row < 0) return fail_unknown(c, path, fields, rules, kind, pair.value, key);

    for (size_t before = 0; before < i; before++) {
        const yaml_node_pair_t other = node_of(c, mapping)->data.mapping.pairs.start[before];
        if (strcmp(lk_yaml_text(c->yaml, other.key), key) == 0)
            return fail_given_twice(c, path, other.key, pair.key);
    }
    if (!lk_rule_takes(&rules[row], kind))
        return lk_yaml_fail(c->yaml, pair.value, path, "kind %s does not take it: it is for %s", kind,
                            list_kinds(rules[row].only, list));
    /* What a stage or an override says stands under the section's key: the value tells where. */
    const bool value_tells = lk_yaml_text(c->yaml, pair.value) || lk_yaml_override(c->yaml, pair.value) ||
                             !lk_yaml_line(c->yaml, pair.key);
    LK_TRY(lk_recipe_keep_line(c->lines, c->yaml, path, value_tells ? pair.value : pair.key));
    return check_value(c, path, &fields[row].value, &rules[row], pair.value);
}

static lk_status fail_missing(check *c, const char *prefix, const cyaml_schema_field_t *field, const lk_rule *rule,
                              const char *kind, int mapping)
{
    char path[LK_RECIPE_PATH_BYTES], list[LIST_BYTES];

    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", field->key);
    if (field->value.type == CYAML_ENUM) {
        const names words = names_of_words(&field->value);
        return lk_yaml_fail(c->yaml, mapping, path, "is missing: give one of %s", join(&words, list));
    }
    if (rule->only) return lk_yaml_fail(c->yaml, mapping, path, "is missing: kind %s needs it", kind);
    return lk_yaml_fail(c->yaml, mapping, path, "is missing");
}

/* The word that the section's other keys depend on, once it is known to be a right one; NULL: it has none. */
static lk_status kind_of(check *c, const char *prefix, const cyaml_schema_field_t *fields, const lk_rule *rules,
                         int mapping, const char **out)
{
    const int row = lk_recipe_row(fields, "kind"), node = lk_yaml_get(c->yaml, mapping, "kind");
    char path[LK_RECIPE_PATH_BYTES];

    *out = NULL;
    if (row < 0) return LK_OK;
    if (!node && rules[row].needed) return fail_missing(c, prefix, &fields[row], &rules[row], NULL, mapping);
    snprintf(path, sizeof path, "%s.kind", prefix);
    if (node) LK_TRY(check_scalar(c, path, &fields[row].value, &rules[row], node));
    *out = node ? lk_yaml_text(c->yaml, node) : rules[row].fallback;
    return LK_OK;
}

static lk_status check_section(check *c, const char *prefix, const cyaml_schema_field_t *fields,
                               const lk_rule *rules, int node)
{
    char text[LIST_BYTES];
    const char *kind;

    if (node_of(c, node)->type != YAML_MAPPING_NODE)
        return lk_yaml_fail(c->yaml, node, *prefix ? prefix : "recipe", "expected keys, {key: value}, found %s",
                            describe(c, node, text));
    LK_TRY(kind_of(c, prefix, fields, rules, node, &kind));
    const yaml_node_t *n = node_of(c, node);
    const size_t n_pairs = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    for (size_t i = 0; i < n_pairs; i++) LK_TRY(check_pair(c, prefix, fields, rules, kind, node, i));
    for (int row = 0; fields[row].key; row++)
        if (rules[row].needed && lk_rule_takes(&rules[row], kind) && !lk_rule_fallback(&rules[row], kind) &&
            !lk_yaml_get(c->yaml, node, fields[row].key))
            return fail_missing(c, prefix, &fields[row], &rules[row], kind, node);
    return LK_OK;
}

static lk_status check_value(check *c, const char *path, const cyaml_schema_value_t *value, const lk_rule *rule,
                             int node)
{
    switch (value->type) {
    case CYAML_MAPPING: return check_section(c, path, value->mapping.fields, rule->rules, node);
    case CYAML_SEQUENCE: case CYAML_SEQUENCE_FIXED: return check_list(c, path, value, rule, node);
    default: return check_scalar(c, path, value, rule, node);
    }
}

lk_status lk_recipe_check(lk_yaml *yaml, lk_recipe_lines **lines)
{
    check c = {.yaml = yaml, .lines = lines};
    return check_section(&c, "", lk_recipe_fields, lk_recipe_rules, 1);
}
