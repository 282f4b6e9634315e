/*
 * The encoder-decoder Transformer for sequences of tokens, with the textbook's structure and names (Zhang et al., Dive
 * into Deep Learning, chapter 11.7):
 *
 *     encoder.embedding       rows times sqrt(hidden), sinusoids by position, dropout
 *     encoder.blks.block0     attention over the source's tokens, addnorm1, ffn, addnorm2
 *     decoder.blks.block0     attention1, causal, over the target's, addnorm1; attention2 over what the encoder made of
 *                             the source, addnorm2; ffn, addnorm3
 *     decoder.dense           logits
 *
 * addnorm is ln(x + dropout(branch(x))), or, with norm `pre`, x + dropout(branch(ln(x))), with encoder.ln and
 * decoder.ln behind the last blocks.  W_q, W_k, W_v, W_o have no bias unless asked for.  Linear layers begin as
 * xavier_uniform; embeddings as PyTorch's, and as normal(0, 1 / sqrt(hidden)) where a table makes the logits too.
 *
 * Programs: encode reads `source` and keeps attention2's keys and values in the cache; its output is the encoder's,
 * (N, L, hidden).  Decode reads `source_len` and the next tokens in `target_in`, keeps attention1's keys and values and
 * gives logits.  The others read a whole pair, both sides filled up to the lane's length; what is behind the source's
 * end is seen by nobody, what is behind the target's counts nothing in the loss.
 *
 * Source: Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762.
 */
#include "engine/nn/networks.h"

#include <math.h>
#include <string.h>

enum { SOURCE, SOURCE_LEN, TARGET_IN }; /* fields, in the order of sample() */

/* A network being built: what its parts share. */
typedef struct transformer {
    lk_builder *b;
    const lk_model_spec *spec;
    int64_t hidden;
    lk_fill weight;
    const int *in; /* the fields */
} transformer;

static int n_blocks(const lk_model_spec *spec, bool decoder)
{
    return (int)spec->mlp.layers[decoder && spec->mlp.n_layers > 1];
}

static bool is_pre(const transformer *t) { return t->spec->norm == LK_NORM_PRE; }

/* --------------------------------------------------------------- sublayers */

/* One of attention's four products. */
static lk_status project(transformer *t, const char *name, int x, int *y)
{
    return lk_layer_linear(t->b, name, x, &(lk_linear){.n_out = t->hidden, .no_bias = !t->spec->transformer.bias,
                                                       .weight = &t->weight}, y);
}

static lk_status attend(transformer *t, int q, int k, int v, bool causal, int *y)
{
    const lk_attention_heads heads = {.heads = t->spec->transformer.heads, .causal = causal,
                                      .dropout = t->spec->dropout, .lengths = causal ? NULL : &t->in[SOURCE_LEN]};

    LK_TRY(lk_layer_attention(t->b, "attention", q, k, v, &heads, &q));
    return project(t, "W_o", q, y);
}

static lk_status build_self_attention(transformer *t, const char *name, int x, bool causal, int *y)
{
    int q, k, v;

    LK_TRY(lk_enter(t->b, "%s", name));
    LK_TRY(project(t, "W_q", x, &q));
    LK_TRY(project(t, "W_k", x, &k));
    LK_TRY(project(t, "W_v", x, &v));
    if (lk_builder_mode(t->b) == LK_DECODE) {
        LK_TRY(lk_layer_append(t->b, "keys", k, &k));
        LK_TRY(lk_layer_append(t->b, "values", v, &v));
    }
    LK_TRY(attend(t, q, k, v, causal, y));
    lk_leave(t->b);
    return LK_OK;
}

/* Keys and values of what the encoder made: those of this lane, or those that encoding kept. */
static lk_status recall_source(transformer *t, int memory, int *k, int *v)
{
    if (lk_builder_mode(t->b) == LK_DECODE) {
        LK_TRY(lk_layer_recall(t->b, "keys", 1, &t->hidden, k));
        return lk_layer_recall(t->b, "values", 1, &t->hidden, v);
    }
    LK_TRY(project(t, "W_k", memory, k));
    return project(t, "W_v", memory, v);
}

