/*
 * Any bytes are a picture or a clean error that names the file, and a picture is as large as it says.
 *
 * The entry is libFuzzer's.  tests/run gives it a part of a minute; long runs are as fuzz_recipe.c says, with
 *
 *     build-fuzz/tests/fuzz_image -max_total_time=3600 -rss_limit_mb=4096 CORPUS tests/fuzz/pictures
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/raster.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

static void must(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, lk_error_message());
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    static lk_raster raster; /* kept as a loader's thread keeps its own */

    if (lk_raster_decode("a.jpg", bytes, nbytes, &raster) != LK_OK) {
        must(strncmp(lk_error_message(), "a.jpg", 5) == 0, "a message without the file's name");
        return 0;
    }
    must(raster.H > 0 && raster.W > 0 && raster.C == 3, "a picture without a size");
    must((size_t)(raster.H * raster.W * raster.C) <= raster.room, "less room than pixels");
    return 0;
}
