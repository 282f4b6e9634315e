/*
 * The networks of this build and what a recipe says of them: one line in the list, one struct a family, and the keys
 * that fill it.
 *
 * Keys are X("key", TYPE(member, ...), RULE, ...); what types and rules mean says io/recipe/keys.h, which alone expands
 * them, so the engine itself reads no recipes.  ONLY names the networks that take a key: words, or patterns (resnet*).
 */
#ifndef LK_FAMILIES_H
#define LK_FAMILIES_H

#include "engine/base/base.h"

/* The one list of networks, X(ID, word, family): makes LK_MODEL_ID and the recipe's word; lk_network_FAMILY in nn/ is
 * the row of all of a family, and finds in lk_model_spec.kind which of them it is. */
#define LK_NETWORK_LIST(X)                                                                                           \
    X(MLP, mlp, mlp) X(CNN, cnn, cnn)                                                                                \
    X(RESNET18, resnet18, resnet) X(RESNET34, resnet34, resnet) X(RESNET50, resnet50, resnet)                        \
    X(RESNET101, resnet101, resnet) X(RESNET152, resnet152, resnet)                                                  \
    X(VGG11, vgg11, vgg) X(VGG13, vgg13, vgg) X(VGG16, vgg16, vgg) X(VGG19, vgg19, vgg)                              \
    X(VGG11_BN, vgg11_bn, vgg) X(VGG13_BN, vgg13_bn, vgg) X(VGG16_BN, vgg16_bn, vgg) X(VGG19_BN, vgg19_bn, vgg)      \
    X(SWIN_T, swin_t, swin) X(SWIN_S, swin_s, swin) X(SWIN_B, swin_b, swin)                                          \
    X(TRANSFORMER, transformer, transformer)                                                                         \
    X(GPT2, gpt2, gpt2) X(GPT2_MEDIUM, gpt2-medium, gpt2) X(GPT2_LARGE, gpt2-large, gpt2) X(GPT2_XL, gpt2-xl, gpt2)

enum { LK_MAX_LAYERS = 64 };

#define LK_POOL_LIST(X) X(LK_POOL_MAX, "max") X(LK_POOL_AVG, "avg")
typedef enum lk_pool { LK_POOL_LIST(LK_WORD_ENUM) } lk_pool;

/* What all networks of images are told; an mlp that is fitted to images notes their sides, too. */
typedef struct lk_vision_spec {
    int64_t image[3];      /* C, H, W of one sample */
    int64_t classes;       /* outputs */
    double width;          /* of resnet, vgg, swin: a factor on all channels, above 0 and at most LK_MOST_WIDTH; of a
                            * gpt2 its channels, for a key has one place */
} lk_vision_spec;

#define LK_MOST_WIDTH 64 /* far beyond any machine; keeps products of sizes within 64 bits */

#define LK_GPT2_KINDS "gpt2*"
#define LK_SWIN_KINDS "swin_*"
#define LK_BACKBONE_KINDS "resnet* vgg*"
#define LK_VISION_KINDS "cnn " LK_BACKBONE_KINDS " " LK_SWIN_KINDS
#define LK_VISION_KEYS(X)                                                                                            \
    X("image", FIXED(model.vision.image, int64_t, whole_entry, 3), A_SIZE, ONLY(LK_VISION_KINDS),                    \
      DERIVED("the data's"), HELP("[C, H, W]"))                                                                      \
    X("classes", WHOLE(model.vision.classes), FROM_TO(0, 1 << 30), DEFAULT("0"), DERIVED("the data's"),              \
      ONLY(LK_VISION_KINDS), HELP("outputs"))                                                                        \
    X("width", REAL(model.vision.width), ABOVE_TO(0, 1 << 30), DEFAULT("1"),                                         \
      OWN_DEFAULT({"gpt2", "768"}, {"gpt2-medium", "1024"}, {"gpt2-large", "1280"}, {"gpt2-xl", "1600"}),            \
      DERIVED("1; gpt2 768, gpt2-medium 1024, gpt2-large 1280, gpt2-xl 1600"),                                       \
      ONLY(LK_BACKBONE_KINDS " " LK_SWIN_KINDS " " LK_GPT2_KINDS),                                                   \
      HELP("factor of the channels of all layers, at most 64, to the nearest whole number, at least 1; a swin's to " \
           "whole ones a head; of a gpt2 its channels"))

/* A key has one place, whoever reads it: `layers` and `hidden` are lists, from which a transformer and a gpt2 take
 * their own. */

/* torchvision.ops.MLP: Sequential of [Linear, norm?, activation, Dropout] and a last Linear. */
typedef struct lk_mlp_spec {
    int n_layers;          /* at least 2 */
    int64_t layers[LK_MAX_LAYERS]; /* inputs, hidden widths, outputs */
} lk_mlp_spec;

