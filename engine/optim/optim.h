/* From summed gradients to new parameters: optimizers over the trainable set, and the EMA of the parameters. */
#ifndef LK_OPTIM_H
#define LK_OPTIM_H

#include "engine/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------- optimizer */

#define LK_OPTIMIZER_LIST(X) X(LK_SGD, "sgd") X(LK_ADAM, "adam") X(LK_ADAMW, "adamw")
typedef enum lk_optimizer_kind { LK_OPTIMIZER_LIST(LK_WORD_ENUM) } lk_optimizer_kind;

/* PyTorch's parameters and defaults (torch.optim.SGD, Adam, AdamW). */
typedef struct lk_optimizer_spec {
    lk_optimizer_kind kind;
    double lr;
    double momentum, dampening; /* sgd */
    bool nesterov;              /* sgd; needs momentum > 0 and dampening 0 */
    double weight_decay;
    double beta1, beta2, eps;   /* adam, adamw */
    bool amsgrad;               /* adam, adamw */
    double clip_norm;           /* global 2-norm, as torch.nn.utils.clip_grad_norm_; 0 is off */
    double clip_value;          /* as clip_grad_value_, before the norm is taken; 0 is off */
} lk_optimizer_spec;

typedef struct lk_optimizer lk_optimizer;
typedef struct lk_ema lk_ema;

/* What a schedule may set for a group in each update; NAN: the group's spec. */
typedef struct lk_hyperparams {
    double lr;
    double momentum;     /* sgd: momentum; adam, adamw: beta1 */
    double weight_decay;
} lk_hyperparams;

/* Whether groups may have these specs.  Errors: LK_ERR_USAGE naming the key. */
lk_status lk_optimizer_check(const lk_optimizer_spec *specs, int n_groups);
/* An optimizer of what `trained` (borrowed, must outlive it) trains, each group by its own spec: specs is
 * (lk_trainable_n_groups), copied.  All groups have the same kind, amsgrad, clip_norm and clip_value.
 * Errors: those of lk_optimizer_check(). */
lk_status lk_optimizer_new(lk_engine *engine, const lk_trainable *trainable, const lk_optimizer_spec *specs,
                           lk_optimizer **out);
/* The same for one of several workers that share the work: it holds states of `own` alone and updates nothing else.
 * own: (n_own) ascending ranges of the packed gradients that begin and end with chunks of the set's grid, so that of
 * each tensor there is one run of rows at most in them; copied; n_own may be 0. */
lk_status lk_optimizer_new_part(lk_engine *engine, const lk_trainable *trainable, const lk_optimizer_spec *specs,
                                const lk_range *own, size_t n_own, lk_optimizer **out);
void      lk_optimizer_free(lk_optimizer **optimizer);
/* Goes on from another optimizer of the same model, as after add_param_group: tensors that both train keep their
 * states and steps; those new to `to` start afresh, as everything does when the kinds keep other states.  Both hold all
 * of what they train. */
lk_status lk_optimizer_copy_state(lk_optimizer *to, lk_optimizer *from);
/* How many states go on from one to the other, the first ones of both. */
int         lk_optimizer_n_common_states(const lk_optimizer *to, const lk_optimizer *from);
int         lk_optimizer_n_states(const lk_optimizer *optimizer);
/* Elements of each state that are held here, padding included. */
size_t      lk_optimizer_n_held(const lk_optimizer *optimizer);
const char *lk_optimizer_state_name(const lk_optimizer *optimizer, int i); /* "exp_avg", PyTorch's names */
/* Rows [*begin, *end) of a tensor that trains whose states are held here; of all of it unless this is a part. */
void        lk_optimizer_rows(const lk_optimizer *optimizer, size_t tensor, int64_t *begin, int64_t *end);
/* State i of these rows, engine memory; NULL where there are none.  States of all tensors are one array, in which,
 * where all is held, each lies at lk_trainable_offset(). */
