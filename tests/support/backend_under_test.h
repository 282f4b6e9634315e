/*
 * Which backend tests run on: the CPU's, or with LOCKSTEP_TEST_ENGINE=cuda the module's, which tests/gpu/short sets.
 * A test of that backend is skipped where its module does not open or finds no device.
 */
#ifndef BACKEND_UNDER_TEST_H
#define BACKEND_UNDER_TEST_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backend.h"

static inline bool on_cuda_under_test(void)
{
    const char *name = getenv("LOCKSTEP_TEST_ENGINE");

    return name && strcmp(name, "cuda") == 0;
}

static inline const lk_backend *backend_under_test(void)
{
    const lk_module *module;

    if (!on_cuda_under_test()) return &lk_cpu_backend;
    if (lk_module_open(&module) != LK_OK) cr_skip_test("%s", lk_error_message());
    if (module->backend->available() == 0) cr_skip_test("no CUDA device");
    return module->backend;
}

static inline lk_engine_kind engine_under_test(void)
{
    return backend_under_test() == &lk_cpu_backend ? LK_ENGINE_CPU : LK_ENGINE_CUDA;
}

/* What a test claims of the CPU engine alone: its threads, its kernels' choices, its exact bits. */
#define cpu_engine_only(why)                                              \
    do {                                                                  \
        if (on_cuda_under_test()) cr_skip_test("the CPU engine's: %s", why); \
    } while (0)

#endif
