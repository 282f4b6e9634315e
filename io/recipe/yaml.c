/*
 * YAML documents: libyaml's tree of nodes, with what recipes need on top: looking up, replacing and copying values,
 * writing it out as text, and telling where a node comes from.
 *
 * libyaml numbers nodes from 1 in the order they are made and never renumbers.  So the file's nodes come first, then
 * those of each override, then defaults, and a node's number tells its origin.  Each node has one parent here:
 * anchors and aliases, which would give it more, are refused.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

enum { FAIL_BYTES = 1536 };

static int n_nodes(const lk_yaml *yaml) { return (int)(yaml->document.nodes.top - yaml->document.nodes.start); }

/* Nodes by number; NULL for 0. */
static yaml_node_t *node_of(const lk_yaml *yaml, int node)
{
    return node > 0 && node <= n_nodes(yaml) ? yaml->document.nodes.start + node - 1 : NULL;
}

int lk_yaml_line(const lk_yaml *yaml, int node)
{
    const int last = yaml->last_node ? yaml->last_node[0] : n_nodes(yaml);
    return yaml->is_file && node > 0 && node <= last ? (int)node_of(yaml, node)->start_mark.line + 1 : 0;
}

const char *lk_yaml_override(const lk_yaml *yaml, int node)
{
    for (size_t i = 0; yaml->last_node && i < yaml->n_overrides; i++)
        if (node > yaml->last_node[i] && node <= yaml->last_node[i + 1]) return yaml->overrides[i];
    return NULL;
}

lk_status lk_yaml_fail(const lk_yaml *yaml, int node, const char *path, const char *format, ...)
{
    char text[FAIL_BYTES];
    va_list args;
    const int line = lk_yaml_line(yaml, node);
    const char *override = lk_yaml_override(yaml, node);
    const size_t n = strlen(path);

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* "train.batch=0: train.batch: ..." would say it twice. */
    if (override && strncmp(override, path, n) == 0 && override[n] == '=')
        return LK_FAIL(LK_ERR_USAGE, "%s: %s", override, text);
    if (override) return LK_FAIL(LK_ERR_USAGE, "%s: %s: %s", override, path, text);
    if (line) return LK_FAIL(LK_ERR_USAGE, "%s:%d: %s: %s", yaml->name, line, path, text);
    return LK_FAIL(LK_ERR_USAGE, "%s: %s: %s", yaml->name, path, text);
}

/* ------------------------------------------------------------------ reading */

/* Bytes that are no text come before any mark; so the line is counted here. */
static size_t line_of_byte(const char *text, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset && text[i]; i++) line += text[i] == '\n';
    return line;
}

static lk_status fail_to_parse(const yaml_parser_t *parser, const char *text, const char *name, bool is_file)
{
    const char *problem = parser->problem ? parser->problem : "out of memory";
    const bool tab = parser->error == YAML_SCANNER_ERROR && text[parser->problem_mark.index] == '\t';
    const char *context = parser->context ? parser->context : "reading YAML";

    if (!is_file) return LK_FAIL(LK_ERR_USAGE, "%s: %s, %s", name, context, problem);
    if (parser->error == YAML_READER_ERROR)
        return LK_FAIL(LK_ERR_USAGE, "%s:%zu: not text in UTF-8: %s", name,
                       line_of_byte(text, parser->problem_offset), problem);
    return LK_FAIL(LK_ERR_USAGE, "%s:%zu:%zu: %s, %s%s", name, parser->problem_mark.line + 1,
                   parser->problem_mark.column + 1, context, problem,
                   tab ? "; this is a tab: indent with blanks" : "");
}

/* Counts one more parent of a node; the second is an alias. */
static lk_status count_parent(const lk_yaml *yaml, bool *has_parent, int child, int parent)
{
    if (has_parent[child - 1])
        return lk_yaml_fail(yaml, parent, "YAML",
                            "anchors and aliases (&, *) are not used in recipes: write the value out");
    has_parent[child - 1] = true;
    return LK_OK;
}

static lk_status count_parents(const lk_yaml *yaml, bool *has_parent)
{
    has_parent[0] = true; /* the root */
    for (int id = 1; id <= n_nodes(yaml); id++) {
        const yaml_node_t *node = node_of(yaml, id);

        if (node->type == YAML_SEQUENCE_NODE)
            for (int *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
                LK_TRY(count_parent(yaml, has_parent, *item, id));
        if (node->type != YAML_MAPPING_NODE) continue;
        for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
            LK_TRY(count_parent(yaml, has_parent, pair->key, id));
            LK_TRY(count_parent(yaml, has_parent, pair->value, id));
        }
    }
    return LK_OK;
}

static lk_status refuse_aliases(const lk_yaml *yaml)
{
    bool *has_parent = calloc((size_t)n_nodes(yaml) + 1, sizeof *has_parent);

    LK_TRY_ALLOC(has_parent, n_nodes(yaml));
    const lk_status status = count_parents(yaml, has_parent);
    free(has_parent);
    return status;
}

