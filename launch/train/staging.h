/* The arrays of a save as lists of tensors, and the host's copies of what lies on a device. */
#ifndef LK_STAGING_H
#define LK_STAGING_H

#include "launch/launch.h"

/* Arrays of a save: the weights, up to three states of the optimizer, the leader's EMA. */
enum { STAGED_ARRAYS = 5 };

/* Memory that is kept for the next save; all zero at first. */
typedef struct staging {
    float *array[STAGED_ARRAYS]; /* owned, page-locked: where a device's arrays are copied to; NULL on the CPU */
    size_t n_elem[STAGED_ARRAYS];
} staging;

/* Lists of tensors that belong together in a save, with what they own; all zero at first. */
typedef struct tensor_lists {
    lk_ckpt_tensor *all;         /* of all arrays, in their order */
    size_t n;
    struct {
        lk_ckpt_tensor *tensors;
        size_t n;
        float *device;           /* borrowed: the array itself */
        float *staged;           /* borrowed: the host's copy of a device's memory; NULL where the host sees it */
        size_t n_elem;
    } array[STAGED_ARRAYS];
    int n_arrays;
} tensor_lists;

/* What all workers hold alike: weights and optimizer states.  read: their contents are wanted, and on a device begin to
 * travel (lk_engine_snapshot_wait()); else only room for them.  Release the lists, also when it fails. */
lk_status staging_shared(staging *s, job *j, bool read, tensor_lists *out);
/* What the leader alone holds: the EMA, if there is one. */
lk_status staging_leader(staging *s, job *j, bool read, tensor_lists *out);
/* After loading into the lists: staged copies go to the engine. */
lk_status staging_upload(const job *j, const tensor_lists *lists);
void      staging_free_lists(tensor_lists *lists);
void      staging_free(staging *s, job *j);

#endif
