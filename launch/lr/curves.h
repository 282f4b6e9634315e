/* The course of a run's rates before it: what `lockstep lr` shows. */
#ifndef LK_COURSES_H
#define LK_COURSES_H

#include "launch/launch.h"

#define QUANTITY_LIST(X)                             \
    X(QUANTITY_LR, "lr", "learning rate")            \
    X(QUANTITY_MOMENTUM, "momentum", "momentum")     \
    X(QUANTITY_WEIGHT_DECAY, "weight_decay", "weight decay")
typedef enum quantity {
#define QUANTITY_ENUM(name, column, words) name,
    QUANTITY_LIST(QUANTITY_ENUM)
#undef QUANTITY_ENUM
    N_QUANTITIES,
} quantity;

enum { MOST_CURVES = N_QUANTITIES * LK_MOST_GROUPS };

/* One quantity of one group. */
typedef struct curve {
    quantity what;
    char *group;             /* owned; NULL: the group of the rest */
    double *value;           /* owned: (n); NaN: the stage has no such group */
} curve;

/* One stage's part of a course. */
typedef struct stage_span {
    const lk_recipe *recipe; /* borrowed from the job: until it reads another */
    int64_t begin, end;      /* rows */
    int64_t epoch, step;     /* done before it */
    int64_t n_steps;         /* of the rows */
    int64_t steps_per_epoch; /* 1 where the data is not known */
} stage_span;

typedef struct lr_curves {
    char *name;              /* owned: the recipe's run.name */
    int64_t n;               /* rows: scheduler steps */
    bool by_step;            /* a scheduler step is a training step */
    bool counted;            /* training steps are known */
    double *epoch;           /* owned: (n + 1), epochs done when a step begins, and when the last one ends */
    int n_curves;            /* the first is lr; all of one quantity are neighbours */
    curve curves[MOST_CURVES];
    unsigned n_stages;
    stage_span *stages;      /* owned: (n_stages) */
} lr_curves;

/* Reads a recipe and follows the schedules of its stages and groups for --count steps or the run's length; warns on
 * stderr of what people fall into.  j keeps the recipe, and the data where it could be opened.  Release with
 * lr_curves_free() also when it fails. */
lk_status lr_curves_follow(job *j, const options *opt, const char *path, lr_curves *out);
void      lr_curves_free(lr_curves *c);
/* The curve of a quantity of a group; NULL: it is not scheduled.  Learning rates always are here. */
const curve *lr_curves_find(const lr_curves *c, quantity what, const char *group);
/* As metrics.csv names it: lr, lr.GROUP, momentum, ... */
const char *curve_name(const curve *v, char text[METRIC_NAME_BYTES]);

/* stages.c: what trains in a stage and how, in a few lines.  Takes j->train where it is open; makes j->model where
 * it can. */
lk_status describe_stage(job *j, const lr_curves *c, unsigned stage);
/* plot.c: draws courses over one another. */
lk_status draw_lr_curves(const char *path, const lr_curves *runs, int n);

#endif
