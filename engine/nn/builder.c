/*
 * Scopes, and tensors by name.  A path is the scopes' names with dots between, as in PyTorch's state_dict.
 */
#include "engine/nn/builder.h"

#include "engine/model/trainable.h"
#include "engine/ops/shapes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

void lk_builder_init(lk_builder *builder, lk_graph *graph, lk_model *registering)
{
    *builder = (lk_builder){.graph = graph, .registering = registering};
}

static void free_asked(lk_asked *asked)
{
    if (!asked) return;
    free(asked->layer);
    free(asked->name);
    free(asked);
}

void lk_builder_clear(lk_builder *builder)
{
    lk_asked *each, *next;

    HASH_ITER(hh, builder->asked, each, next) {
        HASH_DEL(builder->asked, each);
        free_asked(each);
    }
}

/* ------------------------------------------------------------------- scopes */

static lk_status too_long(const char *begin, const char *name)
{
    return LK_FAIL(LK_ERR_USAGE, "%s.%s: a name longer than %d bytes; give the scopes shorter names", begin, name,
                   LK_MAX_PATH - 1);
}

lk_status lk_builder_path(lk_builder *builder, const char *name, char path[LK_MAX_PATH])
{
    const size_t length = builder->scope[builder->depth].length;
    char index[16];

    if (!name) {
        snprintf(index, sizeof index, "%d", builder->scope[builder->depth].index++);
        name = index;
    }
    if (length + 1 + strlen(name) >= LK_MAX_PATH) return too_long(builder->path, name);
    const int n = snprintf(path, LK_MAX_PATH, "%s%s%s", builder->path, length ? "." : "", name);

    assert(n < LK_MAX_PATH);
    return LK_OK;
}

lk_status lk_enter(lk_builder *builder, const char *format, ...)
{
    char name[LK_MAX_PATH], path[LK_MAX_PATH];
    int length = 0;

    if (builder->depth + 1 == LK_MAX_SCOPES)
        return LK_FAIL(LK_ERR_USAGE, "%s: scopes within scopes, %d deep; at most %d are supported", builder->path,
                       builder->depth + 1, LK_MAX_SCOPES - 1);
    if (format) {
        va_list args;

        va_start(args, format);
        length = vsnprintf(name, sizeof name, format, args);
        va_end(args);
    }
    if (length < 0 || (size_t)length >= sizeof name) return too_long(builder->path, name);
    LK_TRY(lk_builder_path(builder, format ? name : NULL, path));
    strcpy(builder->path, path);
    builder->scope[++builder->depth] = (lk_scope){.length = strlen(path)};
    return LK_OK;
}

void lk_leave(lk_builder *builder)
{
    assert(builder->depth > 0);
    builder->path[builder->scope[--builder->depth].length] = '\0';
}

/* ------------------------------------------------------------------ tensors */

static lk_asked *find(lk_builder *builder, const char *name)
{
    lk_asked *found;

    HASH_FIND_STR(builder->asked, name, found);
    return found;
}

/* From now on `name` is this tensor. */
static lk_status remember(lk_builder *builder, const char *name, const char *layer, int tensor)
{
    lk_asked *made = calloc(1, sizeof *made);

    LK_TRY_ALLOC(made, sizeof *made);
    *made = (lk_asked){.name = strdup(name), .layer = strdup(layer), .tensor = tensor, .in_table = true};
    if (made->name && made->layer) HASH_ADD_KEYPTR(hh, builder->asked, made->name, strlen(made->name), made);
    if (made->name && made->layer && made->in_table) return LK_OK;
    free_asked(made);
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the table of names of a network");
}

static bool same_shape(const lk_tensor *has, const lk_tensor_info *want)
{
    return has->ndim == want->ndim && memcmp(has->shape, want->shape, (size_t)want->ndim * sizeof *want->shape) == 0;
}

