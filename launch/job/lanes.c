/* From the loader's lanes to the engine's: what every run of a lane has in common. */
#include "launch/launch.h"

#include <string.h>

lk_lane job_lane(const lk_batch_lane *own, lk_mode mode)
{
    lk_lane lane = {.mode = mode, .n = own->n, .sample = own->sample};

    memcpy(lane.field, own->field, sizeof lane.field);
    return lane;
}

/* By name, once, before anything runs. */
lk_status job_match_fields(const job *j, const lk_dataset *dataset, bool need_targets, lk_field_map *out)
{
    const lk_status status = lk_sample_match(lk_model_sample(j->model), lk_dataset_sample(dataset), need_targets, out);

    if (status == LK_OK) return LK_OK;
    return LK_FAIL(status, "%s: model.kind: %s", lk_recipe_where(j->recipe, "model.kind"), lk_error_message());
}
