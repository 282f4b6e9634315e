/* A scalar's course over a run: PyTorch's schedules and ours; and when to stop early. */
#ifndef LK_SCHEDULE_H
#define LK_SCHEDULE_H

#include "engine/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ schedule */

/* PyTorch's classes (torch.optim.lr_scheduler) by their names, and warmup, inverse_sqrt, wsd, which it lacks. */
#define LK_SCHEDULE_LIST(X)                                                                              \
    X(LK_SCHEDULE_NONE, "none") X(LK_SCHEDULE_LAMBDA, "lambda")                                          \
    X(LK_SCHEDULE_MULTIPLICATIVE, "multiplicative") X(LK_SCHEDULE_STEP, "step")                          \
    X(LK_SCHEDULE_MULTISTEP, "multistep") X(LK_SCHEDULE_CONSTANT, "constant")                            \
    X(LK_SCHEDULE_LINEAR, "linear") X(LK_SCHEDULE_EXPONENTIAL, "exponential")                            \
    X(LK_SCHEDULE_POLYNOMIAL, "polynomial") X(LK_SCHEDULE_COSINE, "cosine")                              \
    X(LK_SCHEDULE_WARM_RESTARTS, "cosine_warm_restarts") X(LK_SCHEDULE_CYCLIC, "cyclic")                 \
    X(LK_SCHEDULE_ONECYCLE, "onecycle") X(LK_SCHEDULE_PLATEAU, "reduce_on_plateau")                      \
    X(LK_SCHEDULE_SWALR, "swalr") X(LK_SCHEDULE_INVERSE_SQRT, "inverse_sqrt") X(LK_SCHEDULE_WSD, "wsd")  \
    X(LK_SCHEDULE_SEQUENTIAL, "sequential") X(LK_SCHEDULE_CHAINED, "chained")
#define LK_EVERY_LIST(X) X(LK_EVERY_EPOCH, "epoch") X(LK_EVERY_STEP, "step")
#define LK_EXTREMUM_LIST(X) X(LK_MIN, "min") X(LK_MAX, "max")
#define LK_CYCLE_LIST(X) \
    X(LK_CYCLE_TRIANGULAR, "triangular") X(LK_CYCLE_TRIANGULAR2, "triangular2") X(LK_CYCLE_EXP_RANGE, "exp_range")
#define LK_SCALE_LIST(X) X(LK_SCALE_CYCLE, "cycle") X(LK_SCALE_ITERATIONS, "iterations")
#define LK_THRESHOLD_LIST(X) X(LK_THRESHOLD_REL, "rel") X(LK_THRESHOLD_ABS, "abs")
#define LK_ANNEAL_LIST(X) X(LK_ANNEAL_COS, "cos") X(LK_ANNEAL_LINEAR, "linear")
#define LK_WARMUP_LIST(X) X(LK_WARMUP_LINEAR, "linear") X(LK_WARMUP_EXPONENTIAL, "exponential")
#define LK_DECAY_TYPE_LIST(X) \
    X(LK_DECAY_LINEAR, "linear") X(LK_DECAY_COSINE, "cosine") X(LK_DECAY_ONE_MINUS_SQRT, "1-sqrt")
typedef enum lk_schedule_kind { LK_SCHEDULE_LIST(LK_WORD_ENUM) } lk_schedule_kind;
typedef enum lk_every { LK_EVERY_LIST(LK_WORD_ENUM) } lk_every;
typedef enum lk_extremum { LK_EXTREMUM_LIST(LK_WORD_ENUM) } lk_extremum;
/* Numbered on from lk_extremum: both are the key `mode`, of different kinds. */
typedef enum lk_cycle { LK_CYCLE_BEFORE = LK_MAX, LK_CYCLE_LIST(LK_WORD_ENUM) } lk_cycle;
typedef enum lk_scale_mode { LK_SCALE_LIST(LK_WORD_ENUM) } lk_scale_mode;
typedef enum lk_threshold { LK_THRESHOLD_LIST(LK_WORD_ENUM) } lk_threshold;
typedef enum lk_anneal { LK_ANNEAL_LIST(LK_WORD_ENUM) } lk_anneal;
typedef enum lk_warmup { LK_WARMUP_LIST(LK_WORD_ENUM) } lk_warmup;
typedef enum lk_decay_type { LK_DECAY_TYPE_LIST(LK_WORD_ENUM) } lk_decay_type;

/* PyTorch's parameters by its names; which kinds take one is said behind it.  Lists and texts are borrowed until
 * lk_schedule_new() returns. */