/* The tensor that another layer made. */
static lk_status share(lk_builder *builder, const char *path, const lk_asked *asked, const lk_model_entry *want,
                       int *out)
{
    const lk_tensor *has = &builder->graph->tensors[asked->tensor];
    lk_tensor as_wanted = {.ndim = want->info.ndim};

    *out = asked->tensor;
    if (same_shape(has, &want->info)) return LK_OK;
    memcpy(as_wanted.shape, want->info.shape, sizeof as_wanted.shape);
    return LK_FAIL(LK_ERR_USAGE, "%s: it needs %s as %s, but layer %s made it %s; layers that share a tensor need one "
                   "shape", path, asked->name, lk_shape_of(&as_wanted).text, asked->layer, lk_shape_of(has).text);
}

/* Once the model is laid out: what the graph's tensor `id` is of model tensor `info`, and whether it trains. */
static void identify(lk_graph *graph, int id, size_t info)
{
    lk_tensor *tensor = &graph->tensors[id];

    tensor->info = (int)info;
    if (graph->mode != LK_TRAIN || !lk_trainable_has(graph->trainable, info)) return;
    tensor->needs_grad = true;
    tensor->grad_offset = lk_trainable_offset(graph->trainable, info) * sizeof(float);
}

static lk_status register_tensor(lk_model *model, const char *name, const lk_model_entry *want)
{
    if (lk_fill_check(&want->fill, want->info.ndim, want->fan_in > 0) != LK_OK)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s; see model.init and model.init_bias", name, lk_error_message());
    return lk_model_register(model, name, want);
}

/* A new tensor of the graph, at its place in the parameter arena once the model is laid out. */
static lk_status make(lk_builder *builder, const char *name, const lk_model_entry *want, int *out)
{
    lk_graph *graph = builder->graph;
    size_t offset = 0;
    ptrdiff_t info = -1;

    if (!builder->registering) {
        info = lk_model_find(graph->model, name);
        assert(info >= 0);
        offset = lk_model_tensor(graph->model, (size_t)info)->offset * sizeof(float);
    }
    LK_TRY(lk_graph_tensor(graph, name, LK_DTYPE_F32, want->info.ndim, want->info.shape, LK_ARENA_PARAMS, offset, out));
    if (builder->registering) return register_tensor(builder->registering, name, want);
    identify(graph, *out, (size_t)info);
    return LK_OK;
}

lk_status lk_builder_tensor(lk_builder *builder, const char *path, const char *layer, const char *leaf,
                            const lk_model_entry *want, int *out)
{
    char name[LK_MAX_NAME];

    if ((size_t)snprintf(name, sizeof name, "%s%s%s", layer, *layer ? "." : "", leaf) >= sizeof name)
        return too_long(layer, leaf);
    const lk_asked *asked = find(builder, name);
    if (asked) return share(builder, path, asked, want, out);
    LK_TRY(make(builder, name, want, out));
    return remember(builder, name, path, *out);
}

lk_status lk_builder_statistic(lk_builder *builder, const char *path, int buffer, int *out)
{
    const lk_graph *graph = builder->graph;
    const lk_tensor of = graph->tensors[buffer];
    const size_t offset = builder->registering ? 0 : lk_trainable_offset(graph->trainable, (size_t)of.info);
    char name[LK_MAX_NAME + 8];

    *out = LK_NO_TENSOR;
    if (offset == SIZE_MAX) return LK_OK;
    snprintf(name, sizeof name, "lane's %s", of.name);
    if (find(builder, name))
        return LK_FAIL(LK_ERR_USAGE, "%s: a batch norm that runs twice in a lane would overwrite its statistics; give "
                       "each place a batch norm of its own", path);
    LK_TRY(lk_graph_tensor(builder->graph, name, of.dtype, of.ndim, of.shape, LK_ARENA_GRADS, offset * sizeof(float),
                           out));
    return remember(builder, name, path, *out);
}

bool lk_builder_in_eval(const lk_builder *builder, const char *path)
{
    const lk_graph *graph = builder->graph;

    return graph->mode == LK_TRAIN && !builder->registering && lk_trainable_in_eval(graph->trainable, path);
}
