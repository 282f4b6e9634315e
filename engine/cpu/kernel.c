/* The small services that all binders use: a kernel's state, and loops over threads. */
#include "engine/cpu/cpu.h"

#include <string.h>

static void free_state(void *state) { lk_free(&state); }

lk_status cpu_kernel_keep(lk_kernel *out, lk_status (*run)(void *state, const lk_launch_args *args), const void *state,
                          size_t nbytes)
{
    void *copy = lk_alloc(nbytes);

    LK_TRY_ALLOC(copy, nbytes);
    memcpy(copy, state, nbytes);
    *out = (lk_kernel){.run = run, .free = free_state, .state = copy};
    return LK_OK;
}

void cpu_split(int threads, size_t n, size_t grain, void (*body)(void *arg, size_t begin, size_t end), void *arg)
{
    if (threads == 1 || n <= grain) {
        if (n > 0) body(arg, 0, n);
        return;
    }
    /* Signed and cut by hand: every call is one contiguous part, and OpenMP stays in these few lines. */
    const size_t most = (n + grain - 1) / (grain ? grain : 1);
    const int parts = most < (size_t)threads ? (int)most : threads;

#ifdef _OPENMP
#pragma omp parallel for num_threads(parts) schedule(static, 1)
#endif
    for (int part = 0; part < parts; part++)
        body(arg, n * (size_t)part / (size_t)parts, n * ((size_t)part + 1) / (size_t)parts);
}
