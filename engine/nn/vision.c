/* What networks of images share: the image and the classes, given by the recipe or left to the data. */
#include "engine/nn/networks.h"

#include <string.h>

lk_status lk_vision_check(const lk_model_spec *spec)
{
    static const char *const side[] = {"channels", "height", "width"};

    for (int d = 0; d < 3; d++)
        if (spec->vision.image[d] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.image: %s is %lld; it must be at least 1", side[d],
                           (long long)spec->vision.image[d]);
    if (spec->vision.classes < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.classes is %lld; it must be at least 1", (long long)spec->vision.classes);
    return LK_OK;
}

lk_status lk_vision_check_width(const lk_model_spec *spec)
{
    if (spec->vision.width > 0.0 && spec->vision.width <= LK_MOST_WIDTH) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "model.width is %g; it must be above 0 and at most %d", spec->vision.width,
                   LK_MOST_WIDTH);
}

static lk_status fit_image(lk_vision_spec *vision, const lk_sample *data)
{
    const int x = lk_sample_find(data, "x");

    if (x < 0 || data->field[x].ndim != 3)
        return LK_FAIL(LK_ERR_USAGE, "model.kind: this network needs images, and this data set has none; in HDF5 they "
                       "are (N, C, H, W), with one channel (N, 1, H, W)");
    const int64_t *lies = data->field[x].shape, image[] = {lies[2], lies[0], lies[1]}; /* (H, W, C) as C, H, W */

    if (vision->image[0] == 0) memcpy(vision->image, image, sizeof image);
    if (memcmp(vision->image, image, sizeof image) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "model.image: the recipe says %lld x %lld x %lld, the data %lld x %lld x %lld",
                   (long long)vision->image[0], (long long)vision->image[1], (long long)vision->image[2],
                   (long long)image[0], (long long)image[1], (long long)image[2]);
}

lk_status lk_vision_fit(lk_model_spec *spec, const lk_sample *data)
{
    lk_vision_spec *vision = &spec->vision;
    bool labels;
    const int64_t classes = lk_data_outputs(data, &labels);

    LK_TRY(fit_image(vision, data));
    if (vision->classes == 0) vision->classes = classes;
    if (labels ? vision->classes < classes : vision->classes != classes)
        return LK_FAIL(LK_ERR_USAGE, "model.classes: the recipe says %lld, the data has %lld",
                       (long long)vision->classes, (long long)classes);
    return LK_OK;
}

bool lk_vision_is_complete(const lk_model_spec *spec) { return spec->vision.image[0] > 0 && spec->vision.classes > 0; }

void lk_vision_sample(const lk_model_spec *spec, lk_sample *out)
{
    const int64_t *image = spec->vision.image;

    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3,
                                   .shape = {image[1], image[2], image[0]}});
}
