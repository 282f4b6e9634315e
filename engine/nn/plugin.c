/*
 * Networks from files of their own: a shared object that exports one lk_plugin (nn.h), opened when a recipe names it
 * and kept until the process ends, for plans call it again and again.
 *
 * A plug-in takes the builder's functions from the program, as the CUDA module does, so it must be compiled with this
 * build's headers: LK_PLUGIN_ABI, a number over the sizes of what both sides hand to each other, says whether it was.
 */
#include "engine/nn/networks.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What plug-ins take from the program: named here so that the linker keeps it. */
typedef void any_function(void);
extern any_function *const lk_plugin_needs[];
any_function *const lk_plugin_needs[] = {
    (any_function *)lk_enter,         (any_function *)lk_leave,        (any_function *)lk_layer_linear,
    (any_function *)lk_layer_conv2d,  (any_function *)lk_layer_norm,   (any_function *)lk_layer_activation,
    (any_function *)lk_layer_dropout, (any_function *)lk_layer_pool2d, (any_function *)lk_layer_flatten,
    (any_function *)lk_layer_add,     (any_function *)lk_arg_whole,    (any_function *)lk_arg_real,
    (any_function *)lk_layer_drop_path,  (any_function *)lk_layer_patch_merge,
    (any_function *)lk_layer_window_attention, (any_function *)lk_layer_embedding,
    (any_function *)lk_layer_positions, (any_function *)lk_layer_attention,
    (any_function *)lk_fill_normal,   (any_function *)lk_fail,         (any_function *)lk_trace,
    (any_function *)lk_sample_add,    (any_function *)lk_sample_find,  (any_function *)lk_field_n_elem,
};

/* ------------------------------------------------------------------- opening */

typedef struct opened {
    char *file; /* owned */
    const lk_network *network;
    struct opened *next;
} opened;

static opened *all; /* for the life of the process */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static lk_status check(const char *file, const lk_plugin *plugin)
{
    if (!plugin)
        return LK_FAIL(LK_ERR_USAGE, "model.plugin: %s is not a plug-in: it has no %s; see LK_PLUGIN in engine/nn/nn.h",
                       file, LK_PLUGIN_SYMBOL);
    if (plugin->abi != LK_PLUGIN_ABI)
        return LK_FAIL(LK_ERR_USAGE, "model.plugin: %s was compiled with other headers than this program: compile it "
                       "again with those of this build", file);
    const lk_network *n = plugin->network;
    const char *missing = !n ? "row" : !n->word ? "word" : !n->sample ? "sample" : !n->build ? "build" : NULL;
    return missing ? LK_FAIL(LK_ERR_USAGE, "model.plugin: %s: its network has no %s", file, missing) : LK_OK;
}

static lk_status open_file(const char *file, const lk_network **out)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!handle) return LK_FAIL(LK_ERR_USAGE, "model.plugin: %s", dlerror());
    const lk_plugin *plugin = dlsym(handle, LK_PLUGIN_SYMBOL);
    const lk_status status = check(file, plugin);
    if (status == LK_OK) *out = plugin->network;
    else dlclose(handle);
    return status;
}

static lk_status find_or_open(const char *file, const lk_network **out)
{
    for (const opened *o = all; o; o = o->next)
        if (strcmp(o->file, file) == 0) {
            *out = o->network;
            return LK_OK;
        }
    opened *made = calloc(1, sizeof *made);
    LK_TRY_ALLOC(made, sizeof *made);
    lk_status status = open_file(file, &made->network);
    if (status == LK_OK && !(made->file = strdup(file)))
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: %s", file);
    if (status != LK_OK) {
        free(made);
        return status;
    }
    *out = made->network;
    made->next = all;
    all = made;
    return LK_OK;
}

lk_status lk_plugin_open(const char *file, const lk_network **out)
{
    if (!file) return LK_FAIL(LK_ERR_USAGE, "model.plugin: is missing: it names the shared object to open");
    pthread_mutex_lock(&lock);
    const lk_status status = find_or_open(file, out);
    pthread_mutex_unlock(&lock);
    return status;
}

/* ----------------------------------------------------------------- arguments */

/* What stands behind "name=", NULL: it is not given. */
static const char *given(const lk_model_spec *spec, const char *name)
{
    const size_t n = strlen(name);

    for (unsigned i = 0; i < spec->plugin.args.n; i++)
        if (strncmp(spec->plugin.args.word[i], name, n) == 0 && spec->plugin.args.word[i][n] == '=')
            return spec->plugin.args.word[i] + n + 1;
    return NULL;
}

lk_status lk_arg_whole(const lk_model_spec *spec, const char *name, int64_t fallback, int64_t least, int64_t *out)
{
    const char *text = given(spec, name);
    char *end;

    *out = fallback;
    if (!text) return LK_OK;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || *end || errno || *out < least)
        return LK_FAIL(LK_ERR_USAGE, "model.args: %s is `%s`; it must be a whole number, at least %lld", name, text,
                       (long long)least);
    return LK_OK;
}

lk_status lk_arg_real(const lk_model_spec *spec, const char *name, double fallback, double *out)
{
    const char *text = given(spec, name);
    char *end;

    *out = fallback;
    if (!text) return LK_OK;
    *out = strtod(text, &end);
    if (end == text || *end) return LK_FAIL(LK_ERR_USAGE, "model.args: %s is `%s`, not a number", name, text);
    return LK_OK;
}

static lk_status check_arg(const lk_network *network, const char *text)
{
    static const char *const none[] = {NULL};
    const char *const *names = network->args ? network->args : none;
    const size_t length = strcspn(text, "=");
    size_t n = 0;

    for (; names[n]; n++)
        if (strlen(names[n]) == length && strncmp(names[n], text, length) == 0 && text[length] == '=') return LK_OK;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    const char *near = lk_nearest(name, names, n);
    return LK_FAIL(LK_ERR_USAGE, "model.args: the network %s takes no `%s`%s%s%s", network->word, name,
                   near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

lk_status lk_plugin_check_args(const lk_network *network, const lk_model_spec *spec)
{
    for (unsigned i = 0; i < spec->plugin.args.n; i++) LK_TRY(check_arg(network, spec->plugin.args.word[i]));
    return LK_OK;
}
