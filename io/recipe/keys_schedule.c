/*
 * Keys of a schedule, with PyTorch's names and defaults (torch.optim.lr_scheduler).
 *
 * A schedule may hold others in `schedulers`, so its tables refer to themselves.  Places are counted from the start
 * of one lk_schedule_spec, wherever that lies.
 */
#define LK_OWNER lk_schedule_spec
#include "io/recipe/keys.h"

static const cyaml_strval_t schedule_words[] = WORDS(LK_SCHEDULE_LIST);
static const cyaml_strval_t every_words[] = WORDS(LK_EVERY_LIST);
static const cyaml_strval_t mode_words[] = {LK_EXTREMUM_LIST(AS_STRVAL) LK_CYCLE_LIST(AS_STRVAL)};
static const cyaml_strval_t threshold_words[] = WORDS(LK_THRESHOLD_LIST);
static const cyaml_strval_t scale_words[] = WORDS(LK_SCALE_LIST);
static const cyaml_strval_t anneal_words[] = WORDS(LK_ANNEAL_LIST);
static const cyaml_strval_t warmup_words[] = WORDS(LK_WARMUP_LIST);
static const cyaml_strval_t decay_words[] = WORDS(LK_DECAY_TYPE_LIST);
static const cyaml_schema_value_t schedule_entry = {
    .type = CYAML_MAPPING, .data_size = sizeof(lk_schedule_spec), .mapping = {lk_schedule_fields}};

#define PLATEAU "reduce_on_plateau"
#define RESTARTS "cosine_warm_restarts"
#define CYCLES "cyclic onecycle"
#define MILESTONES COUNTED(CYAML_FLAG_POINTER, milestones, n_milestones, whole_entry, 0, CYAML_UNLIMITED)
#define SCHEDULERS COUNTED(CYAML_FLAG_POINTER, schedulers, n_schedulers, schedule_entry, 1, CYAML_UNLIMITED)
#define A_MOMENTUM FROM_BELOW(0, 1)
#define A_FACTOR ABOVE_TO(0, 1)

#define WARMUP_KEYS(X)                                                                                               \
    X("kind", WORD(warmup.kind, warmup_words), DEFAULT("linear"), HELP("form of the rise"))                          \
    X("total_iters", WHOLE(warmup.total_iters), AT_LEAST(1), NEEDED, HELP("scheduler steps"))                        \
    X("start_factor", REAL(warmup.start_factor), A_FACTOR, DEFAULT("0.01"), HELP("first factor"))
TABLES(lk_warmup, WARMUP_KEYS)

