/* Keys of the section train, which stages share. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t extremum_words[] = WORDS(LK_EXTREMUM_LIST);
static const cyaml_strval_t nonfinite_words[] = WORDS(LK_ON_NONFINITE_LIST);
static const cyaml_strval_t unit_words[] = WORDS(LK_UNIT_LIST);
static const cyaml_strval_t frozen_mode_words[] = WORDS(LK_FROZEN_MODE_LIST);
static const cyaml_strval_t cache_frozen_words[] = WORDS(LK_CACHE_FROZEN_LIST);

enum { MOST_LANES = 1 << 16, MOST_MICRO_BATCHES = 1 << 16 };

#define PREFERRED "ema.validation.loss, else validation.loss, else train.loss"
#define BY_METRIC "max for accuracies and r2, else min"

#define EARLY_STOP_KEYS(X)                                                                                           \
    X("metric", TEXT(train.early_stop.metric), DERIVED(PREFERRED), HELP("what is to improve"))                       \
    X("patience", WHOLE(train.early_stop.spec.patience), AT_LEAST(1), DEFAULT("10"),                                 \
      HELP("evaluations without improvement"))                                                                       \
    X("min_epochs", WHOLE(train.early_stop.min_epochs), AT_LEAST(0), DEFAULT("0"),                                   \
      HELP("that are trained in any case"))                                                                          \
    X("min_delta", REAL(train.early_stop.spec.min_delta), AT_LEAST(0), DEFAULT("0"), HELP("what counts as one"))     \
    X("mode", WORD(train.early_stop.spec.mode, extremum_words), DERIVED(BY_METRIC), HELP("which way is better"))

#define TRAIN_KEYS(X)                                                                                                \
    X("epochs", WHOLE(train.epochs), FROM_TO(0, 1 << 30), DERIVED("needed, or steps"),                               \
      HELP("passes over the training part; 0: measure and save the untrained network"))                              \
    X("steps", WHOLE(train.steps), AT_LEAST(0), DEFAULT("0"), HELP("stop after so many; 0: by epochs"))              \
    X("batch", WHOLE(train.batch), A_SIZE, DEFAULT("32"), HELP("samples of a step, of all workers together"))        \
    X("lanes", WHOLE(train.lanes), FROM_TO(0, MOST_LANES), DEFAULT("0"), DERIVED("workers at the first start"),      \
      HELP("parts a batch is cut into: as many workers can share the run"))                                          \
    X("accumulate", WHOLE(train.accumulate), FROM_TO(1, MOST_MICRO_BATCHES), DEFAULT("1"), DECIDES,                  \
      HELP("micro-batches a lane is computed in, one after another, for the memory of one: gradients are added in "  \
           "order, batch norms take each by itself"))                                                                \
    X("recompute", TEXTS(train.recompute), ONE_OR_MORE, DEFAULT("none"),                                             \
      HELP("layers whose activations are dropped after the forward pass and computed again in the backward pass, to "  \
           "the same bits: none, blocks (residual ones, a Transformer's), or patterns of layers' names up to a dot")) \
    X("evaluate_every", WHOLE(train.evaluate_every), AT_LEAST(1), DEFAULT("1"), HELP("units between evaluations"))   \
    X("evaluate_unit", WORD(train.evaluate_unit, unit_words), DEFAULT("epoch"), HELP("what `evaluate_every` counts")) \
    X("evaluate_batch", WHOLE(train.evaluate_batch), FROM_TO(0, 1 << 30), DEFAULT("0"),                              \
      DERIVED("batch, with accumulate its micro-batches"), HELP("samples at a time in evaluations"))                 \
    X("evaluate_batches", WHOLE(train.evaluate_batches), AT_LEAST(0), DEFAULT("0"),                                  \
      HELP("at most so many a part and evaluation, the same samples each time, drawn by `run.seed`; 0: all"))        \
    X("check_finite", TRUTH(train.check_finite), DEFAULT("true"),                                                    \
      HELP("look for NaN and infinity in every step's gradients"))                                                   \
    X("on_nonfinite", WORD(train.on_nonfinite, nonfinite_words), DEFAULT("stop"), HELP("or pass over such a step"))  \
    X("freeze", TEXTS(train.freeze), HELP("patterns of tensors that do not train"))                                  \
    X("unfreeze", TEXTS(train.unfreeze), HELP("patterns of tensors that train again"))                               \
    X("frozen_mode", WORD(train.frozen_mode, frozen_mode_words), DEFAULT("eval"),                                    \
      HELP("of frozen parts: eval is PyTorch's .eval(): batch norms use their running statistics and leave them, "    \
           "dropout is off; train goes on with the batch's statistics and with dropout"))                            \
    X("cache_frozen", WORD(train.cache_frozen, cache_frozen_words), DERIVED("frozen layers run with each lane"),     \
      HELP("what the frozen layers in front of the first trained one give for a sample is computed once and kept, "  \
           "so that further epochs cost the rest alone; no: computed alike, but not kept"))                          \
    X("frozen_piece", WHOLE(train.frozen_piece), FROM_TO(0, 1 << 30), DEFAULT("0"),                                  \
      DERIVED("those of the largest lane"),                                                                          \
      HELP("with `cache_frozen`: samples that go through frozen layers at a time, all of training at most"))         \
    X("early_stop", KEYS(lk_early_stop_fields), .rules = lk_early_stop_rules,                                        \
      HELP("end when a metric no longer improves"))                                                                  \
    X("best_metric", TEXT(train.best_metric), DERIVED("early_stop's, else " PREFERRED), HELP("what `best` means"))   \
    X("best_mode", WORD(train.best_mode, extremum_words), DERIVED(BY_METRIC), HELP("which way is better"))

TABLES(lk_early_stop, EARLY_STOP_KEYS)
TABLES(lk_train, TRAIN_KEYS)
