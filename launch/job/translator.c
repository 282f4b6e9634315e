/* Who translates in a job: its network, made ready for the sentences that evaluations will ask of it. */
#include "launch/job/bleu.h"

bool translations_wanted(const job *j)
{
    for (int i = 0; i < j->metrics.n; i++)
        if (lk_metric_of(j->metrics.name[i])->of_translations) return true;
    return false;
}

static void tell_progress(void *arg)
{
    const job *j = arg;

    lk_world_progress(j->world, j->step, "translate");
}

translator job_translator(job *j, const decoder_weights *weights)
{
    const lk_marks marks = lk_languages_marks();

    return (translator){.engine = j->engine, .model = j->model, .weights = *weights,
                        .search = {.beam = 1, .bos = marks.bos, .eos = marks.eos, .pad = marks.pad},
                        .steps = j->recipe->data.steps, .progress = tell_progress, .arg = j};
}

static lk_status open_languages(job *j)
{
    const lk_dataset *dataset = j->train ? j->train : j->validation;

    return j->languages ? LK_OK : lk_languages_open(&j->recipe->data, lk_dataset_stats(dataset), &j->languages);
}

static int64_t longest(const lk_loader *loader) { return loader ? lk_loader_length(loader) : 0; }

lk_status translations_open(job *j)
{
    const decoder_weights weights = {.params = j->params, .version = j->params_version};
    const translator translating = job_translator(j, &weights);
    const int64_t validation = longest(j->validation_loader), training = longest(j->train_eval_loader);

    if (!translations_wanted(j) || (validation == 0 && training == 0)) return LK_OK;
    LK_TRY(open_languages(j));
    return translate_compile(&translating, validation > training ? validation : training, &j->translation_bytes);
}
