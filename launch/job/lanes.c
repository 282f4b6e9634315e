/* From the loader's lanes to the engine's: what every run of a lane has in common. */
#include "launch/launch.h"

#include <string.h>

lk_lane job_lane(const lk_batch_lane *own, lk_mode mode)
{
    lk_lane lane = {.mode = mode, .n = own->n, .length = own->length, .sample = own->sample};

    memcpy(lane.field, own->field, sizeof lane.field);
    return lane;
}

lk_program job_program(const lk_loader *loader, lk_mode mode, lk_side side, int64_t n)
{
    return (lk_program){.mode = mode, .n = n, .length = lk_loader_length(loader), .side = side};
}

lk_status job_check_rows(const job *j)
{
    if (!lk_sample_has_length(lk_model_sample(j->model))) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE,
                   "%s: model.kind: this model's outputs are as long as its samples, and a row of a table "
                   "is not",
                   lk_recipe_where(j->recipe, "model.kind"));
}

/* By name, once, before anything runs. */
lk_status job_match_fields(const job *j, const lk_dataset *dataset, bool need_targets, lk_field_map *out)
{
    const lk_status status = lk_sample_match(lk_model_sample(j->model), lk_dataset_sample(dataset), need_targets, out);

    if (status == LK_OK) return LK_OK;
    return LK_FAIL(status, "%s: model.kind: %s", lk_recipe_where(j->recipe, "model.kind"), lk_error_message());
}
