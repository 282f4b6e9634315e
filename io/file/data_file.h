/* Data files that are kept in memory. */
#ifndef LK_DATA_FILE_H
#define LK_DATA_FILE_H

#include "engine/base/base.h"

/* What a message says where a file is not there. */
#define LK_WHERE_PATHS_BEGIN \
    "names in a recipe count from its folder, those on the command line from the current one"

/* Whole file, unpacked where it is packed, with a NUL behind it; release with free().  Errors: LK_ERR_DATA naming the
 * path. */
lk_status lk_data_file_read(const char *path, char **bytes, size_t *nbytes);

#endif
