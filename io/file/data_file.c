/* Reading a data file whole, packed or not: the kinds that keep their records in memory parse it from there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file/data_file.h"
#include "io/file/unpack.h"

enum { CHUNK = 1 << 20 };

/* The size of a plain file, so that the first allocation fits; a pipe has none. */
static size_t size_hint(FILE *file)
{
    struct stat status;

    return fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) ? (size_t)status.st_size : 0;
}

static lk_status read_all(FILE *file, const char *path, char **bytes, size_t *nbytes)
{
    size_t capacity = size_hint(file) + 2, used = 0; /* one byte to see the end by, one for the NUL */

    for (;;) {
        char *grown = realloc(*bytes, capacity);
        LK_TRY_ALLOC(grown, capacity);
        *bytes = grown;
        while (used < capacity - 1) {
            const size_t left = capacity - 1 - used, n = fread(*bytes + used, 1, left < CHUNK ? left : CHUNK, file);
            if (n == 0) break;
            used += n;
            lk_alive();
        }
        if (ferror(file)) return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", path, strerror(errno));
        if (used < capacity - 1) break;
        capacity += capacity / 2 + CHUNK;
    }
    (*bytes)[used] = '\0';
    *nbytes = used;
    return LK_OK;
}

lk_status lk_data_file_read(const char *path, char **bytes, size_t *nbytes)
{
    FILE *file = fopen(path, "rb");

    *bytes = NULL;
    if (!file)
        return LK_FAIL(LK_ERR_DATA, "cannot open %s: %s; " LK_WHERE_PATHS_BEGIN, path,
                       strerror(errno));
    const lk_status status = read_all(file, path, bytes, nbytes);
    fclose(file);
    const lk_status unpacked = status == LK_OK ? lk_unpack(path, bytes, nbytes) : status;
    if (unpacked != LK_OK) lk_free(bytes);
    return unpacked;
}