#define LK_MLP_KEYS(X)                                                                                               \
    X("layers", WHOLES(model.mlp.layers, model.mlp.n_layers, 1), A_SIZE, NEEDED, ONE_OR_MORE,                        \
      OWN_DEFAULT({"gpt2", "12"}, {"gpt2-medium", "24"}, {"gpt2-large", "36"}, {"gpt2-xl", "48"}),                   \
      DERIVED("needed; gpt2 12, gpt2-medium 24, gpt2-large 36, gpt2-xl 48"),                                         \
      ONLY("mlp transformer " LK_GPT2_KINDS),                                                                        \
      HELP("of an mlp widths: [inputs, hidden ..., outputs], images flattened as C, H, W; of a transformer blocks, " \
           "or [encoder, decoder]; of a gpt2 blocks"))

/* features: Sequential of [Conv2d, norm?, activation, pool] per entry of channels; flatten (C, H, W); classifier:
 * Sequential of [Linear, activation, Dropout] per entry of hidden and a last Linear.  Norms are none or batch. */
typedef struct lk_cnn_spec {
    int n_channels;        /* at least 1 */
    int64_t channels[LK_MAX_LAYERS];
    int64_t kernel;        /* odd side of each convolution, padding kernel / 2, stride 1 */
    lk_pool pool;          /* 2 x 2, stride 2, after each convolution */
    int n_hidden;          /* may be 0 */
    int64_t hidden[LK_MAX_LAYERS];
} lk_cnn_spec;

#define LK_CNN_KEYS(X)                                                                                               \
    X("channels", WHOLES(model.cnn.channels, model.cnn.n_channels, 1), A_SIZE, NEEDED, ONLY("cnn"),                  \
      HELP("of each convolution, which a norm, the activation and a 2 x 2 pool follow"))                             \
    X("kernel", WHOLE(model.cnn.kernel), A_SIZE, DEFAULT("3"), ONLY("cnn"), HELP("its height and width"))            \
    X("pool", WORD(model.cnn.pool, pool_words), DEFAULT("max"), ONLY("cnn"), HELP("the kind of the pools"))          \
    X("hidden", WHOLES(model.cnn.hidden, model.cnn.n_hidden, 0), A_SIZE, ONE_OR_MORE, ONLY("cnn transformer"),       \
      HELP("of a cnn widths of linear layers behind the last pool; of a transformer its width"))

/* torchvision's ResNets and VGGs, engine/nn/resnet.c and vgg.c. */
#define LK_STEM_LIST(X) X(LK_STEM_IMAGENET, "imagenet") X(LK_STEM_CIFAR, "cifar")
typedef enum lk_stem { LK_STEM_LIST(LK_WORD_ENUM) } lk_stem;

typedef struct lk_backbone_spec {
    lk_stem stem;
    bool zero_init_residual; /* of a resnet */
    bool init_weights;       /* of a vgg: torchvision's first values, else those of PyTorch's layers */
} lk_backbone_spec;

#define LK_BACKBONE_KEYS(X)                                                                                          \
    X("stem", WORD(model.backbone.stem, stem_words), DEFAULT("imagenet"), ONLY(LK_BACKBONE_KINDS),                   \
      HELP("cifar, for small images: a resnet begins with 3 x 3, stride 1 and no pool, a vgg pools to 1 x 1 and has "  \
           "512 hidden units for 4096"))                                                                             \
    X("zero_init_residual", TRUTH(model.backbone.zero_init_residual), DEFAULT("false"), ONLY("resnet*"),             \
      HELP("the last norm of each block begins with weight 0: the block as its shortcut"))                           \
    X("init_weights", TRUTH(model.backbone.init_weights), DEFAULT("true"), ONLY("vgg*"),                             \
      HELP("first values are torchvision's; false: PyTorch's default"))

/* torchvision's SwinTransformer: nn/swin.c. */
typedef struct lk_swin_spec {
    int64_t patch, window; /* pixels and tokens on a side */
    double stochastic_depth; /* of the last block, in [0, 1); it grows from 0 at the first.  Below 0: the word's own */
    double attention_dropout; /* in [0, 1) */
} lk_swin_spec;

#define LK_SWIN_KEYS(X)                                                                                              \
    X("patch", WHOLE(model.swin.patch), A_SIZE, DEFAULT("4"), ONLY(LK_SWIN_KINDS),                                   \
      HELP("pixels on a side that become one token; 2 suits images of 32 x 32"))                                     \
    X("window", WHOLE(model.swin.window), FROM_TO(1, 32), DEFAULT("7"), ONLY(LK_SWIN_KINDS),                         \
      HELP("tokens on a side that attend to each other"))                                                            \
    X("stochastic_depth", REAL(model.swin.stochastic_depth), FROM_BELOW(0, 1), DEFAULT("-1"),                        \
      DERIVED("0.2, 0.3, 0.5: t, s, b"), ONLY(LK_SWIN_KINDS),                                                        \
      HELP("chance that a sample skips the last block's branches; it grows from 0 at the first"))                    \
    X("attention_dropout", REAL(model.swin.attention_dropout), FROM_BELOW(0, 1), DEFAULT("0"), ONLY(LK_SWIN_KINDS),  \
      HELP("probability, of attention's probabilities"))