static lk_status build_cross_attention(transformer *t, int x, int memory, int *y)
{
    int q, k, v;

    LK_TRY(lk_enter(t->b, "attention2"));
    LK_TRY(project(t, "W_q", x, &q));
    LK_TRY(recall_source(t, memory, &k, &v));
    LK_TRY(attend(t, q, k, v, false, y));
    lk_leave(t->b);
    return LK_OK;
}

static lk_status build_ffn(transformer *t, int x, int *y)
{
    LK_TRY(lk_enter(t->b, "ffn"));
    LK_TRY(lk_layer_linear(t->b, "dense1", x, &(lk_linear){.n_out = t->spec->transformer.ffn, .weight = &t->weight},
                           &x));
    LK_TRY(lk_layer_activation(t->b, "activation", t->spec->activation, x, &x));
    LK_TRY(lk_layer_linear(t->b, "dense2", x, &(lk_linear){.n_out = t->hidden, .weight = &t->weight}, y));
    lk_leave(t->b);
    return LK_OK;
}

static lk_status norm(transformer *t, int x, int *y) { return lk_layer_norm(t->b, "ln", LK_NORM_LAYER, x, y); }

/* What branch number `number` of a block reads. */
static lk_status before(transformer *t, int number, int x, int *y)
{
    *y = x;
    if (!is_pre(t)) return LK_OK;
    LK_TRY(lk_enter(t->b, "addnorm%d", number));
    LK_TRY(norm(t, x, y));
    lk_leave(t->b);
    return LK_OK;
}

/* And what becomes of x and what the branch gave. */
static lk_status after(transformer *t, int number, int x, int branch, int *y)
{
    LK_TRY(lk_enter(t->b, "addnorm%d", number));
    LK_TRY(lk_layer_dropout(t->b, "dropout", t->spec->dropout, branch, &branch));
    LK_TRY(lk_layer_add(t->b, "add", x, branch, y));
    if (!is_pre(t)) LK_TRY(norm(t, *y, y));
    lk_leave(t->b);
    return LK_OK;
}

/* ------------------------------------------------------------------ blocks */

static lk_status build_encoder_block(transformer *t, int x, int *y)
{
    int branch;

    LK_TRY(before(t, 1, x, &branch));
    LK_TRY(build_self_attention(t, "attention", branch, false, &branch));
    LK_TRY(after(t, 1, x, branch, &x));
    LK_TRY(before(t, 2, x, &branch));
    LK_TRY(build_ffn(t, branch, &branch));
    return after(t, 2, x, branch, y);
}

static lk_status build_decoder_block(transformer *t, int x, int memory, int *y)
{
    int branch;

    LK_TRY(before(t, 1, x, &branch));
    LK_TRY(build_self_attention(t, "attention1", branch, true, &branch));
    LK_TRY(after(t, 1, x, branch, &x));
    LK_TRY(before(t, 2, x, &branch));
    LK_TRY(build_cross_attention(t, branch, memory, &branch));
    LK_TRY(after(t, 2, x, branch, &x));
    LK_TRY(before(t, 3, x, &branch));
    LK_TRY(build_ffn(t, branch, &branch));
    return after(t, 3, x, branch, y);
}

/* Encoding keeps what decoding will look for. */
static lk_status keep_source(transformer *t, int memory)
{
    int k, v;

    LK_TRY(lk_enter(t->b, "attention2"));
    LK_TRY(project(t, "W_k", memory, &k));
    LK_TRY(project(t, "W_v", memory, &v));
    LK_TRY(lk_layer_append(t->b, "keys", k, &k));
    LK_TRY(lk_layer_append(t->b, "values", v, &v));
    lk_leave(t->b);
    return LK_OK;
}

