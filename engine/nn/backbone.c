/* What torchvision's networks of images share: the factor on their channels, and first values of convolutions. */
#include "engine/nn/backbone.h"

#include <math.h>

int64_t lk_backbone_channels(const lk_model_spec *spec, int64_t published)
{
    const double scaled = floor(spec->vision.width * (double)published + 0.5);

    return scaled < 1.0 ? 1 : (int64_t)scaled;
}

lk_status lk_backbone_check(const lk_model_spec *spec)
{
    LK_TRY(lk_vision_check_width(spec));
    return lk_vision_check(spec);
}

lk_fill lk_backbone_conv_weight(void)
{
    return lk_fill_kaiming(LK_INIT_KAIMING_NORMAL, LK_FAN_OUT, LK_GAIN_RELU);
}
