/*
 * A network over running text: what comes after a token follows from that token alone.
 *
 *     model: {plugin: ./bigram.so, args: {vocabulary: 65, width: 16}}        data: {kind: tokens, ...}
 */
#include <lockstep/engine/nn/nn.h>

#include <string.h>

static const char *const args[] = {"vocabulary", "width", NULL};

static int64_t whole(const lk_model_spec *spec, const char *name, int64_t fallback)
{
    int64_t value = fallback;

    (void)lk_arg_whole(spec, name, fallback, 1, &value);
    return value;
}

static void sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_field tokens = {.name = "tokens", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH},
                       .n_values = whole(spec, "vocabulary", 256)};

    lk_sample_add(out, &tokens);
    strcpy(tokens.name, "target");
    tokens.target = true;
    lk_sample_add(out, &tokens);
}

static lk_status build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const int64_t vocabulary = whole(spec, "vocabulary", 256), width = whole(spec, "width", 8);
    int x;

    LK_TRY(lk_layer_embedding(b, "tokens", in[0], &(lk_embedding){.n_rows = vocabulary, .width = width}, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = vocabulary}, y);
}

static const lk_network network = {.word = "bigram", .args = args, .sample = sample, .build = build};
LK_PLUGIN(network)