/* ------------------------------------------------------------------- build */

/* Whose table the embedding of a side is, and that of the logits; NULL: their own. */
static const char *shared_table(const lk_model_spec *spec, bool logits)
{
    if (spec->transformer.tie == LK_TIE_ALL) return "encoder.embedding";
    return logits && spec->transformer.tie == LK_TIE_TARGET ? "decoder.embedding" : NULL;
}

static lk_status build_embedding(transformer *t, bool decoder, int *y)
{
    const lk_transformer_spec *of = &t->spec->transformer;
    const lk_fill small = lk_fill_normal(0.0, 1.0 / sqrt((double)t->hidden));
    const bool makes_logits = of->tie == LK_TIE_ALL || (decoder && of->tie == LK_TIE_TARGET);
    const lk_embedding embedding = {
        .n_rows = decoder ? of->target_vocabulary : of->source_vocabulary, .width = t->hidden,
        .scale = sqrt((double)t->hidden), .weight = makes_logits ? &small : NULL,
        .share = decoder ? shared_table(t->spec, false) : NULL,
    };
    int x;

    LK_TRY(lk_layer_embedding(t->b, "embedding", t->in[decoder ? TARGET_IN : SOURCE], &embedding, &x));
    LK_TRY(lk_layer_positions(t->b, "pos_encoding", x, 0, NULL, &x));
    return lk_layer_dropout(t->b, "dropout", t->spec->dropout, x, y);
}

static lk_status build_encoder(transformer *t, int *y)
{
    int x;

    LK_TRY(lk_enter(t->b, "encoder"));
    LK_TRY(build_embedding(t, false, &x));
    LK_TRY(lk_enter(t->b, "blks"));
    for (int i = 0; i < n_blocks(t->spec, false); i++) {
        LK_TRY(lk_enter(t->b, "block%d", i));
        LK_TRY(build_encoder_block(t, x, &x));
        lk_leave(t->b);
    }
    lk_leave(t->b);
    if (is_pre(t)) LK_TRY(norm(t, x, &x));
    lk_leave(t->b);
    *y = x;
    return LK_OK;
}

/* The blocks of the decoder, from x on; where encoding only keeps their keys, x stays. */
static lk_status build_decoder_blocks(transformer *t, int memory, int *x)
{
    LK_TRY(lk_enter(t->b, "blks"));
    for (int i = 0; i < n_blocks(t->spec, true); i++) {
        LK_TRY(lk_enter(t->b, "block%d", i));
        if (lk_builder_mode(t->b) == LK_ENCODE) LK_TRY(keep_source(t, memory));
        else LK_TRY(build_decoder_block(t, *x, memory, x));
        lk_leave(t->b);
    }
    lk_leave(t->b);
    return LK_OK;
}

static lk_status build_decoder(transformer *t, int memory, int *y)
{
    const lk_linear dense = {.n_out = t->spec->transformer.target_vocabulary, .weight = &t->weight,
                             .share = shared_table(t->spec, true)};
    int x;

    LK_TRY(lk_enter(t->b, "decoder"));
    LK_TRY(build_embedding(t, true, &x));
    LK_TRY(build_decoder_blocks(t, memory, &x));
    if (is_pre(t)) LK_TRY(norm(t, x, &x));
    LK_TRY(lk_layer_linear(t->b, "dense", x, &dense, y));
    lk_leave(t->b);
    return LK_OK;
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    transformer t = {.b = builder, .spec = spec, .hidden = spec->cnn.hidden[0],
                     .weight = lk_fill_xavier(LK_INIT_XAVIER_UNIFORM, 1.0), .in = in};
    const lk_mode mode = lk_builder_mode(builder);

    if (mode != LK_DECODE) LK_TRY(build_encoder(&t, y));
    if (mode != LK_ENCODE) return build_decoder(&t, *y, y);
    LK_TRY(lk_enter(builder, "decoder"));
    LK_TRY(build_decoder_blocks(&t, *y, y));
    lk_leave(builder);
    return LK_OK;
}

