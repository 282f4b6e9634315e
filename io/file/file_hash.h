/* What hashes look like; for the files of io/ only. */
#ifndef LK_IO_FILE_HASH_H
#define LK_IO_FILE_HASH_H

#include <xxhash.h>

#include "io/io.h"

/* As hexadecimal digits, with a NUL. */
void lk_hash_print(XXH128_hash_t value, char out[LK_HASH_BYTES]);

#endif
