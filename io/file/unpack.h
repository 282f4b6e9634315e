/* Packed files, told by their first bytes.  Private to io/. */
#ifndef LK_IO_UNPACK_H
#define LK_IO_UNPACK_H

#include <stddef.h>

#include "engine/engine.h"

/* Puts what a gz or xz file holds in the place of its bytes, with a NUL behind; leaves others as they are.  *bytes is
 * from malloc(), before and after.  Errors: LK_ERR_DATA (damaged, cut, or packed by zip, zstd or bzip2). */
lk_status lk_unpack(const char *path, char **bytes, size_t *nbytes);

#endif
