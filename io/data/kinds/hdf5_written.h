/* Whether somebody wrote what an HDF5 data set would give, and whether it can be read.  Private to io/data. */
#ifndef LK_IO_HDF5_WRITTEN_H
#define LK_IO_HDF5_WRITTEN_H

#include "io/file/h5.h"

/* Errors: LK_ERR_DATA: parts of the set would be read as zeros that nobody wrote. */
lk_status lk_h5_check_written(hid_t set);
/* After a read failed: a better message, naming the filter, where that is why. */
lk_status lk_h5_explain(hid_t set, lk_status failed);

#endif
