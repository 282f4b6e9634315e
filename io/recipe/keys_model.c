/* Keys of the sections model and loss; those of a network are beside its struct, in engine/model/families.h. */
#define LK_OWNER lk_recipe
#include "io/recipe/keys.h"

#define AS_NETWORK(id, word, family) {#word, LK_MODEL_##id},
static const cyaml_strval_t model_words[] = {LK_NETWORK_LIST(AS_NETWORK) {"plugin", LK_MODEL_PLUGIN}};
static const cyaml_strval_t activation_words[] = WORDS(LK_ACTIVATION_LIST);
static const cyaml_strval_t norm_words[] = WORDS(LK_NORM_LIST);
static const cyaml_strval_t norm_place_words[] = WORDS(LK_NORM_PLACE_LIST);
static const cyaml_strval_t pool_words[] = WORDS(LK_POOL_LIST);
static const cyaml_strval_t tie_words[] = {LK_TIE_LIST(AS_STRVAL) {"true", LK_TIE_ALL}, {"false", LK_TIE_NONE}};
static const cyaml_strval_t stem_words[] = WORDS(LK_STEM_LIST);
static const cyaml_strval_t loss_words[] = WORDS(LK_LOSS_LIST);
static const cyaml_strval_t reduction_words[] = WORDS(LK_LOSS_REDUCTION_LIST);

/* Those whose activations and norms are not laid down by a paper. */
#define FREE_KINDS "mlp cnn plugin"

#define MODEL_KEYS(X)                                                                                                \
    X("kind", WORD(model.kind, model_words), NEEDED, HELP("the network"))                                            \
    LK_FAMILY_KEYS(X)                                                                                                \
    X("activation", WORD(model.activation, activation_words), DEFAULT("relu"),                                       \
      ONLY(FREE_KINDS " transformer"), HELP("behind every hidden layer"))                                            \
    X("norm", WORD(model.norm, norm_words), DEFAULT("none"), OWN_DEFAULT({"transformer", "post"}),                   \
      ONLY(FREE_KINDS " transformer"), DERIVED("none, of a transformer post"),                                       \
      HELP("of every hidden layer; of a transformer post, behind each sum, or pre, before each branch"))             \
    X("norm_place", WORD(model.norm_place, norm_place_words), DEFAULT("before"), ONLY(FREE_KINDS),                   \
      HELP("the activation, or after it"))                                                                           \
    X("dropout", REAL(model.dropout), FROM_BELOW(0, 1), DEFAULT("0"), OWN_DEFAULT({"vgg*", "0.5"}),                  \
      ONLY(FREE_KINDS " vgg* " LK_SWIN_KINDS " transformer " LK_GPT2_KINDS), DERIVED("0, of a vgg 0.5"),             \
      HELP("probability, behind every hidden layer"))                                                                \
    X("init", TEXT(model.init), DEFAULT("default"),                                                                  \
      HELP("first values of weights: one of torch.nn.init, with arguments: `trunc_normal(std=0.02)`"))               \
    X("init_bias", TEXT(model.init_bias), DEFAULT("default"), HELP("the same of biases"))

#define LOSS_KEYS(X)                                                                                                 \
    X("kind", WORD(model.loss.kind, loss_words), NEEDED, HELP("what training makes small"))                          \
    X("reduction", WORD(model.loss.reduction, reduction_words), DEFAULT("mean"), ONLY("cross_entropy"),              \
      HELP("mean over what counts; sequence, as the textbook's translation: the mean over the steps that a batch's " \
           "targets are filled up to (data.steps, or its longest), summed over its sentences; metrics are these "    \
           "sums by the number of words"))                                                                           \
    X("label_smoothing", REAL(model.loss.label_smoothing), FROM_TO(0, 1), DEFAULT("0"), ONLY("cross_entropy"),       \
      HELP("share of the target spread over all classes"))                                                           \
    X("ignore_index", WHOLE(model.loss.ignore_index), A_LABEL, DEFAULT("-100"), ONLY("cross_entropy"),               \
      HELP("samples with this label count for nothing"))                                                             \
    X("weight", REALS(model.loss.weight, model.loss.n_weight, 1), AT_LEAST(0), ONLY("cross_entropy"),                \
      HELP("of each class; the mean divides by the weights of the labels"))                                          \
    X("probabilities", TRUTH(model.loss.probabilities), ONLY("cross_entropy"), DERIVED("true with mixup or cutmix"),  \
      HELP("targets are one for each class, not a label: of hdf5's y (N, classes), or made of labels; the mean "     \
           "divides by the samples, as PyTorch's"))                                                                  \
    X("pos_weight", REALS(model.loss.pos_weight, model.loss.n_pos_weight, 1), AT_LEAST(0), ONLY("bce"),              \
      HELP("of each output where its target is 1; one number for all"))                                              \
    X("delta", REAL(model.loss.delta), ABOVE(0), DEFAULT("1"), ONLY("huber"), HELP("where squares become lines"))    \
    X("beta", REAL(model.loss.beta), AT_LEAST(0), DEFAULT("1"), ONLY("smooth_l1"), HELP("where squares become lines"))

TABLES(lk_model, MODEL_KEYS)
TABLES(lk_loss, LOSS_KEYS)
