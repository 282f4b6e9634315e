/* A CUDA module of another build is refused before any of its tables is used. */
#include "engine/backend.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define STALE LK_BINARY_DIR "/tests/stale-module.so"

Test(module, of_another_build_is_refused)
{
    const lk_module *module;

    setenv("LOCKSTEP_CUDA_MODULE", STALE, 1);
    const lk_status status = lk_module_open(&module);
    cr_expect_eq(status, LK_ERR_USAGE, "got %d, want %d", (int)status, (int)LK_ERR_USAGE);
    cr_expect_null(module);
    cr_expect(strstr(lk_error_message(), STALE " is of another build than this program"), "got: %s",
              lk_error_message());
}
