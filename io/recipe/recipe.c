/*
 * Recipes: from a file and overrides to lk_recipe.  The steps and their files are in parts.h.
 *
 * A person's mistakes are all found in the document, where lines are known; then libcyaml fills the struct from
 * the completed document by the same schema, owns what it allocates, and frees it in the end.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/recipe/parts.h"

enum { FAIL_BYTES = 1024 };

static const cyaml_schema_value_t top = {.type = CYAML_MAPPING, .flags = CYAML_FLAG_POINTER,
                                         .data_size = sizeof(lk_recipe), .mapping = {lk_recipe_fields}};
static const cyaml_config_t config = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};

void lk_recipe_free(lk_recipe **recipe)
{
    if (!recipe || !*recipe) return;
    for (unsigned i = 1; i < (*recipe)->n_stages; i++) lk_recipe_free(&(*recipe)->stages[i]);
    for (unsigned i = 1; i < (*recipe)->n_groups; i++) lk_recipe_free(&(*recipe)->groups[i]);
    free((*recipe)->stages);
    free((*recipe)->groups);
    free((*recipe)->stage);
    free((*recipe)->group);
    free((*recipe)->text);
    free((*recipe)->notes);
    free((*recipe)->completed);
    free((*recipe)->path);
    lk_recipe_free_lines(&(*recipe)->lines);
    cyaml_free(&config, &top, *recipe, 0);
    *recipe = NULL;
}

/* What the schema does not fill: whether optional sections are there, and borrowed views. */
static void complete(lk_yaml *yaml, lk_recipe *recipe)
{
    recipe->has_ema = lk_yaml_at(yaml, "ema");
    recipe->has_init_from = lk_yaml_at(yaml, "init_from");
    recipe->train.has_early_stop = lk_yaml_at(yaml, "train.early_stop");
    recipe->ema.spec.copy = (const char *const *)recipe->ema.copy.word;
    recipe->ema.spec.n_copy = recipe->ema.copy.n;
    recipe->ema.spec.ignore = (const char *const *)recipe->ema.ignore.word;
    recipe->ema.spec.n_ignore = recipe->ema.ignore.n;
}

/* The rest of what can be wrong with a schedule, its expressions above all, is found by making it.  The message
 * begins with the key. */
static lk_status check_schedule(const lk_recipe *recipe, const char *section, const lk_schedule_spec *spec, double base)
{
    lk_schedule *schedule;
    char message[FAIL_BYTES], key[LK_RECIPE_PATH_BYTES];

    if (lk_schedule_new(section, spec, base, &schedule) == LK_OK) {
        lk_schedule_free(&schedule);
        return LK_OK;
    }
    snprintf(message, sizeof message, "%s", lk_error_message());
    snprintf(key, sizeof key, "%.*s", (int)strcspn(message, ":"), message);
    return LK_FAIL(LK_ERR_USAGE, "%s: %s", lk_recipe_where(recipe, key), message);
}

static lk_status check_schedules(const lk_recipe *r)
{
    LK_TRY(check_schedule(r, "scheduler", &r->scheduler.spec, r->optimizer.lr));
    LK_TRY(check_schedule(r, "momentum_scheduler", &r->momentum_scheduler.spec, lk_recipe_momentum(r)));
    return check_schedule(r, "weight_decay_scheduler", &r->weight_decay_scheduler.spec, r->optimizer.weight_decay);
}

static void complete_data(lk_data_spec *data, const lk_loss_spec *loss)
{
    data->ignore_index = loss->ignore_index;
    data->probabilities = loss->probabilities;
    data->train = data->train_files.n ? data->train_files.word[0] : NULL;
    data->validation = data->validation_files.n ? data->validation_files.word[0] : NULL;
    data->train_labels = data->train_labels_files.n ? data->train_labels_files.word[0] : NULL;
    data->validation_labels = data->validation_labels_files.n ? data->validation_labels_files.word[0] : NULL;
}