float      *lk_optimizer_state(lk_optimizer *optimizer, int i, size_t tensor);
/* Updates of a tensor that trains, PyTorch's `step`: a tensor that joined later has done fewer. */
int64_t     lk_optimizer_step(const lk_optimizer *optimizer, size_t tensor);
void        lk_optimizer_set_step(lk_optimizer *optimizer, size_t tensor, int64_t step);

/* The sum of the squares of a chunk's gradients: as they are, which is finite where all of them are, and after
 * clip_value. */
typedef struct lk_squares { double raw, clamped; } lk_squares;

/* Takes one pass over the gradients only if clipping asks for the norm or check is true; else the loss slot alone
 * is looked at and norm is NaN.  On a device the pass is queued, and the report pending. */
lk_status lk_optimizer_inspect(lk_optimizer *optimizer, const float *grads, bool check, lk_grad_report *out);
/* The same in two parts, where several workers hold parts and the backend computes in host memory.  What measure()
 * finds in the own chunks, *squares, and zeros for all others, (*n) of the set's grid, is to be added up over the
 * workers before conclude(); *n is 0 where nobody asks for it. */
lk_status lk_optimizer_measure(lk_optimizer *optimizer, const float *grads, bool check, lk_squares **squares,
                               size_t *n);
lk_status lk_optimizer_conclude(lk_optimizer *optimizer, const float *grads, bool check, lk_grad_report *out);
/* After the update: waits for a pending report and completes it; else does nothing.  An update by a report that turns
 * out not finite has changed nothing: the device left out its passes, and steps are counted back here. */
lk_status lk_optimizer_sync(lk_optimizer *optimizer, lk_grad_report *report, lk_ema *ema);
/* One update of what trains: clip (by the report), weight decay, rule, and, where ema is not NULL, the EMA in the same
 * pass; the EMA of what is frozen and of buffers follows by itself, so call it after lk_engine_update_stats().
 * params is (lk_model_n_elem), rates (lk_trainable_n_groups).  ema: NULL of a part, for the other parts are not
 * there yet; lk_ema_update() once they are comes to the same bits. */
lk_status lk_optimizer_update(lk_optimizer *optimizer, float *params, const float *grads, const lk_hyperparams *rates,
                              const lk_grad_report *report, lk_ema *ema);

/* ----------------------------------------------------------------------- EMA */

/* ema-pytorch's rules and defaults; lists of glob patterns are borrowed and must outlive the EMA. */
typedef struct lk_ema_spec {
    double beta;               /* 0.9999 */
    int64_t update_after_step; /* 100 */
    int64_t update_every;      /* 10 */
    double inv_gamma;          /* 1.0 */
    double power;              /* 2/3 */
    double min_value;          /* 0.0 */
    const char *const *copy;   /* names copied instead of averaged */
    size_t n_copy;
    const char *const *ignore; /* names never averaged: they keep the value of the last plain copy */
    size_t n_ignore;
} lk_ema_spec;

/* params: first value of the average.  Errors: LK_ERR_USAGE (a value out of range, a pattern that matches nothing). */
lk_status lk_ema_new(lk_engine *engine, const lk_ema_spec *spec, const float *params, lk_ema **out);
void      lk_ema_free(lk_ema **ema);
float    *lk_ema_params(lk_ema *ema);            /* (lk_model_n_elem), engine memory */
/* State beside the average: calls of update so far, and whether averaging has begun (ema-pytorch's step, initted). */
int64_t   lk_ema_step(const lk_ema *ema);
bool      lk_ema_started(const lk_ema *ema);
void      lk_ema_set(lk_ema *ema, int64_t step, bool started);
/* Decay that the call of update numbered `step` from 0 uses; 0 while it copies. */
double    lk_ema_decay(const lk_ema_spec *spec, int64_t step);
/* One ema.update() by itself, for callers that do not fuse it into the optimizer. */
lk_status lk_ema_update(lk_ema *ema, const float *params);

#ifdef __cplusplus
}
#endif
#endif
