/*
 * What the schema says of its keys, for people: one key, the keys of a section, and the reference of
 * launch/recipes/README.md, which a test holds to this.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/recipe/parts.h"

enum { KEY_WIDTH = 34, DEFAULT_WIDTH = 16, A_LOT = 1 << 30 /* a limit that nobody has to know of */ };

/* A row of the schema with its path. */
typedef struct key { const char *path; const cyaml_schema_field_t *field; const lk_rule *rule; } key;

typedef void visit_fn(FILE *stream, const key *k);

/* All keys of a section below each other, those of sections in it behind them; not those of schedules in schedules. */
static void each_key(FILE *stream, const char *prefix, const cyaml_schema_field_t *fields, const lk_rule *rules,
                     visit_fn *visit)
{
    for (int i = 0; fields[i].key; i++) {
        char path[LK_RECIPE_PATH_BYTES];
        const key k = {path, &fields[i], &rules[i]};

        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", fields[i].key);
        if (rules[i].inner) continue;
        visit(stream, &k);
        if (*prefix && fields[i].value.type == CYAML_MAPPING)
            each_key(stream, path, fields[i].value.mapping.fields, rules[i].rules, visit);
    }
}

/* ------------------------------------------------------------------- values */

static void put_range(FILE *stream, const lk_rule *rule)
{
    const char *and = "";

    if (!isinf(rule->low)) fprintf(stream, ", %s %.10g", rule->above ? "above" : "at least", rule->low), and = " and";
    if (rule->high < A_LOT)
        fprintf(stream, "%s %s %.10g", *and ? and : ",", rule->below ? "below" : "at most", rule->high);
}

static void put_words(FILE *stream, const cyaml_schema_value_t *value, const char *between)
{
    for (uint32_t i = 0; i < value->enumeration.count; i++)
        fprintf(stream, "%s%s", i ? between : "", value->enumeration.strings[i].str);
}

static void put_list(FILE *stream, const cyaml_schema_value_t *value, const lk_rule *rule)
{
    static const char *const things[] = {
        [CYAML_INT] = "whole numbers", [CYAML_FLOAT] = "numbers", [CYAML_STRING] = "texts",
        [CYAML_MAPPING] = "sections"};

    if (rule->one_or_more && value->sequence.entry->type == CYAML_INT) {
        fprintf(stream, "a whole number");
        put_range(stream, rule);
        fprintf(stream, ", or a list of them");
        return;
    }
    if (rule->one_or_more) {
        fprintf(stream, "%s, or a list of them", rule->is_path ? "the name of a file" : "a text");
        return;
    }
    if (value->sequence.min == value->sequence.max) fprintf(stream, "a list of %u ", value->sequence.min);
    else fprintf(stream, "a list of ");
    fprintf(stream, "%s", things[value->sequence.entry->type]);
    if (value->sequence.entry->type == CYAML_INT || value->sequence.entry->type == CYAML_FLOAT) put_range(stream, rule);
}

static void put_value(FILE *stream, const key *k)
{
    const cyaml_schema_value_t *value = &k->field->value;

    switch (value->type) {
    case CYAML_INT: case CYAML_UINT:
        fprintf(stream, "a whole number");
        put_range(stream, k->rule);
        break;
    case CYAML_FLOAT:
        fprintf(stream, "a number");
        put_range(stream, k->rule);
        break;
    case CYAML_BOOL: fprintf(stream, "true or false"); break;
    case CYAML_ENUM: put_words(stream, value, ", "); break;
    case CYAML_SEQUENCE: case CYAML_SEQUENCE_FIXED: put_list(stream, value, k->rule); break;
    case CYAML_MAPPING: fprintf(stream, "a section of keys"); break;
    default: fprintf(stream, "%s", k->rule->is_path ? "the name of a file" : "text");
    }
}

/* "adam, adamw" from "adam adamw "; before the star of a pattern goes `escape`. */
static void put_kinds(FILE *stream, const char *kinds, const char *escape)
{
    for (; *kinds; kinds++) {
        if (*kinds == ' ' && !kinds[1]) break;
        if (*kinds == ' ') fputc(',', stream);
        if (*kinds == '*') fputs(escape, stream);
        fputc(*kinds, stream);
    }
}

static const char *default_of(const key *k)
{
    if (k->rule->derived) return k->rule->derived;
    if (k->rule->fallback) return k->rule->fallback;
    return k->rule->needed ? "needed" : "none";
}

/* -------------------------------------------------------------------- a key */

static void put_key(FILE *stream, const key *k)
{
    fprintf(stream, "%s: %s\n  value    ", k->path, k->rule->help);
    put_value(stream, k);
    fprintf(stream, "\n  default  %s\n", default_of(k));
    if (!k->rule->only) return;
    fprintf(stream, "  for      %.*s.kind ", (int)(strrchr(k->path, '.') - k->path), k->path);
    put_kinds(stream, k->rule->only, "");
    fputc('\n', stream);
}

static void put_line(FILE *stream, const key *k)
{
    fprintf(stream, "  %-*s %-*s %s\n", KEY_WIDTH, k->path, DEFAULT_WIDTH, default_of(k), k->rule->help);
}

static void put_section_line(FILE *stream, const key *k) { fprintf(stream, "  %-24s %s\n", k->path, k->rule->help); }

lk_status lk_recipe_help(FILE *stream, const char *path)
{
    key k = {.path = path};

    if (!path) {
        each_key(stream, "", lk_recipe_fields, lk_recipe_rules, put_section_line);
        return LK_OK;
    }
    k.field = lk_recipe_field(path, &k.rule);
    if (!k.field || k.rule->inner) return lk_recipe_fail_unknown_path(path, path);
    if (k.field->value.type != CYAML_MAPPING) {
        put_key(stream, &k);
        return LK_OK;
    }
    fprintf(stream, "%s: %s\n", path, k.rule->help);
    each_key(stream, path, k.field->value.mapping.fields, k.rule->rules, put_line);
    return LK_OK;
}

/* ---------------------------------------------------------------- reference */

static void put_row(FILE *stream, const key *k)
{
    fprintf(stream, "| `%s` | ", strchr(k->path, '.') + 1);
    put_value(stream, k);
    fprintf(stream, " | %s | ", k->field->value.type == CYAML_MAPPING ? "" : default_of(k));
    if (k->rule->only) fputc('*', stream), put_kinds(stream, k->rule->only, "\\"), fprintf(stream, ":* ");
    fprintf(stream, "%s |\n", k->rule->help);
}

void lk_recipe_reference(FILE *stream)
{
    for (int i = 0; lk_recipe_fields[i].key; i++) {
        const char *name = lk_recipe_fields[i].key;

        fprintf(stream, "%s#### %s\n\n", i ? "\n" : "", name);
        fprintf(stream, "%c%s%s.\n", *lk_recipe_rules[i].help - 'a' + 'A', lk_recipe_rules[i].help + 1,
                lk_recipe_rules[i].needed ? " (needed)" : "");
        /* Schedules are written alike: their keys stand under the first. */
        if (lk_recipe_rules[i].rules == lk_schedule_rules && strcmp(name, "scheduler") != 0) continue;
        fprintf(stream, "\n| key | value | default | |\n| --- | --- | --- | --- |\n");
        each_key(stream, name, lk_recipe_fields[i].value.mapping.fields, lk_recipe_rules[i].rules, put_row);
    }
}
