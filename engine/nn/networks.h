/* The rows of the networks, each in the file of its family, and what they share.  Private to engine/nn. */
#ifndef LK_NETWORKS_H
#define LK_NETWORKS_H

#include "engine/nn/nn.h"

#define LK_NETWORK_DECLARE(id, word, family) extern const lk_network lk_network_##family;
LK_NETWORK_LIST(LK_NETWORK_DECLARE)
#undef LK_NETWORK_DECLARE

/* The network that a spec names; a plug-in is opened.  Errors: LK_ERR_USAGE. */
lk_status lk_network_find(const lk_model_spec *spec, const lk_network **out);

/* The network of a plug-in, which stays open.  Errors: LK_ERR_USAGE (no such file, not a plug-in, another build's). */
lk_status lk_plugin_open(const char *file, const lk_network **out);
/* Every argument is one that the network takes. */
lk_status lk_plugin_check_args(const lk_network *network, const lk_model_spec *spec);

/* Members of the row of a network that reads one image a sample, vision.c; a check of its own begins with the first. */
lk_status lk_vision_check(const lk_model_spec *spec);
lk_status lk_vision_check_width(const lk_model_spec *spec); /* of those that have one */
lk_status lk_vision_fit(lk_model_spec *spec, const lk_sample *data);
bool lk_vision_is_complete(const lk_model_spec *spec);
void lk_vision_sample(const lk_model_spec *spec, lk_sample *out);

/* What data asks of a network's output: classes, or targets a sample; *labels tells which. */
int64_t lk_data_outputs(const lk_sample *data, bool *labels);
/* The vocabulary of a field of tokens: the data's where it is 0.  Errors: LK_ERR_USAGE naming the key (the data say
 * none, or have more). */
lk_status lk_fit_vocabulary(const char *key, const lk_sample *data, const char *field, int64_t *vocabulary);

#endif
