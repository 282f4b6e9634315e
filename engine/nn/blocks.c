/*
 * Which layers are one block to recomputation (graph/recompute.c), by their paths.
 *
 * A pattern is matched against the scopes that a path lies in, from the outside in: of layer1.0.conv1 against layer1,
 * layer1.0 and layer1.0.conv1.  The first that matches is the block, with all that lies in it.
 */
#include "engine/model/model_impl.h"
#include "engine/nn/build.h"
#include "engine/nn/nn.h"

#include <stdio.h>
#include <string.h>

static const char *const NO_PATTERNS[] = {NULL};

/* The network's own, NULL behind the last. */
static const char *const *blocks_of(const lk_model *model)
{
    return model->network->blocks ? model->network->blocks : NO_PATTERNS;
}

static bool matches(const lk_model *model, const char *pattern, const char *scope)
{
    if (strcmp(pattern, LK_RECOMPUTE_BLOCKS) != 0) return lk_glob(pattern, scope);
    for (const char *const *own = blocks_of(model); *own; own++)
        if (lk_glob(*own, scope)) return true;
    return false;
}

/* Bytes of `path` that are the outermost scope that one of the patterns matches; 0: none does. */
static size_t block_in(const lk_model *model, const char *const *pattern, size_t n, const char *path)
{
    char scope[LK_MAX_NAME];

    if (strlen(path) >= sizeof scope) return 0;
    for (size_t end = strcspn(path, ".");; end += 1 + strcspn(path + end + 1, ".")) {
        memcpy(scope, path, end);
        scope[end] = '\0';
        for (size_t i = 0; i < n; i++)
            if (matches(model, pattern[i], scope)) return end;
        if (!path[end]) return 0;
    }
}

/* Of a layer that has tensors: what is left of a tensor's name without its last part. */
static bool matches_a_layer(const lk_model *model, const char *pattern)
{
    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const char *name = lk_model_tensor(model, i)->name, *leaf = strrchr(name, '.');
        char path[LK_MAX_NAME];

        snprintf(path, sizeof path, "%.*s", leaf ? (int)(leaf - name) : 0, name);
        if (*path && block_in(model, &pattern, 1, path) > 0) return true;
    }
    return false;
}

lk_status lk_recompute_check(const lk_model *model, const lk_recompute *recompute)
{
    for (size_t i = 0; i < recompute->n; i++) {
        const char *pattern = recompute->pattern[i], *first = lk_model_tensor(model, 0)->name;

        if (matches_a_layer(model, pattern)) continue;
        if (strcmp(pattern, LK_RECOMPUTE_BLOCKS) == 0)
            return LK_FAIL(LK_ERR_USAGE, "train.recompute: %s has no blocks of its own; name layers by patterns, as "
                           "['%.*s']", model->network->word, (int)strcspn(first, "."), first);
        return LK_FAIL(LK_ERR_USAGE, "train.recompute: `%s` matches no layer; lockstep plan lists the names of "
                       "tensors, and a layer's is one of them up to a dot: of %s `%.*s`", pattern, first,
                       (int)strcspn(first, "."), first);
    }
    return LK_OK;
}

/* Whether `path` lies in the scope that `bytes` of `scope` are. */
static bool is_in(const char *path, const char *scope, size_t bytes)
{
    return strncmp(path, scope, bytes) == 0 && (path[bytes] == '\0' || path[bytes] == '.');
}

void lk_recompute_find_blocks(const lk_graph *graph, const lk_recompute *recompute, int *block)
{
    int n_blocks = 0;

    for (int i = 0; i < graph->n_nodes; i++) {
        const lk_node *node = &graph->nodes[i];
        const size_t bytes =
            node->backward ? 0 : block_in(graph->model, recompute->pattern, recompute->n, node->path);

        block[i] = -1;
        if (bytes == 0) continue;
        for (int k = 0; k < i && block[i] < 0; k++)
            if (block[k] >= 0 && is_in(graph->nodes[k].path, node->path, bytes)) block[i] = block[k];
        if (block[i] < 0) block[i] = n_blocks++;
    }
}