/* ---------------------------------------------------------------- the rest */

static lk_status check_sizes(const lk_model_spec *spec)
{
    const long long hidden = spec->cnn.n_hidden ? spec->cnn.hidden[0] : 0, heads = spec->transformer.heads;

    if (spec->cnn.n_hidden != 1 || hidden < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.hidden: a transformer wants one width, and got %d", spec->cnn.n_hidden);
    if (heads < 1 || hidden % heads)
        return LK_FAIL(LK_ERR_USAGE, "model.hidden: %lld does not divide into %lld heads", hidden, heads);
    if (spec->transformer.ffn < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.ffn: it is %lld and must be at least 1", (long long)spec->transformer.ffn);
    if (spec->mlp.n_layers < 1 || spec->mlp.n_layers > 2)
        return LK_FAIL(LK_ERR_USAGE, "model.layers: %d numbers; a transformer wants one, or one for the encoder and "
                       "one for the decoder", spec->mlp.n_layers);
    for (int i = 0; i < spec->mlp.n_layers; i++)
        if (spec->mlp.layers[i] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.layers: %lld blocks; it takes at least 1",
                           (long long)spec->mlp.layers[i]);
    return LK_OK;
}

static lk_status check(const lk_model_spec *spec)
{
    const lk_transformer_spec *of = &spec->transformer;

    LK_TRY(check_sizes(spec));
    if (spec->norm != LK_NORM_POST && spec->norm != LK_NORM_PRE)
        return LK_FAIL(LK_ERR_USAGE, "model.norm: a transformer has it post, behind each sum, or pre, before each "
                       "branch");
    if (spec->loss.kind != LK_LOSS_CROSS_ENTROPY)
        return LK_FAIL(LK_ERR_USAGE, "loss.kind: a transformer gives logits of tokens, which cross_entropy reads");
    if (of->tie == LK_TIE_ALL && of->source_vocabulary != of->target_vocabulary)
        return LK_FAIL(LK_ERR_USAGE, "model.tie: all tables are one, but the source has %lld tokens and the target "
                       "%lld; tie: target leaves the source its own", (long long)of->source_vocabulary,
                       (long long)of->target_vocabulary);
    return LK_OK;
}

static lk_status fit(lk_model_spec *spec, const lk_sample *data)
{
    lk_transformer_spec *of = &spec->transformer;

    LK_TRY(lk_fit_vocabulary("model.source_vocabulary", data, "source", &of->source_vocabulary));
    return lk_fit_vocabulary("model.target_vocabulary", data, "target_in", &of->target_vocabulary);
}

static bool is_complete(const lk_model_spec *spec)
{
    return spec->transformer.source_vocabulary > 0 && spec->transformer.target_vocabulary > 0;
}

/* Both sides of a pair are as long as the lane says. */
static void sample(const lk_model_spec *spec, lk_sample *out)
{
    const lk_transformer_spec *of = &spec->transformer;
    lk_field tokens = {.name = "source", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH},
                       .n_values = of->source_vocabulary};

    lk_sample_add(out, &tokens);
    lk_sample_add(out, &(lk_field){.name = "source_len", .dtype = LK_DTYPE_I32});
    tokens.n_values = of->target_vocabulary;
    strcpy(tokens.name, "target_in");
    lk_sample_add(out, &tokens);
    strcpy(tokens.name, "target");
    tokens.target = true;
    lk_sample_add(out, &tokens);
}

static const char *const blocks[] = {"encoder.blks.*", "decoder.blks.*", NULL};

const lk_network lk_network_transformer = {.word = "transformer", .fit = fit, .is_complete = is_complete,
                                           .check = check, .sample = sample, .build = build, .blocks = blocks};
