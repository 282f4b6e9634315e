/* The hash of a file's bytes, by which two workers or two runs know whether they have the same one. */
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "io/file/files.h"

lk_status lk_file_hash(const char *path, char out[LK_HASH_BYTES])
{
    size_t nbytes;
    char *bytes;

    LK_TRY(lk_read_file(path, &bytes, &nbytes));
    const XXH128_hash_t value = XXH3_128bits(bytes, nbytes);
    free(bytes);
    snprintf(out, LK_HASH_BYTES, "%016llx%016llx", (unsigned long long)value.high64, (unsigned long long)value.low64);
    return LK_OK;
}
