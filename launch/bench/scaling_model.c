/* What one worker measured, carried to many. */
#include "launch/bench/scaling.h"

const char *const scaling_words[N_SCALINGS] = {"weak", "strong"};

prediction scaling_predict(const scaling *s, scaling_kind kind, double workers)
{
    const scaling_row *one = &s->row[kind][0];
    const double divide = kind == SCALING_STRONG ? workers : 1.0;
    /* A stretched update is stretched with the rest. */
    const part work = {one->work.first / divide, one->work.rest / divide,
                       s->opt->busy.given ? one->work.update / divide : one->work.update};

    return predict_step(&s->network, &work, &one->gradients, workers);
}

double scaling_efficiency(scaling_kind kind, double workers, double step_s, double one_s)
{
    return one_s / step_s / (kind == SCALING_STRONG ? workers : 1);
}
