/*
 * What the files of the recipe share.  A recipe goes through them in this order:
 *
 *   yaml.c             text -> a libyaml document whose nodes know the line or the override they come from
 *   resolve.c          null keys out, old words renamed (aliases.c), what model.plugin implies (plugin.c), names of
 *                      files made absolute
 *   override.c         "a.b=value" into the document
 *   stages.c           one of the recipe's stages merged into the sections
 *   groups.c           the same for one of the optimizer's parameter groups; both are lists of names, named_list.c
 *   check.c            the document against the schema: keys, types, words, ranges; near words from suggest.c
 *   fill.c             defaults into the document; checks between keys
 *   measures.c         the same of what a run measures: metrics, what plateau, early stopping and best look at
 *   schedule.c         the same for the section `scheduler`, whose keys are there too
 *   transforms.c       the same for data.transforms and data.validation_transforms
 *   recipe.c           the document -> lk_recipe, by libcyaml and the same schema
 */
#ifndef LK_IO_RECIPE_PARTS_H
#define LK_IO_RECIPE_PARTS_H

#include <cyaml/cyaml.h>
#include <yaml.h>

#include "io/io.h"

/* ------------------------------------------------------------------ schema */

/* A kind's own default of a key. */
typedef struct lk_kind_default { const char *kinds, *text; } lk_kind_default; /* kinds: a word or a pattern */

/* What a key must satisfy beyond its type; row i goes with row i of the cyaml fields beside it. */
typedef struct lk_rule {
    const char *key;
    const char *only;     /* kinds that take it, words or patterns (resnet*), separated by blanks; NULL: all */
    const char *fallback; /* its default; "{}" for a section; NULL: none, or fill.c derives it */
    const lk_kind_default *own_fallback; /* of some kinds, instead; the last has none; NULL: there are none */
    const char *derived;  /* the default in words, where fallback does not say it; NULL: it does, or there is none */
    const char *help;     /* what it is, in half a sentence; NULL: an inner key */
    bool inner;           /* no key that a person is told of */
    bool fixed;           /* another value makes another run of it: refused at a resume; of a section: all its keys */
    bool state;           /* another value drops what the optimizer or the EMA has gathered */
    bool needed;          /* by every kind that takes it */
    bool is_path;         /* the name of a file, or a list of names */
    bool one_or_more;     /* of a list: one may stand without brackets */
    double low, high;     /* numbers, and each number of a list */
    bool above, below;    /* low or high itself is out of range */
    const struct lk_rule *rules; /* of a section's keys */
} lk_rule;

enum { LK_RECIPE_PATH_BYTES = 256 };

extern const cyaml_schema_field_t lk_recipe_fields[]; /* sections; ends with key NULL, as libcyaml wants it */
extern const lk_rule lk_recipe_rules[];
/* Keys of one lk_schedule_spec, in keys_schedule.c. */
extern const cyaml_schema_field_t lk_schedule_fields[];
extern const lk_rule lk_schedule_rules[];

/* Keys of one transform of a list, in transforms.c. */
extern const cyaml_schema_value_t lk_transform_entry;
extern const lk_rule lk_transform_rules[];

/* Row of `key`, -1 if there is none. */
int lk_recipe_row(const cyaml_schema_field_t *fields, const char *key);
/* Schema of a dotted path, NULL if there is none.  rule may be NULL. */
const cyaml_schema_field_t *lk_recipe_field(const char *path, const lk_rule **rule);
/* Whether keys of this rule belong to a section of that kind (kind NULL: the section has none). */
bool lk_rule_takes(const lk_rule *rule, const char *kind);
/* A key's default in a section of that kind; NULL: it has none. */
const char *lk_rule_fallback(const lk_rule *rule, const char *kind);
/* Calls visit(arg, dotted path) for every key of every section that people are told of. */
void lk_recipe_each_path(void (*visit)(void *arg, const char *path), void *arg);

/* What other trainers' word for a value is here; NULL: none is known. */
const char *lk_recipe_word_synonym(const char *word);
/* The key that an unknown one was probably meant to be; false: nothing is near. */
bool lk_recipe_meant(const char *path, char out[LK_RECIPE_PATH_BYTES]);
/* Fails with "WHERE: no such key; did you mean ...". */
lk_status lk_recipe_fail_unknown_path(const char *where, const char *path);

