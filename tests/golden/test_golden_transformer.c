/*
 * The transformer gives the logits of the textbook's network in PyTorch from the same weights, and changes as it does
 * in four steps of AdamW, with padding on both sides, norms in either place, tables tied and not.
 */
#include "tests/support/golden_steps.h"

#define WORD(name, text, ...) text,
#define READ_WORD(spec, key, LIST) word((spec), (key), (const char *const[]){LIST(WORD)}, \
                                        sizeof(const char *const[]){LIST(WORD)} / sizeof(char *))

static int word(const json_t *spec, const char *key, const char *const *words, size_t n)
{
    const char *want = json_string_value(json_object_get(spec, key));

    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], want) == 0) return (int)i;
    cr_assert_fail("%s: unknown word %s", key, want);
    return 0;
}

static lk_model_spec read_spec(const json_t *spec)
{
    const json_t *layers = json_object_get(spec, "layers");

    return (lk_model_spec){
        .kind = LK_MODEL_TRANSFORMER,
        .mlp = {2, {json_integer_value(json_array_get(layers, 0)), json_integer_value(json_array_get(layers, 1))}},
        .cnn = {.n_hidden = 1, .hidden = {golden_whole(spec, "hidden")}},
        .transformer = {.heads = golden_whole(spec, "heads"), .ffn = golden_whole(spec, "ffn"),
                        .bias = json_is_true(json_object_get(spec, "bias")),
                        .tie = (lk_tie)READ_WORD(spec, "tie", LK_TIE_LIST),
                        .source_vocabulary = golden_whole(spec, "source_vocabulary"),
                        .target_vocabulary = golden_whole(spec, "target_vocabulary")},
        .norm = json_is_true(json_object_get(spec, "pre")) ? LK_NORM_PRE : LK_NORM_POST,
        .activation = (lk_activation)READ_WORD(spec, "activation", LK_ACTIVATION_LIST),
        .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = GOLDEN_IGNORED},
    };
}

static void expect_case(const json_t *root, const json_t *values)
{
    const lk_model_spec spec = read_spec(json_object_get(values, "spec"));
    golden_tokens source, target_in;
    int32_t source_len[GOLDEN_SAMPLES];
    golden g;

    golden_open(&g, root, values, &spec, spec.transformer.target_vocabulary);
    golden_fill_tokens("source", spec.transformer.source_vocabulary, source);
    golden_fill_tokens("target_in", spec.transformer.target_vocabulary, target_in);
    for (size_t s = 0; s < GOLDEN_SAMPLES; s++)
        source_len[s] = (int32_t)json_integer_value(json_array_get(json_object_get(root, "source_len"), s));
    memcpy(g.field, (const void *[]){source, source_len, target_in, g.target}, 4 * sizeof *g.field);
    golden_expect(&g);
    golden_close(&g);
}

Test(transformer, logits_and_changes_are_those_of_pytorch)
{
    json_t *root = golden_load("transformer.json");
    json_t *values;
    size_t i;

    cr_assert_geq(json_array_size(json_object_get(root, "cases")), 4);
    json_array_foreach(json_object_get(root, "cases"), i, values) expect_case(root, values);
    json_decref(root);
}
