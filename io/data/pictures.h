/* Samples that are picture files: listed at the start, read and decoded when they are wanted.  Private to io/data. */
#ifndef LK_IO_PICTURES_H
#define LK_IO_PICTURES_H

#include "io/file/raster.h"
#include "io/io.h"

/* Of each file its name and size are held, some 80 bytes, and no pixel. */
typedef struct lk_pictures lk_pictures;

lk_status lk_pictures_new(lk_pictures **out);
void      lk_pictures_free(lk_pictures **pictures);
/* A folder's number, for the files in it. */
lk_status lk_pictures_add_folder(lk_pictures *pictures, const char *path, int64_t *folder);
const char *lk_pictures_folder(const lk_pictures *pictures, int64_t folder);
int64_t   lk_pictures_n_folders(const lk_pictures *pictures);
lk_status lk_pictures_add(lk_pictures *pictures, int64_t folder, const char *name, int64_t nbytes);
/* Files from `first` on by their folders' paths, those of one folder by name, both by bytes: as torchvision's
 * ImageFolder. */
void      lk_pictures_sort(lk_pictures *pictures, int64_t first);

int64_t   lk_pictures_n(const lk_pictures *pictures);
/* Memory of the list. */
size_t    lk_pictures_nbytes(const lk_pictures *pictures);
/* A sample's pixels.  Any thread.  Errors: LK_ERR_DATA naming its file. */
lk_status lk_pictures_decode(const lk_pictures *pictures, int64_t sample, lk_raster *out);
/* "FOLDER/NAME" of a sample's file; returns out. */
const char *lk_pictures_path(const lk_pictures *pictures, int64_t sample, char out[LK_SAMPLE_FILE_BYTES]);
/* Calls visit(arg, name, its file's size) for each sample: what a hash of them is made of. */
void      lk_pictures_visit(const lk_pictures *pictures, void (*visit)(void *arg, const char *name, int64_t nbytes),
                            void *arg);

/* Moves the files of `from` behind those of `to`; from is left empty. */
lk_status lk_pictures_join(lk_pictures *to, lk_pictures *from);
/* Moves the samples that are held out into a new list; both keep their order. */
lk_status lk_pictures_split(lk_pictures *pictures, const bool *held_out, lk_pictures **out);

#endif
