/* The hash of a file's bytes, by which two workers or two runs know whether they have the same one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/file_hash.h"
#include "io/file/files.h"

enum { BLOCK_BYTES = 1 << 20 };

void lk_hash_print(XXH128_hash_t value, char out[LK_HASH_BYTES])
{
    snprintf(out, LK_HASH_BYTES, "%016llx%016llx", (unsigned long long)value.high64, (unsigned long long)value.low64);
}

/* errno tells what went wrong. */
static bool add_file(XXH3_state_t *state, int fd, char *block)
{
    size_t place = 0;
    ssize_t n;

    while ((n = lk_read_at(fd, block, BLOCK_BYTES, place)) > 0) {
        XXH3_128bits_update(state, block, (size_t)n);
        place += (size_t)n;
    }
    return n == 0;
}

lk_status lk_file_hash(const char *path, char out[LK_HASH_BYTES])
{
    const int fd = lk_open(path, O_RDONLY);
    XXH3_state_t *state = fd < 0 ? NULL : XXH3_createState();
    char *block = malloc(BLOCK_BYTES);

    if (state) XXH3_128bits_reset(state);
    const bool good = state && block && add_file(state, fd, block);
    const int why = errno;
    if (good) lk_hash_print(XXH3_128bits_digest(state), out);
    free(block);
    XXH3_freeState(state);
    if (fd >= 0) lk_close(fd);
    return good ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "cannot read %s: %s", path, strerror(why));
}