/* An encoder and a decoder for sequences of tokens, engine/nn/transformer.c. */
#define LK_TIE_LIST(X) X(LK_TIE_NONE, "none") X(LK_TIE_TARGET, "target") X(LK_TIE_ALL, "all")
typedef enum lk_tie { LK_TIE_LIST(LK_WORD_ENUM) } lk_tie;

typedef struct lk_transformer_spec {
    int64_t heads, ffn;    /* ffn: inner width of the feed-forward layers */
    bool bias;             /* of attention's four products */
    lk_tie tie;            /* target: the target's embedding is the weight of the logits; all: the source's too */
    int64_t source_vocabulary, target_vocabulary;
} lk_transformer_spec;

#define LK_TRANSFORMER_KEYS(X)                                                                                       \
    X("heads", WHOLE(model.transformer.heads), A_SIZE, NEEDED, ONLY("transformer " LK_GPT2_KINDS),                   \
      OWN_DEFAULT({"gpt2", "12"}, {"gpt2-medium", "16"}, {"gpt2-large", "20"}, {"gpt2-xl", "25"}),                   \
      DERIVED("needed; gpt2 12, gpt2-medium 16, gpt2-large 20, gpt2-xl 25"),                                         \
      HELP("of attention; they divide `hidden`, of a gpt2 `width`"))                                                 \
    X("ffn", WHOLE(model.transformer.ffn), A_SIZE, NEEDED, ONLY("transformer"),                                      \
      HELP("inner width of the feed-forward layers"))                                                                \
    X("bias", TRUTH(model.transformer.bias), DEFAULT("false"), ONLY("transformer"),                                  \
      HELP("of attention's products W_q, W_k, W_v, W_o"))                                                            \
    X("tie", WORD(model.transformer.tie, tie_words), DEFAULT("none"), OWN_DEFAULT({"gpt2*", "true"}),                \
      DERIVED("none; of a gpt2 true"), ONLY("transformer " LK_GPT2_KINDS),                                           \
      HELP("target: the target's embedding is the weight of the logits too; all, or true: and the source's, or the " \
           "only one"))                 \
    X("source_vocabulary", WHOLE(model.transformer.source_vocabulary), FROM_TO(0, 1 << 30), DEFAULT("0"),            \
      DERIVED("the data's"), ONLY("transformer"), HELP("tokens of the source"))                                      \
    X("target_vocabulary", WHOLE(model.transformer.target_vocabulary), FROM_TO(0, 1 << 30), DEFAULT("0"),            \
      DERIVED("the data's"), ONLY("transformer"), HELP("tokens of the target"))

/* GPT-2, engine/nn/gpt2.c: `layers`, `heads`, `width` and `tie` are in the places of the keys of other families. */
typedef struct lk_gpt2_spec {
    int64_t vocabulary;    /* tokens */
    int64_t context;       /* positions it learns */
} lk_gpt2_spec;

#define LK_GPT2_KEYS(X)                                                                                              \
    X("vocabulary", WHOLE(model.gpt2.vocabulary), FROM_TO(0, 1 << 30), DEFAULT("0"), DERIVED("the data's"),          \
      ONLY(LK_GPT2_KINDS), HELP("tokens; more than the data has are never seen"))                                    \
    X("context", WHOLE(model.gpt2.context), A_SIZE, DEFAULT("1024"), ONLY(LK_GPT2_KINDS),                            \
      HELP("positions that are learned: the longest sequence"))

/* A network of a file of its own (LK_PLUGIN in nn/nn.h), LK_MODEL_PLUGIN, and what it is told: "name=value". */
typedef struct lk_plugin_spec {
    const char *file;
    struct { char **word; unsigned n; } args;
} lk_plugin_spec;

#define LK_PLUGIN_KEYS(X)                                                                                            \
    X("plugin", TEXT(model.plugin.file), A_PATH, NEEDED, ONLY("plugin"),                                             \
      HELP("a shared object with a network of your own; `model: {plugin: FILE}` needs no kind"))                     \
    X("args", TEXTS(model.plugin.args), ONLY("plugin"), HELP("what it is told, `{width: 64}` or `[width=64]`"))

#define LK_FAMILY_KEYS(X) LK_VISION_KEYS(X) LK_MLP_KEYS(X) LK_CNN_KEYS(X) LK_BACKBONE_KEYS(X) LK_SWIN_KEYS(X) \
    LK_TRANSFORMER_KEYS(X) LK_GPT2_KEYS(X) LK_PLUGIN_KEYS(X)

#endif