/* text and lines move into the recipe. */
static lk_status load(lk_yaml *yaml, char **text, const char *path, lk_recipe_lines **lines, lk_recipe **out)
{
    char *full;
    cyaml_data_t *data = NULL;

    LK_TRY(lk_yaml_emit(yaml, &full));
    const cyaml_err_t error = cyaml_load_data((const uint8_t *)full, strlen(full), &config, &top, &data, NULL);
    if (error != CYAML_OK) {
        free(full);
        return LK_FAIL(LK_ERR_SYSTEM, "%s: libcyaml cannot load what was checked: %s", path, cyaml_strerror(error));
    }
    *out = data;
    (*out)->completed = full;
    (*out)->lines = *lines;
    *lines = NULL;
    (*out)->text = *text;
    *text = NULL;
    complete(yaml, *out);
    complete_data(&(*out)->data, &(*out)->model.loss);
    (*out)->path = strdup(path);
    LK_TRY_ALLOC((*out)->path, strlen(path) + 1);
    return check_schedules(*out);
}

/* What the file or an override implies comes from there, too. */
static lk_status resolve(lk_yaml *yaml, const char *folder)
{
    const lk_status status = lk_recipe_resolve(yaml, folder);

    yaml->last_node[yaml->n_overrides] = (int)(yaml->document.nodes.top - yaml->document.nodes.start);
    return status;
}

static lk_status resolve_all(lk_yaml *yaml, const char *path, size_t n_overrides)
{
    char *folder = lk_dir_of(path);

    LK_TRY_ALLOC(folder, strlen(path) + 1);
    lk_status status = resolve(yaml, folder);
    free(folder);
    if (yaml->document.nodes.start->type != YAML_MAPPING_NODE) return status; /* the check will say so */
    while (status == LK_OK && yaml->n_overrides < n_overrides) {
        status = lk_recipe_override(yaml);
        if (status == LK_OK) status = resolve(yaml, ".");
    }
    return status;
}

double lk_recipe_momentum(const lk_recipe *recipe)
{
    return recipe->optimizer.kind == LK_SGD ? recipe->optimizer.momentum : recipe->optimizer.beta1;
}

/* What one pass over the text makes of it: the recipe of one stage and group. */
typedef struct pass {
    const char *path;
    size_t n_overrides;
    unsigned stage, n_stages, group, n_groups;
    char *stage_name, *group_name; /* owned */
    char *text;                    /* owned: what is kept */
    lk_recipe_lines *lines;        /* owned */
} pass;

/* The text is kept as it was before stage and group went; else after the check, which spells truth alike. */
static lk_status build(lk_yaml *yaml, pass *p, lk_recipe **out)
{
    yaml->last_node = calloc(p->n_overrides + 1, sizeof *yaml->last_node);
    LK_TRY_ALLOC(yaml->last_node, (p->n_overrides + 1) * sizeof *yaml->last_node);
    yaml->last_node[0] = (int)(yaml->document.nodes.top - yaml->document.nodes.start);
    LK_TRY(resolve_all(yaml, p->path, p->n_overrides));
    LK_TRY(lk_recipe_count_stages(yaml, &p->n_stages));
    if (lk_yaml_at(yaml, "stages") || lk_yaml_at(yaml, "optimizer.groups")) LK_TRY(lk_yaml_emit(yaml, &p->text));
    LK_TRY(lk_recipe_take_stage(yaml, p->stage, &p->stage_name));
    LK_TRY(lk_recipe_imply_groups(yaml));
    LK_TRY(lk_recipe_count_groups(yaml, &p->n_groups));
    LK_TRY(lk_recipe_take_group(yaml, p->group, &p->group_name));
    LK_TRY(lk_recipe_check(yaml, &p->lines));
    if (!p->text) LK_TRY(lk_yaml_emit(yaml, &p->text));
    LK_TRY(lk_recipe_fill(yaml));
    LK_TRY(load(yaml, &p->text, p->path, &p->lines, out));
    if (p->n_stages > 1 && (*out)->train.epochs == 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: train.epochs: 0 is for a run of one stage: each of several trains",
                       lk_recipe_where(*out, "train.epochs"));
    (*out)->stage = p->stage_name;
    (*out)->group = p->group_name;
    (*out)->notes = yaml->notes;
    p->stage_name = p->group_name = yaml->notes = NULL;
    return LK_OK;
}

/* The text, where it comes from, and what is applied to it. */
typedef struct source { const char *text, *path; const char *const *overrides; size_t n_overrides; } source;