typedef struct lk_schedule_spec lk_schedule_spec;
struct lk_schedule_spec {
    lk_schedule_kind kind;
    lk_every every;             /* what one scheduler step is; the outermost schedule's counts for all in it */
    struct {                    /* before any kind, which then begins at its own step 0 */
        lk_warmup kind;         /* how the factor of its first value goes from start_factor to 1 */
        int64_t total_iters;    /* 0: no warmup */
        double start_factor;
    } warmup;
    const char *expr;           /* lambda: factor of the base; multiplicative: of the value before */
    const char *metric;         /* reduce_on_plateau: the name of what is observed, for the caller */
    int mode;                   /* reduce_on_plateau: lk_extremum; cyclic: lk_cycle */
    double factor;              /* reduce_on_plateau, constant */
    int64_t start_step;         /* outermost: scheduler steps that count as done when the run begins */
    int64_t patience, cooldown; /* reduce_on_plateau */
    double threshold;
    lk_threshold threshold_mode;
    double min_lr, eps;
    double gamma;               /* step, multistep, exponential, cyclic in exp_range */
    int64_t step_size;          /* step */
    const int64_t *milestones;  /* multistep: in any order; sequential: ascending */
    unsigned n_milestones;
    int64_t total_iters;        /* constant, linear, polynomial */
    double start_factor, end_factor; /* linear */
    double power;               /* polynomial */
    int64_t T_max;              /* cosine */
    double eta_min;             /* cosine, cosine_warm_restarts, wsd */
    int64_t T_0, T_mult;        /* cosine_warm_restarts */
    bool fractional;            /* cosine_warm_restarts, every epoch: moves within the epoch too */
    double base_lr, max_lr;     /* cyclic; max_lr: onecycle too */
    double step_size_up, step_size_down; /* cyclic */
    const char *scale_fn;       /* cyclic: an expression in x in place of mode's; NULL: mode's */
    lk_scale_mode scale_mode;        /* cyclic with scale_fn: what x is */
    bool cycle_momentum;        /* cyclic, onecycle: momentum moves against the value */
    double base_momentum, max_momentum;
    int64_t total_steps;        /* onecycle; or 0 and the next two */
    int64_t epochs, steps_per_epoch;
    double pct_start, div_factor, final_div_factor;
    bool three_phase;
    lk_anneal anneal_strategy;  /* onecycle, swalr */
    double swa_lr;              /* swalr */
    int64_t anneal_epochs;
    int64_t warmup_steps;       /* inverse_sqrt, wsd */
    int64_t d_model;            /* inverse_sqrt: the Transformer's d^-0.5 form; 0: the peak is the base */
    int64_t stable_steps, decay_steps; /* wsd */
    lk_decay_type decay_type;
    const lk_schedule_spec *schedulers; /* sequential, chained */
    unsigned n_schedulers;
};

/* A scalar's course over a run: the learning rate's, or any other's, from a base value.  All kinds but a plateau are
 * pure functions of the moment: they may be asked in any order and remember nothing that a checkpoint must keep. */
typedef struct lk_schedule lk_schedule;

/* Everything a schedule must remember; for all kinds but plateau it is constant. */
typedef struct lk_schedule_state {
    double lr; /* a plateau's value */
    double best;
    int64_t num_bad, cooldown_counter;
} lk_schedule_state;

/* Whether an expression has this word, whole, in it. */
bool lk_expression_mentions(const char *text, const char *word);

/* path names the schedule in messages ("scheduler").  Errors: LK_ERR_USAGE naming the key; for an expression the
 * message points at the place in it. */
lk_status lk_schedule_new(const char *path, const lk_schedule_spec *spec, double base, lk_schedule **out);
void      lk_schedule_free(lk_schedule **schedule);
/* Whether it moves momentum too (beta1 for Adam). */
bool      lk_schedule_has_momentum(const lk_schedule *schedule);
/* Value in force at this training step of this epoch, both from 0; of an epoch the part that is done may be added, for
 * `fractional`.  momentum may be NULL; NaN: not scheduled.  Errors: LK_ERR_USAGE (an expression is not finite). */
lk_status lk_schedule_at(lk_schedule *schedule, int64_t step, double epoch, double *value, double *momentum);
/* Feeds a plateau one metric; *reduced says whether the value fell.  Other kinds ignore it, and so does a plateau in
 * its warmup. */
void      lk_schedule_observe(lk_schedule *schedule, int64_t step, double epoch, double metric, bool *reduced);
void      lk_schedule_get(const lk_schedule *schedule, lk_schedule_state *out);
void      lk_schedule_set(lk_schedule *schedule, const lk_schedule_state *state);

/* Stops when the metric has not improved by more than min_delta for `patience` observations in a row. */
typedef struct lk_early_stop_spec {
    int64_t patience; /* >= 1 */
    double min_delta; /* >= 0 */
    lk_extremum mode;
} lk_early_stop_spec;
typedef struct lk_early_stop { double best; int64_t num_bad; } lk_early_stop;
void lk_early_stop_init(const lk_early_stop_spec *spec, lk_early_stop *out);
/* True: stop now. */
bool lk_early_stop_observe(const lk_early_stop_spec *spec, lk_early_stop *state, double metric);

#ifdef __cplusplus
}
#endif
#endif
