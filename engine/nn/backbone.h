/* What torchvision's networks of images share.  Private to engine/nn. */
#ifndef LK_BACKBONE_H
#define LK_BACKBONE_H

#include "engine/nn/networks.h"

/* So many of the published channels under spec->vision.width: to the nearest whole number, at least 1. */
int64_t lk_backbone_channels(const lk_model_spec *spec, int64_t published);
/* lk_vision_check(), and the keys that the families share. */
lk_status lk_backbone_check(const lk_model_spec *spec);
/* kaiming_normal(mode=fan_out, nonlinearity=relu). */
lk_fill lk_backbone_conv_weight(void);

#endif