static lk_status refuse_second_document(yaml_parser_t *parser, const char *text, const lk_yaml *yaml)
{
    yaml_document_t second;

    if (!yaml_parser_load(parser, &second)) return fail_to_parse(parser, text, yaml->name, yaml->is_file);
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    const size_t line = root ? root->start_mark.line + 1 : 0;
    yaml_document_delete(&second);
    if (root) return LK_FAIL(LK_ERR_USAGE, "%s:%zu: a second document: a recipe is one", yaml->name, line);
    return LK_OK;
}

static lk_status load(yaml_parser_t *parser, const char *text, lk_yaml *out)
{
    if (!yaml_parser_load(parser, &out->document)) {
        memset(&out->document, 0, sizeof out->document);
        return fail_to_parse(parser, text, out->name, out->is_file);
    }
    if (n_nodes(out) == 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s", out->name, out->is_file ? "is empty" : "has no value");
    LK_TRY(refuse_second_document(parser, text, out));
    return refuse_aliases(out);
}

lk_status lk_yaml_load(const char *text, const char *name, bool is_file, lk_yaml *out)
{
    yaml_parser_t parser;

    memset(out, 0, sizeof *out);
    out->name = name;
    out->is_file = is_file;
    if (!yaml_parser_initialize(&parser)) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a YAML parser for %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    const lk_status status = load(&parser, text, out);
    yaml_parser_delete(&parser);
    return status;
}

void lk_yaml_close(lk_yaml *yaml)
{
    if (yaml->document.nodes.start) yaml_document_delete(&yaml->document);
    free(yaml->last_node);
    free(yaml->notes);
    memset(yaml, 0, sizeof *yaml);
}

lk_status lk_yaml_note(lk_yaml *yaml, const char *line)
{
    char *grown;

    if (yaml->notes && strstr(yaml->notes, line)) return LK_OK;
    if (asprintf(&grown, "%s%s%s", yaml->notes ? yaml->notes : "", yaml->notes ? "\n" : "", line) < 0)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a note on %s", yaml->name);
    free(yaml->notes);
    yaml->notes = grown;
    return LK_OK;
}

/* -------------------------------------------------------------- looking up */

const char *lk_yaml_text(lk_yaml *yaml, int node)
{
    const yaml_node_t *n = node_of(yaml, node);
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static yaml_node_pair_t *find_pair(lk_yaml *yaml, int mapping, const char *key)
{
    const yaml_node_t *node = node_of(yaml, mapping);

    if (!node || node->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const char *text = lk_yaml_text(yaml, pair->key);
        if (text && strcmp(text, key) == 0) return pair;
    }
    return NULL;
}

int lk_yaml_get(lk_yaml *yaml, int mapping, const char *key)
{
    const yaml_node_pair_t *pair = find_pair(yaml, mapping, key);
    return pair ? pair->value : 0;
}

int lk_yaml_key(lk_yaml *yaml, int mapping, const char *key)
{
    const yaml_node_pair_t *pair = find_pair(yaml, mapping, key);
    return pair ? pair->key : 0;
}

int lk_yaml_at(lk_yaml *yaml, const char *path)
{
    int node = 1; /* the root */

    while (node && *path) {
        char key[LK_RECIPE_PATH_BYTES];
        const size_t n = strcspn(path, ".");

        snprintf(key, sizeof key, "%.*s", (int)n, path);
        node = lk_yaml_get(yaml, node, key);
        path += n + (path[n] == '.');
    }
    return node;
}

const char *lk_yaml_text_at(lk_yaml *yaml, const char *path) { return lk_yaml_text(yaml, lk_yaml_at(yaml, path)); }

/* ---------------------------------------------------------------- changing */

static lk_status added(int node, int *out)
{
    *out = node;
    return node ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a node of a recipe");
}

lk_status lk_yaml_add_text(lk_yaml *yaml, const char *text, int *out)
{
    return added(yaml_document_add_scalar(&yaml->document, NULL, (const unsigned char *)text, (int)strlen(text),
                                          YAML_ANY_SCALAR_STYLE), out);
}

lk_status lk_yaml_add_mapping(lk_yaml *yaml, int *out)
{
    return added(yaml_document_add_mapping(&yaml->document, NULL, YAML_ANY_MAPPING_STYLE), out);
}

lk_status lk_yaml_add_list(lk_yaml *yaml, const char *const *texts, size_t n, int *out)
{
    LK_TRY(added(yaml_document_add_sequence(&yaml->document, NULL, YAML_FLOW_SEQUENCE_STYLE), out));
    for (size_t i = 0; i < n; i++) {
        int item, done;

        LK_TRY(lk_yaml_add_text(yaml, texts[i], &item));
        LK_TRY(added(yaml_document_append_sequence_item(&yaml->document, *out, item), &done));
    }
    return LK_OK;
}

void lk_yaml_place(lk_yaml *yaml, int node, int like)
{
    if (node_of(yaml, node) && node_of(yaml, like)) node_of(yaml, node)->start_mark = node_of(yaml, like)->start_mark;
}

static lk_status append_pair(lk_yaml *yaml, int mapping, int key, int value)
{
    int done;
    return added(yaml_document_append_mapping_pair(&yaml->document, mapping, key, value), &done);
}

lk_status lk_yaml_set(lk_yaml *yaml, int mapping, const char *key, int value)
{
    yaml_node_pair_t *pair = find_pair(yaml, mapping, key);
    int key_node;

    if (pair) {
        pair->value = value;
        return LK_OK;
    }
    LK_TRY(lk_yaml_add_text(yaml, key, &key_node));
    lk_yaml_place(yaml, key_node, value);
    return append_pair(yaml, mapping, key_node, value);
}

void lk_yaml_remove(lk_yaml *yaml, int mapping, const char *key)
{
    yaml_node_pair_t *pair = find_pair(yaml, mapping, key);
    yaml_node_t *node = node_of(yaml, mapping);

    if (!pair) return;
    memmove(pair, pair + 1, (size_t)(node->data.mapping.pairs.top - (pair + 1)) * sizeof *pair);
    node->data.mapping.pairs.top--;
}

lk_status lk_yaml_rewrite(lk_yaml *yaml, int node, const char *text)
{
    yaml_node_t *scalar = node_of(yaml, node);
    char *copy = strdup(text); /* libyaml allocates by malloc() and will free() it */

    LK_TRY_ALLOC(copy, strlen(text) + 1);
    free(scalar->data.scalar.value);
    scalar->data.scalar.value = (unsigned char *)copy;
    scalar->data.scalar.length = strlen(copy);
    return LK_OK;
}

static lk_status copy_sequence(lk_yaml *yaml, const lk_yaml *from, const yaml_node_t *node, int *out)
{
    LK_TRY(added(yaml_document_add_sequence(&yaml->document, NULL, node->data.sequence.style), out));
    for (const int *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        int copy, done;
        LK_TRY(lk_yaml_copy(yaml, from, *item, &copy));
        LK_TRY(added(yaml_document_append_sequence_item(&yaml->document, *out, copy), &done));
    }
    return LK_OK;
}

static lk_status copy_mapping(lk_yaml *yaml, const lk_yaml *from, const yaml_node_t *node, int *out)
{
    LK_TRY(added(yaml_document_add_mapping(&yaml->document, NULL, node->data.mapping.style), out));
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        int key, value;
        LK_TRY(lk_yaml_copy(yaml, from, pair->key, &key));
        LK_TRY(lk_yaml_copy(yaml, from, pair->value, &value));
        LK_TRY(append_pair(yaml, *out, key, value));
    }
    return LK_OK;
}

lk_status lk_yaml_copy(lk_yaml *yaml, const lk_yaml *from, int node, int *out)
{
    const yaml_node_t *source = node_of(from, node);

    if (source->type == YAML_SEQUENCE_NODE) return copy_sequence(yaml, from, source, out);
    if (source->type == YAML_MAPPING_NODE) return copy_mapping(yaml, from, source, out);
    return added(yaml_document_add_scalar(&yaml->document, NULL, source->data.scalar.value,
                                          (int)source->data.scalar.length, source->data.scalar.style), out);
}

/* ------------------------------------------------------------- writing out */

/* libyaml's handler for output: 1 is success. */
static int write_to_file(void *file, unsigned char *bytes, size_t nbytes)
{
    return fwrite(bytes, 1, nbytes, file) == nbytes;
}

/* yaml_emitter_dump() takes the document apart, so a copy is written. */
static bool dump(yaml_emitter_t *emitter, const lk_yaml *yaml, FILE *file)
{
    lk_yaml copy = {0};
    int root;

    if (!yaml_document_initialize(&copy.document, NULL, NULL, NULL, 1, 1)) return false;
    if (lk_yaml_copy(&copy, yaml, 1, &root) != LK_OK) {
        yaml_document_delete(&copy.document);
        return false;
    }
    yaml_emitter_set_output(emitter, write_to_file, file);
    yaml_emitter_set_unicode(emitter, 1);
    yaml_emitter_set_width(emitter, -1); /* no line is folded */
    return yaml_emitter_dump(emitter, &copy.document) && yaml_emitter_close(emitter);
}

lk_status lk_yaml_emit(const lk_yaml *yaml, char **out)
{
    yaml_emitter_t emitter;
    size_t nbytes = 0;
    bool good = false;

    *out = NULL;
    FILE *file = open_memstream(out, &nbytes);
    if (file && yaml_emitter_initialize(&emitter)) {
        good = dump(&emitter, yaml, file);
        yaml_emitter_delete(&emitter);
    }
    if (file && fclose(file) != 0) good = false;
    if (good) return LK_OK;
    free(*out);
    *out = NULL;
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the text of %s", yaml->name);
}