#define SCHEDULE_KEYS(X)                                                                                             \
    X("kind", WORD(kind, schedule_words), DEFAULT("none"),                                                           \
      HELP("its form; the tables of torch.optim.lr_scheduler, and inverse_sqrt and wsd"))                            \
    X("every", WORD(every, every_words), DEFAULT("epoch"), HELP("what a scheduler step is"))                         \
    X("start_step", WHOLE(start_step), FROM_TO(0, 1 << 30), DEFAULT("0"),                                            \
      HELP("scheduler steps that count as done when the run begins, PyTorch's last_epoch + 1; "                      \
           "optimizer.lr is its initial_lr"))                                                                        \
    X("warmup", KEYS(lk_warmup_fields), .rules = lk_warmup_rules,                                                    \
      HELP("before any kind, nested ones too: leads to its first value, then that kind begins at its step 0"))       \
    X("expr", TEXT(expr), NEEDED, ONLY("lambda multiplicative"),                                                     \
      HELP("a factor in `epoch` and `step`: 0.95^epoch, max(0, 1 - epoch/100)"))                                     \
    X("metric", TEXT(metric), ONLY(PLATEAU), DERIVED("ema.validation.loss, else validation.loss, else train.loss"),  \
      HELP("what the plateau observes"))                                                                             \
    X("mode", WORD(mode, mode_words), ONLY(PLATEAU " cyclic"), DERIVED("by the metric; cyclic: triangular"),         \
      HELP("plateau: which way is better; cyclic: its form"))                                                        \
    X("factor", REAL(factor), FROM_TO(0, 1), ONLY(PLATEAU " constant"), DERIVED("plateau 0.1, constant 1/3"),        \
      HELP("the rate is multiplied by it"))                                                                          \
    X("patience", WHOLE(patience), AT_LEAST(0), DEFAULT("10"), ONLY(PLATEAU),                                        \
      HELP("evaluations without improvement before a fall"))                                                         \
    X("threshold", REAL(threshold), AT_LEAST(0), DEFAULT("1e-4"), ONLY(PLATEAU),                                     \
      HELP("what counts as an improvement"))                                                                         \
    X("threshold_mode", WORD(threshold_mode, threshold_words), DEFAULT("rel"), ONLY(PLATEAU),                        \
      HELP("a share of the best, or a difference"))                                                                  \
    X("cooldown", WHOLE(cooldown), AT_LEAST(0), DEFAULT("0"), ONLY(PLATEAU),                                         \
      HELP("evaluations after a fall that do not count"))                                                            \
    X("min_lr", REAL(min_lr), AT_LEAST(0), DEFAULT("0"), ONLY(PLATEAU), HELP("no fall below it"))                    \
    X("eps", REAL(eps), AT_LEAST(0), DEFAULT("1e-8"), ONLY(PLATEAU), HELP("smallest fall"))                          \
    X("step_size", WHOLE(step_size), AT_LEAST(1), NEEDED, ONLY("step"), HELP("scheduler steps between falls"))       \
    X("gamma", REAL(gamma), AT_LEAST(0), ONLY("step multistep exponential cyclic"),                                  \
      DERIVED("0.1; exponential needs it; cyclic 1"), HELP("the factor of a fall; cyclic (exp_range): of a step"))   \
    X("milestones", MILESTONES, AT_LEAST(0), NEEDED, ONLY("multistep sequential"),                                   \
      HELP("scheduler steps at which the rate falls, or the next schedule begins"))                                  \
    X("total_iters", WHOLE(total_iters), AT_LEAST(1), DEFAULT("5"), ONLY("constant linear polynomial"),              \
      HELP("scheduler steps until its end"))                                                                         \
    X("start_factor", REAL(start_factor), A_FACTOR, DEFAULT("0.33333333333333331"), ONLY("linear"), DERIVED("1/3"),  \
      HELP("first factor"))                                                                                          \
    X("end_factor", REAL(end_factor), FROM_TO(0, 1), DEFAULT("1"), ONLY("linear"), HELP("last factor"))              \
    X("power", REAL(power), AT_LEAST(0), DEFAULT("1"), ONLY("polynomial"), HELP("of the polynomial"))                \
    X("T_max", WHOLE(T_max), AT_LEAST(1), NEEDED, ONLY("cosine"), HELP("scheduler steps from top to bottom"))        \
    X("eta_min", REAL(eta_min), AT_LEAST(0), DEFAULT("0"), ONLY("cosine " RESTARTS " wsd"), HELP("smallest rate"))   \
    X("T_0", WHOLE(T_0), AT_LEAST(1), NEEDED, ONLY(RESTARTS), HELP("scheduler steps of the first cycle"))            \
    X("T_mult", WHOLE(T_mult), AT_LEAST(1), DEFAULT("1"), ONLY(RESTARTS),                                            \
      HELP("each cycle is so many times longer than the one before"))                                                \
    X("fractional", TRUTH(fractional), DEFAULT("false"), ONLY(RESTARTS),                                             \
      HELP("with `every: epoch`, moves within epochs too"))                                                          \
    X("base_lr", REAL(base_lr), AT_LEAST(0), NEEDED, ONLY("cyclic"), HELP("lower end; replaces optimizer.lr"))       \
    X("max_lr", REAL(max_lr), AT_LEAST(0), NEEDED, ONLY(CYCLES), HELP("upper end; replaces optimizer.lr"))           \
    X("step_size_up", REAL(step_size_up), ABOVE(0), DEFAULT("2000"), ONLY("cyclic"),                                 \
      HELP("scheduler steps of a rise"))                                                                             \
    X("step_size_down", REAL(step_size_down), AT_LEAST(0), ONLY("cyclic"), DERIVED("step_size_up"),                  \
      HELP("of a fall"))                                                                                             \
    X("scale_fn", TEXT(scale_fn), ONLY("cyclic"), HELP("an expression in `x` that scales the swing"))                \
    X("scale_mode", WORD(scale_mode, scale_words), ONLY("cyclic"), DERIVED("cycle"),                                 \
      HELP("whether its x is the cycle or the step"))                                                                \
    X("cycle_momentum", TRUTH(cycle_momentum), DEFAULT("true"), ONLY(CYCLES),                                        \
      HELP("momentum (Adam: beta1) swings against the rate"))                                                        \
    X("base_momentum", REAL(base_momentum), A_MOMENTUM, ONLY(CYCLES), DERIVED("cyclic 0.8, onecycle 0.85"),          \
      HELP("lower end"))                                                                                             \
    X("max_momentum", REAL(max_momentum), A_MOMENTUM, ONLY(CYCLES), DERIVED("cyclic 0.9, onecycle 0.95"),            \
      HELP("upper end"))                                                                                             \
    X("total_steps", WHOLE(total_steps), A_SIZE, ONLY("onecycle"), DERIVED("epochs * steps_per_epoch"),              \
      HELP("scheduler steps in all, or give the next two"))                                                          \
    X("epochs", WHOLE(epochs), A_SIZE, ONLY("onecycle"), HELP("of steps_per_epoch scheduler steps"))                 \
    X("steps_per_epoch", WHOLE(steps_per_epoch), A_SIZE, ONLY("onecycle"), HELP("see epochs"))                       \
    X("pct_start", REAL(pct_start), FROM_TO(0, 1), DEFAULT("0.3"), ONLY("onecycle"), HELP("share of the rise"))      \
    X("anneal_strategy", WORD(anneal_strategy, anneal_words), DEFAULT("cos"), ONLY("onecycle swalr"),                \
      HELP("cosine or line"))                                                                                        \
    X("div_factor", REAL(div_factor), ABOVE(0), DEFAULT("25"), ONLY("onecycle"), HELP("max_lr by the first rate"))   \
    X("final_div_factor", REAL(final_div_factor), ABOVE(0), DEFAULT("1e4"), ONLY("onecycle"),                        \
      HELP("first rate by the last"))                                                                                \
    X("three_phase", TRUTH(three_phase), DEFAULT("false"), ONLY("onecycle"),                                         \
      HELP("the rise mirrored before the last fall"))                                                                \
    X("swa_lr", REAL(swa_lr), AT_LEAST(0), NEEDED, ONLY("swalr"), HELP("the rate it ends on"))                       \
    X("anneal_epochs", WHOLE(anneal_epochs), AT_LEAST(0), DEFAULT("10"), ONLY("swalr"),                              \
      HELP("scheduler steps to get there"))                                                                          \
    X("warmup_steps", WHOLE(warmup_steps), AT_LEAST(0), ONLY("inverse_sqrt wsd"),                                    \
      DERIVED("wsd 0; inverse_sqrt needs it"), HELP("of the rise"))                                                  \
    X("d_model", WHOLE(d_model), AT_LEAST(1), ONLY("inverse_sqrt"), HELP("width, for the Transformer's rate"))       \
    X("stable_steps", WHOLE(stable_steps), AT_LEAST(0), NEEDED, ONLY("wsd"), HELP("at the top"))                     \
    X("decay_steps", WHOLE(decay_steps), AT_LEAST(0), NEEDED, ONLY("wsd"), HELP("of the fall"))                      \
    X("decay_type", WORD(decay_type, decay_words), DEFAULT("linear"), ONLY("wsd"), HELP("form of the fall"))         \
    X("schedulers", SCHEDULERS, NEEDED, ONLY("sequential chained"), .rules = lk_schedule_rules,                      \
      HELP("the schedules it is made of"))
const cyaml_schema_field_t lk_schedule_fields[] = {SCHEDULE_KEYS(AS_FIELD) CYAML_FIELD_END};
const lk_rule lk_schedule_rules[] = {SCHEDULE_KEYS(AS_RULE)};
