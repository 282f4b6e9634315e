/*
 * A stage in words, above its part of the chart: how long it is, what of the model trains, and by which rates.
 *
 *     head: epochs 6 to 9, steps 60 to 79, batch 160
 *       9 of 49 weights train; frozen 0.weight, 0.bias (freeze 0.*)
 *       sgd   lr 0.02, constant; momentum 0.9; weight decay 0
 *       EMA decay 0.842 to 0.867
 *
 * A model whose shape only the data knows is left out where the data cannot be opened.
 */
#include "launch/lr/curves.h"

#include <inttypes.h>

enum { NAMES_SHOWN = 6 };

/* ------------------------------------------------------------------- weights */

static void print_frozen_names(const job *j, const lk_trainable *trainable)
{
    size_t n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        const lk_tensor_info *info = lk_model_tensor(j->model, i);

        if (info->role != LK_ROLE_PARAM || lk_trainable_has(trainable, i)) continue;
        if (n++ < NAMES_SHOWN) printf("%s%s", n == 1 ? "; frozen " : ", ", info->name);
    }
    if (n > NAMES_SHOWN) printf(" and %zu more", n - NAMES_SHOWN);
}

static void print_words(const char *before, const char *key, const lk_words *words)
{
    if (words->n == 0) return;
    printf("%s%s", before, key);
    for (unsigned i = 0; i < words->n; i++) printf(" %s", words->word[i]);
}

/* The stage's own patterns; what earlier ones froze stays so. */
static void print_patterns(const lk_recipe *r)
{
    const bool freezes = r->train.freeze.n > 0;

    if (!freezes && r->train.unfreeze.n == 0) return;
    print_words(" (", "freeze", &r->train.freeze);
    print_words(freezes ? ", " : " (", "unfreeze", &r->train.unfreeze);
    printf(")");
}

/* trained NULL: the model is not known. */
static void print_weights(const job *j, const lk_trainable *trainable)
{
    if (!trainable && j->recipe->train.freeze.n == 0 && j->recipe->train.unfreeze.n == 0) return;
    printf("  ");
    if (trainable) {
        printf("%zu of %zu weights train", lk_trainable_n_weights(trainable), count_weights(j->model));
        print_frozen_names(j, trainable);
    } else {
        printf("what is frozen follows patterns");
    }
    print_patterns(j->recipe);
    printf("\n");
}

static size_t weights_of_group(const job *j, const lk_trainable *trainable, int g)
{
    size_t n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++)
        if (lk_trainable_has(trainable, i) && lk_trainable_group(trainable, i) == g)
            n += lk_model_tensor(j->model, i)->n_elem;
    return n;
}

/* --------------------------------------------------------------------- rates */

#define WORD(name, word) word,
static const char *const KIND_WORD[] = {LK_SCHEDULE_LIST(WORD)};
static const char *const OPTIMIZER_WORD[] = {LK_OPTIMIZER_LIST(WORD)};
#undef WORD

/* "sequential (linear, cosine) by step" */
static void print_kind(const lk_schedule_spec *spec, bool inner)
{
    if (spec->kind == LK_SCHEDULE_NONE) printf("constant");
    else printf("%s", KIND_WORD[spec->kind]);
    for (unsigned i = 0; i < spec->n_schedulers; i++) {
        printf(i ? ", " : " (");
        print_kind(&spec->schedulers[i], true);
    }
    if (spec->n_schedulers) printf(")");
    if (spec->kind == LK_SCHEDULE_LAMBDA) printf(" %s", spec->expr);
    if (spec->warmup.total_iters) printf(" after %" PRId64 " of warmup", spec->warmup.total_iters);
    if (!inner && spec->every == LK_EVERY_STEP && spec->kind != LK_SCHEDULE_NONE) printf(" by step");
}

/* From the stage's first row to its last; `own` where it is not scheduled. */
static void print_range(const lr_curves *c, const stage_span *s, quantity what, const char *group, double own)
{
    const curve *v = s->begin < s->end ? lr_curves_find(c, what, group) : NULL;
    const double first = v ? v->value[s->begin] : own, last = v ? v->value[s->end - 1] : own;

    printf("%.6g", first);
    if (last != first) printf(" to %.6g", last);
}

static void print_group(const job *j, const lr_curves *c, const stage_span *s, const lk_trainable *trainable, int g)
{
    const lk_recipe *r = s->recipe->groups[g];
    const char *rest = s->recipe->n_groups > 1 ? "rest" : OPTIMIZER_WORD[r->optimizer.kind];

    printf("  %-8s lr ", g ? r->group : rest);
    print_range(c, s, QUANTITY_LR, r->group, r->optimizer.lr);
    printf(", ");
    print_kind(&r->scheduler.spec, false);
    printf("; %s ", r->optimizer.kind == LK_SGD ? "momentum" : "beta1");
    print_range(c, s, QUANTITY_MOMENTUM, r->group, lk_recipe_momentum(r));
    printf("; weight decay ");
    print_range(c, s, QUANTITY_WEIGHT_DECAY, r->group, r->optimizer.weight_decay);
    if (trainable && s->recipe->n_groups > 1) {
        const size_t n = weights_of_group(j, trainable, g);

        printf("; %zu weight%s", n, plural((int64_t)n));
    }
    printf("\n");
}

static void print_ema(const lk_recipe *whole, const lr_curves *c, const stage_span *s)
{
    const lk_ema_spec *spec = &whole->ema.spec;

    if (!whole->has_ema) return;
    if (!c->counted || s->n_steps == 0) {
        printf("  EMA decay up to %.6g\n", spec->beta);
        return;
    }
    printf("  EMA decay %.6g to %.6g\n", lk_ema_decay(spec, s->step), lk_ema_decay(spec, s->step + s->n_steps - 1));
}

/* --------------------------------------------------------------------- stage */

static void print_length(const lr_curves *c, const stage_span *s)
{
    const lk_recipe *r = s->recipe;
    const int64_t rows = s->end - s->begin;
    const int64_t epochs = c->by_step ? (rows + s->steps_per_epoch - 1) / s->steps_per_epoch : rows;

    printf("%s: ", r->stage ? r->stage : r->run.name);
    if (rows == 0) {
        printf("not reached\n");
        return;
    }
    printf("epochs %" PRId64 " to %" PRId64, s->epoch, s->epoch + epochs - 1);
    if (c->counted) printf(", steps %" PRId64 " to %" PRId64, s->step, s->step + s->n_steps - 1);
    printf(", batch %" PRId64 "\n", r->train.batch);
}

static lk_status open_set(job *j, unsigned stage, lk_trainable **out)
{
    *out = NULL;
    if (!j->train && !lk_model_is_complete(&j->whole->model)) return LK_OK;
    if (!j->model) {
        LK_TRY(job_make_model(j));
        LK_TRY(job_check_patterns(j));
    }
    j->stage = stage;
    j->recipe = j->whole->stages[stage];
    return job_make_set(j, out);
}

lk_status describe_stage(job *j, const lr_curves *c, unsigned stage)
{
    const stage_span *s = &c->stages[stage];
    lk_trainable *trainable;

    LK_TRY(open_set(j, stage, &trainable));
    j->recipe = s->recipe;
    print_length(c, s);
    if (s->begin < s->end) {
        print_weights(j, trainable);
        for (unsigned g = 0; g < s->recipe->n_groups; g++) print_group(j, c, s, trainable, (int)g);
        print_ema(j->whole, c, s);
    }
    lk_trainable_free(&trainable);
    return LK_OK;
}
