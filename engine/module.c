/*
 * Opens the CUDA module, once: a program with no use for it starts without touching a driver or a library of CUDA.
 *
 * The module is looked for where $LOCKSTEP_CUDA_MODULE says, else beside the program, else in ../lib/lockstep from
 * there.  For a program that only uses the library, beside the library counts as well.  The module takes what it needs
 * of the engine (errors, memory) from the program, so both must be of one build: its abi number is checked, and a
 * symbol that is missing is told by the loader.
 */
#include "engine/backend.h"
#include "engine/ops/positions.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/module_abi.h" /* generated: LK_MODULE_ABI */

#define MODULE_NAME "lockstep-cuda.so"
static const char variable[] = "LOCKSTEP_CUDA_MODULE";
/* The driver's face in /dev; what libcuda opens first. */
static const char driver[] = "/dev/nvidiactl";

/* What the module takes from the program: named here so that the linker keeps it.  tests/gpu/test_needs.sh compares. */
typedef void any_function(void);
extern any_function *const lk_module_needs[];
any_function *const lk_module_needs[] = {
    (any_function *)lk_alloc, (any_function *)lk_error_message, (any_function *)lk_fail,
    (any_function *)lk_fill_sinusoids, (any_function *)lk_free, (any_function *)lk_graph_fuse,
    (any_function *)lk_loss_get, (any_function *)lk_loss_n_sums, (any_function *)lk_model_n_elem,
    (any_function *)lk_philox_key_new, (any_function *)lk_trace,
};

enum { MESSAGE_BYTES = PATH_MAX + 512 };

static struct {
    const lk_module *module; /* NULL: message says why */
    char message[MESSAGE_BYTES];
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Beside `file`, or where an installed one keeps it. */
static bool find_beside(const char *file, char *path, size_t nbytes)
{
    static const char *const places[] = {"%.*s/" MODULE_NAME, "%.*s/../lib/lockstep/" MODULE_NAME,
                                         "%.*s/lockstep/" MODULE_NAME};
    const char *slash = strrchr(file, '/');

    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        const int length = snprintf(path, nbytes, places[i], (int)(slash - file), file);
        if (length > 0 && (size_t)length < nbytes && access(path, R_OK) == 0) return true;
    }
    return false;
}

static bool find_file(char *path, size_t nbytes)
{
    char program[PATH_MAX];
    Dl_info library;
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    if (n >= 0) {
        program[n] = '\0';
        if (find_beside(program, path, nbytes)) return true;
    }
    return dladdr(&found, &library) != 0 && find_beside(library.dli_fname, path, nbytes);
}

static void say(const char *format, const char *a, const char *b)
{
    snprintf(found.message, sizeof found.message, format, a, b);
}

/* A library that is not there is the usual reason; the loader names it first. */
static void say_why_not(const char *path, const char *loader)
{
    if (strstr(loader, "cannot open shared object file") && strncmp(loader, path, strlen(path)) != 0)
        say("%s: %s; install that library, or name its folder in LD_LIBRARY_PATH", path, loader);
    else
        say("%s%s", loader, "");
}

static void open_module(void)
{
    const char *named = getenv(variable);
    char path[PATH_MAX];

    if (named && *named) snprintf(path, sizeof path, "%s", named);
    else if (!find_file(path, sizeof path)) {
        say("%s is not beside the program: build with CUDA (cmake -DLK_CUDA=ON), or name it in %s", MODULE_NAME,
            variable);
        return;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        say_why_not(path, dlerror());
        return;
    }
    const lk_module *module = dlsym(handle, LK_MODULE_SYMBOL);
    if (!module) say("%s is not a module of Lockstep: it has no %s", path, LK_MODULE_SYMBOL);
    else if (module->abi != LK_MODULE_ABI)
        say("%s is of another build than this program: build both together%s", path, "");
    else found.module = module;
    if (!found.module) dlclose(handle);
}

lk_status lk_module_open(const lk_module **out)
{
    pthread_once(&once, open_module);
    *out = found.module;
    if (!found.module) return LK_FAIL(LK_ERR_USAGE, "no cuda engine: %s", found.message);
    return LK_OK;
}

bool lk_module_likely(void)
{
    const char *named = getenv(variable);

    return (named && *named) || access(driver, F_OK) == 0;
}