static lk_status parse_part(const source *from, unsigned stage, unsigned group, pass *counts, lk_recipe **out)
{
    pass p = {.path = from->path, .n_overrides = from->n_overrides, .stage = stage, .group = group};
    lk_yaml yaml;

    *out = NULL;
    lk_status status = lk_yaml_load(from->text, from->path, true, &yaml);
    yaml.overrides = from->overrides;
    if (status == LK_OK) status = build(&yaml, &p, out);
    if (status != LK_OK) lk_recipe_free(out);
    lk_yaml_close(&yaml);
    lk_recipe_free_lines(&p.lines);
    free(p.text);
    free(p.stage_name);
    free(p.group_name);
    *counts = (pass){.n_stages = p.n_stages, .n_groups = p.n_groups};
    return status;
}

/* Room for n recipes, of which the first is there. */
static lk_status make_list(lk_recipe *first, unsigned n, lk_recipe ***list, unsigned *length)
{
    *list = calloc(n, sizeof **list);
    LK_TRY_ALLOC(*list, n * sizeof **list);
    (*list)[0] = first;
    *length = n;
    return LK_OK;
}

/* A stage's recipe with those of its groups. */
static lk_status parse_stage(const source *from, unsigned stage, pass *counts, lk_recipe **out)
{
    pass unused;

    LK_TRY(parse_part(from, stage, 0, counts, out));
    lk_recipe *r = *out;
    lk_status status = make_list(r, counts->n_groups, &r->groups, &r->n_groups);
    for (unsigned g = 1; status == LK_OK && g < counts->n_groups; g++)
        status = parse_part(from, stage, g, &unused, &r->groups[g]);
    if (status != LK_OK) lk_recipe_free(out);
    return status;
}

lk_status lk_recipe_parse(const char *text, const char *path, const char *const *overrides, size_t n_overrides,
                          lk_recipe **out)
{
    const source from = {text, path, overrides, n_overrides};
    pass counts, unused;

    LK_TRY(parse_stage(&from, 0, &counts, out));
    lk_recipe *first = *out;
    lk_status status = make_list(first, counts.n_stages, &first->stages, &first->n_stages);
    for (unsigned i = 1; status == LK_OK && i < counts.n_stages; i++)
        status = parse_stage(&from, i, &unused, &first->stages[i]);
    if (status != LK_OK) lk_recipe_free(out);
    return status;
}

/* ------------------------------------------------------------ reading files */

enum { MOST_NEIGHBOURS = 512 };

/* A file beside `path` whose name is near, to suggest; release with free(). */
static char *near_file(const char *path)
{
    char *folder = lk_dir_of(path), *neighbours[MOST_NEIGHBOURS], *found = NULL;
    DIR *dir = folder ? opendir(folder) : NULL;
    const char *slash = strrchr(path, '/');
    size_t n = 0;

    for (struct dirent *entry; dir && n < MOST_NEIGHBOURS && (entry = readdir(dir));)
        if (strstr(entry->d_name, ".y") && (neighbours[n] = strdup(entry->d_name))) n++;
    const char *name = lk_nearest(slash ? slash + 1 : path, (const char *const *)neighbours, n);
    if (name && asprintf(&found, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name) < 0) found = NULL;
    while (n > 0) free(neighbours[--n]);
    if (dir) closedir(dir);
    free(folder);
    return found;
}

static lk_status fail_to_read(const char *path)
{
    char *near = access(path, F_OK) == 0 ? NULL : near_file(path);
    const lk_status status =
        near ? LK_FAIL(LK_ERR_USAGE, "the recipe: %s; did you mean `%s`?", lk_error_message(), near)
             : LK_FAIL(LK_ERR_USAGE, "the recipe: %s", lk_error_message());
    free(near);
    return status;
}

lk_status lk_recipe_read(const char *path, const char *const *overrides, size_t n_overrides, lk_recipe **out)
{
    char *text;
    size_t nbytes;

    *out = NULL;
    const bool is_input = strcmp(path, "-") == 0; /* files in it count from the current folder */
    if (lk_read_file(is_input ? "/dev/stdin" : path, &text, &nbytes) != LK_OK) return fail_to_read(path);
    if (is_input) path = "standard input";
    const char *zero = memchr(text, '\0', nbytes);
    const lk_status status = zero ? LK_FAIL(LK_ERR_USAGE, "%s: not text: byte %zu is NUL", path, (size_t)(zero - text))
                                  : lk_recipe_parse(text, path, overrides, n_overrides, out);
    free(text);
    return status;
}