/* --------------------------------------------------------------- documents */

typedef struct lk_yaml {
    yaml_document_t document;
    const char *name;             /* borrowed: the file, or the override that this is the value of */
    bool is_file;                 /* its nodes have lines worth telling */
    const char *const *overrides; /* borrowed */
    int *last_node;               /* owned: [0] last node of the file, [1 + i] last of override i */
    size_t n_overrides;           /* applied so far */
    char *notes;                  /* owned: what the recipe's reader should be told, a line each; NULL: nothing */
} lk_yaml;

/* Reads one document; release with lk_yaml_close() also when it fails.  Errors: LK_ERR_USAGE with line and column. */
lk_status lk_yaml_load(const char *text, const char *name, bool is_file, lk_yaml *out);
void      lk_yaml_close(lk_yaml *yaml);
/* Value of a key of a mapping, 0 if there is none; of a dotted path from the root. */
int         lk_yaml_get(lk_yaml *yaml, int mapping, const char *key);
/* The node of the key itself. */
int         lk_yaml_key(lk_yaml *yaml, int mapping, const char *key);
int         lk_yaml_at(lk_yaml *yaml, const char *path);
/* Text of a scalar, NULL for anything else (or node 0). */
const char *lk_yaml_text(lk_yaml *yaml, int node);
const char *lk_yaml_text_at(lk_yaml *yaml, const char *path);
/* Gives a mapping a value for a key, in the place of the one it has. */
lk_status lk_yaml_set(lk_yaml *yaml, int mapping, const char *key, int value);
void      lk_yaml_remove(lk_yaml *yaml, int mapping, const char *key);
lk_status lk_yaml_add_text(lk_yaml *yaml, const char *text, int *out);
lk_status lk_yaml_add_list(lk_yaml *yaml, const char *const *texts, size_t n, int *out);
lk_status lk_yaml_add_mapping(lk_yaml *yaml, int *out);
/* A node that another one implies stands, for messages, where that one is written. */
void      lk_yaml_place(lk_yaml *yaml, int node, int like);
/* Gives a key of a section that is there a value where it has none. */
lk_status lk_yaml_default_to(lk_yaml *yaml, const char *section, const char *key, const char *text);
/* The scalar at a path is this word; its number, 0 if there is none. */
bool   lk_yaml_is(lk_yaml *yaml, const char *path, const char *word);
double lk_yaml_number_at(lk_yaml *yaml, const char *path);
/* Another text for a scalar, which keeps its line. */
lk_status lk_yaml_rewrite(lk_yaml *yaml, int node, const char *text);
/* A copy of a node of `from` and all below it. */
lk_status lk_yaml_copy(lk_yaml *yaml, const lk_yaml *from, int node, int *out);
/* The document as text; release with free(). */
lk_status lk_yaml_emit(const lk_yaml *yaml, char **out);
/* Adds a line to the notes, where it is not there yet. */
lk_status lk_yaml_note(lk_yaml *yaml, const char *line);
/* The override a node comes from, NULL if none. */
const char *lk_yaml_override(const lk_yaml *yaml, int node);
/* Line of a node in the file, 0 if it does not come from there. */
int lk_yaml_line(const lk_yaml *yaml, int node);
/* Fails with "FILE:LINE: PATH: ..." or "OVERRIDE: ...", whichever the node comes from. */
lk_status lk_yaml_fail(const lk_yaml *yaml, int node, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ------------------------------------------------------------------- steps */

/* What `model.plugin` implies: the kind, and arguments as a list. */
lk_status lk_recipe_imply_plugin(lk_yaml *yaml);
/* The argument `name` of these keys of a model, given before or not. */
lk_status lk_recipe_set_arg(lk_yaml *yaml, int model, const char *name, const char *value);
/* Drops keys whose value is null, renames old ones and makes names of files absolute, from `folder`. */
lk_status lk_recipe_resolve(lk_yaml *yaml, const char *folder);
/* Gives keys of the document, or the path of an override, the words they have now; notes the old ones. */
lk_status lk_recipe_rename_old(lk_yaml *yaml);
lk_status lk_recipe_rename_path(lk_yaml *yaml, char path[LK_RECIPE_PATH_BYTES]);
/* Applies the next override. */
lk_status lk_recipe_override(lk_yaml *yaml);

/* Number of stages; 1 when the recipe has none.  Errors: LK_ERR_USAGE (`stages` is not a list of sections). */
lk_status lk_recipe_count_stages(lk_yaml *yaml, unsigned *n);
/* Makes the document that of stage i alone: what the stage names replaces what the sections say, `stages` goes.
 * *name (owned by the caller) is the stage's, NULL without stages. */
lk_status lk_recipe_take_stage(lk_yaml *yaml, unsigned i, char **name);
/* The groups that the network implies where the recipe names none; after a stage was taken. */
lk_status lk_recipe_imply_groups(lk_yaml *yaml);
/* Number of the optimizer's groups, the one of the rest included; after a stage was taken.  Errors: LK_ERR_USAGE. */
lk_status lk_recipe_count_groups(lk_yaml *yaml, unsigned *n);
/* Makes the document that of group g alone (0: of the rest); `optimizer.groups` goes.  *name is owned by the caller,
 * NULL for the rest. */
lk_status lk_recipe_take_group(lk_yaml *yaml, unsigned g, char **name);
/* The keys of a mapping over those of a section, which is made where it is missing. */
lk_status lk_recipe_merge(lk_yaml *yaml, const char *section, int named);

/* Lists of sections with names. */
typedef struct lk_named_list {
    const char *path, *one, *many; /* "stages", "stage", "stages" */
    const char *unnamed;           /* what is before the number of one without a name */
    unsigned first;                /* the number of the first */
} lk_named_list;
extern const lk_named_list lk_recipe_stages, lk_recipe_groups;

unsigned    lk_named_count(lk_yaml *yaml, const lk_named_list *list); /* 0: not a list, too */
int         lk_named_item(lk_yaml *yaml, const lk_named_list *list, unsigned i);
const char *lk_named_name(lk_yaml *yaml, const lk_named_list *list, unsigned i, char text[LK_RECIPE_PATH_BYTES]);
lk_status   lk_named_copy_name(lk_yaml *yaml, const lk_named_list *list, unsigned i, char **out);
/* No two are called alike. */
lk_status   lk_named_check(lk_yaml *yaml, const lk_named_list *list);
/* An override "LIST.NAME.key" (NAME may be a number from 0): the mapping of that name, and the key in it.  *mapping is
 * 0 when `path` is none of these. */
lk_status lk_named_path(lk_yaml *yaml, const lk_named_list *list, const char *override, const char *path, int *mapping,
                        const char **rest);
/* The path in the sections of what a stage, or a group, calls `path`. */
void lk_recipe_stage_key(const char *path, char out[LK_RECIPE_PATH_BYTES]);
void lk_recipe_group_key(const char *path, char out[LK_RECIPE_PATH_BYTES]);
/* After an override of a section's key: stages that name the same key get the value too. */
void lk_recipe_override_stages(lk_yaml *yaml, const char *section_path, int value);

/* Where keys were written, for lk_recipe_where(). */
typedef struct lk_recipe_line { char *path, *where; } lk_recipe_line;
struct lk_recipe_lines { lk_recipe_line *line; size_t n; };
/* Notes that the key at `path` has the value `node`; nothing where it comes from neither file nor override.  *lines is
 * made when it is NULL. */
lk_status lk_recipe_keep_line(lk_recipe_lines **lines, const lk_yaml *yaml, const char *path, int node);
void      lk_recipe_free_lines(lk_recipe_lines **lines);

/* Checks the document, spells booleans as true and false, and notes where keys are. */
lk_status lk_recipe_check(lk_yaml *yaml, lk_recipe_lines **lines);
/* The same two for the schedule at `path`, before the rest. */
lk_status lk_recipe_fill_schedule(lk_yaml *yaml, const char *path);
/* Lists of transforms: order, and the evaluation's where it is left to the training's. */
lk_status lk_recipe_check_transforms(lk_yaml *yaml);
/* Adds defaults and checks what concerns several keys. */
lk_status lk_recipe_fill(lk_yaml *yaml);
/* Two steps of it: what plateau, early stopping and `best` look at where the recipe leaves it open; that what they look
 * at is measured. */
lk_status lk_recipe_derive_measures(lk_yaml *yaml);
lk_status lk_recipe_check_measures(lk_yaml *yaml);

#endif
