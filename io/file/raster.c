/* Room for a picture's pixels, and for the file it comes from. */
#include "io/file/raster.h"

#include <assert.h>
#include <stdlib.h>

void lk_raster_clear(lk_raster *raster)
{
    free(raster->bytes);
    free(raster->file);
    *raster = (lk_raster){0};
}

static lk_status grow(uint8_t **bytes, size_t *room, size_t nbytes)
{
    if (nbytes <= *room) return LK_OK;
    uint8_t *grown = realloc(*bytes, nbytes);
    LK_TRY_ALLOC(grown, nbytes, "a picture");
    *bytes = grown;
    *room = nbytes;
    return LK_OK;
}

lk_status lk_raster_fit(lk_raster *raster, const char *path, int64_t H, int64_t W)
{
    assert(H > 0 && W > 0); /* the libraries refuse others */
    if (W > LK_MOST_PIXELS / H)
        return LK_FAIL(LK_ERR_DATA, "%s: a picture of %lld x %lld pixels; more than %d are refused: make it smaller",
                       path, (long long)W, (long long)H, LK_MOST_PIXELS);
    LK_TRY(grow(&raster->bytes, &raster->room, (size_t)(H * W * LK_RASTER_CHANNELS)));
    raster->H = H;
    raster->W = W;
    raster->C = LK_RASTER_CHANNELS;
    return LK_OK;
}

lk_status lk_raster_fit_file(lk_raster *raster, size_t nbytes)
{
    return grow(&raster->file, &raster->file_room, nbytes);
}
