/* Keys of the sections optimizer and ema.  Defaults are PyTorch's and ema-pytorch's. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t optimizer_words[] = WORDS(LK_OPTIMIZER_LIST);

#define OPTIMIZER_KEYS(X)                                                                                            \
    X("kind", WORD(optimizer.kind, optimizer_words), NEEDED, HAS_STATE, HELP("the algorithm"))                       \
    X("lr", REAL(optimizer.lr), AT_LEAST(0), DEFAULT("1e-3"), HELP("learning rate, from which `scheduler` starts"))  \
    X("momentum", REAL(optimizer.momentum), AT_LEAST(0), DEFAULT("0"), ONLY("sgd"), HELP("of the gradients"))        \
    X("dampening", REAL(optimizer.dampening), ANY, DEFAULT("0"), ONLY("sgd"), HELP("of momentum"))                   \
    X("nesterov", TRUTH(optimizer.nesterov), DEFAULT("false"), ONLY("sgd"), HELP("Nesterov's momentum"))             \
    X("weight_decay", REAL(optimizer.weight_decay), AT_LEAST(0), DERIVED("0; adamw 1e-2"),                           \
      HELP("adamw: of the weights themselves; else added to gradients"))                                             \
    X("betas", FIXED(optimizer.beta1, double, real_entry, 2), FROM_BELOW(0, 1), ONLY("adam adamw"),                  \
      DERIVED("[0.9, 0.999]"), HELP("decay of the two averages"))                                                    \
    X("beta1", REAL(optimizer.beta1), FROM_BELOW(0, 1), ONLY("adam adamw"), INNER)                                   \
    X("beta2", REAL(optimizer.beta2), FROM_BELOW(0, 1), ONLY("adam adamw"), INNER)                                   \
    X("eps", REAL(optimizer.eps), AT_LEAST(0), DEFAULT("1e-8"), ONLY("adam adamw"), HELP("added to the denominator")) \
    X("amsgrad", TRUTH(optimizer.amsgrad), DEFAULT("false"), HAS_STATE, ONLY("adam adamw"),                          \
      HELP("the largest second average so far"))                                                                     \
    X("clip_norm", REAL(optimizer.clip_norm), AT_LEAST(0), DEFAULT("0"),                                             \
      HELP("largest norm of all gradients; 0: off"))                                                                 \
    X("clip_value", REAL(optimizer.clip_value), AT_LEAST(0), DEFAULT("0"),                                           \
      HELP("largest gradient of a weight; 0: off"))                                                                  \
    X("params", TEXTS(params), INNER) /* of a group, groups.c; nobody writes it in the section itself */
_Static_assert(offsetof(lk_optimizer_spec, beta2) == offsetof(lk_optimizer_spec, beta1) + sizeof(double),
               "`betas` fills both");

#define EMA_KEYS(X)                                                                                                  \
    X("beta", REAL(ema.spec.beta), FROM_TO(0, 1), DEFAULT("0.9999"), HELP("largest decay; no section, no EMA"))      \
    X("update_after_step", WHOLE(ema.spec.update_after_step), AT_LEAST(0), DEFAULT("100"),                           \
      HELP("until then a copy of the weights"))                                                                      \
    X("update_every", WHOLE(ema.spec.update_every), AT_LEAST(1), DEFAULT("10"), HELP("steps"))                       \
    X("inv_gamma", REAL(ema.spec.inv_gamma), ABOVE(0), DEFAULT("1"),                                                 \
      HELP("of the warm-up, 1 - (1 + k / inv_gamma)^-power"))                                                        \
    X("power", REAL(ema.spec.power), AT_LEAST(0), DEFAULT("0.66666666666666663"), DERIVED("2/3"),                    \
      HELP("of the warm-up"))                                                                                        \
    X("min_value", REAL(ema.spec.min_value), FROM_TO(0, 1), DEFAULT("0"), HELP("smallest decay"))                    \
    X("copy", TEXTS(ema.copy), HELP("patterns of tensors that are copied, not averaged"))                            \
    X("ignore", TEXTS(ema.ignore), HELP("patterns of tensors that keep their first values"))

TABLES(lk_optimizer, OPTIMIZER_KEYS)
TABLES(lk_ema, EMA_KEYS)
