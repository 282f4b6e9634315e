/* Keys of the sections model and loss. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

static const cyaml_strval_t model_words[] = WORDS(LK_MODEL_LIST);
static const cyaml_strval_t activation_words[] = WORDS(LK_ACTIVATION_LIST);
static const cyaml_strval_t norm_words[] = WORDS(LK_NORM_LIST);
static const cyaml_strval_t norm_place_words[] = WORDS(LK_NORM_PLACE_LIST);
static const cyaml_strval_t pool_words[] = WORDS(LK_POOL_LIST);
static const cyaml_strval_t loss_words[] = WORDS(LK_LOSS_LIST);

#define MODEL_KEYS(X)                                                                                                \
    X("kind", WORD(model.kind, model_words), NEEDED, HELP("the network"))                                            \
    X("layers", WHOLES(model.layers, model.n_layers, 2), A_SIZE, NEEDED, ONLY("mlp"),                                \
      HELP("widths: [inputs, hidden ..., outputs]"))                                                                 \
    X("image", FIXED(model.image, int64_t, whole_entry, 3), A_SIZE, ONLY("cnn"), DERIVED("the data's"),              \
      HELP("[C, H, W]"))                                                                                             \
    X("channels", WHOLES(model.channels, model.n_channels, 1), A_SIZE, NEEDED, ONLY("cnn"),                          \
      HELP("of each convolution, which a norm, the activation and a 2 x 2 pool follow"))                             \
    X("kernel", WHOLE(model.kernel), A_SIZE, DEFAULT("3"), ONLY("cnn"), HELP("its height and width"))                \
    X("pool", WORD(model.pool, pool_words), DEFAULT("max"), ONLY("cnn"), HELP("the kind of the pools"))              \
    X("hidden", WHOLES(model.hidden, model.n_hidden, 0), A_SIZE, ONLY("cnn"),                                        \
      HELP("widths of linear layers behind the last pool"))                                                          \
    X("classes", WHOLE(model.classes), FROM_TO(0, 1 << 30), DEFAULT("0"), DERIVED("the data's"), ONLY("cnn"),        \
      HELP("outputs"))                                                                                               \
    X("activation", WORD(model.activation, activation_words), DEFAULT("relu"), HELP("behind every hidden layer"))    \
    X("norm", WORD(model.norm, norm_words), DEFAULT("none"), HELP("of every hidden layer"))                          \
    X("norm_place", WORD(model.norm_place, norm_place_words), DEFAULT("before"), HELP("the activation, or after it")) \
    X("dropout", REAL(model.dropout), FROM_BELOW(0, 1), DEFAULT("0"), HELP("probability, behind every hidden layer")) \
    X("init", TEXT(model.init), DEFAULT("default"),                                                                  \
      HELP("first values of weights: one of torch.nn.init, with arguments: `trunc_normal(std=0.02)`"))               \
    X("init_bias", TEXT(model.init_bias), DEFAULT("default"), HELP("the same of biases"))

#define LOSS_KEYS(X)                                                                                                 \
    X("kind", WORD(model.loss.kind, loss_words), NEEDED, HELP("what training makes small"))                          \
    X("label_smoothing", REAL(model.loss.label_smoothing), FROM_TO(0, 1), DEFAULT("0"), ONLY("cross_entropy"),       \
      HELP("share of the target spread over all classes"))                                                           \
    X("ignore_index", WHOLE(model.loss.ignore_index), A_LABEL, DEFAULT("-100"), ONLY("cross_entropy"),               \
      HELP("samples with this label count for nothing"))

TABLES(lk_model, MODEL_KEYS)
TABLES(lk_loss, LOSS_KEYS)
