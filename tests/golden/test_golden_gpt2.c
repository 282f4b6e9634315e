/* GPT-2 gives PyTorch's logits from the same weights, and changes as its network does in four steps of AdamW, tied and
 * not. */
#include "tests/support/golden_steps.h"

static lk_model_spec read_spec(const json_t *spec)
{
    return (lk_model_spec){
        .kind = LK_MODEL_GPT2,
        .mlp = {1, {golden_whole(spec, "layers")}},
        .vision.width = golden_real(spec, "width"),
        .transformer = {.heads = golden_whole(spec, "heads"),
                        .tie = json_is_true(json_object_get(spec, "tie")) ? LK_TIE_ALL : LK_TIE_NONE},
        .gpt2 = {.vocabulary = golden_whole(spec, "vocabulary"), .context = golden_whole(spec, "context")},
        .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = GOLDEN_IGNORED},
    };
}

static void expect_case(const json_t *root, const json_t *values)
{
    const lk_model_spec spec = read_spec(json_object_get(values, "spec"));
    golden_tokens tokens;
    golden g;

    golden_open(&g, root, values, &spec, spec.gpt2.vocabulary);
    golden_fill_tokens("tokens", spec.gpt2.vocabulary, tokens);
    memcpy(g.field, (const void *[]){tokens, g.target}, 2 * sizeof *g.field);
    golden_expect(&g);
    golden_close(&g);
}

Test(gpt2, logits_and_changes_are_those_of_pytorch)
{
    json_t *root = golden_load("gpt2.json");
    json_t *values;
    size_t i;

    cr_assert_geq(json_array_size(json_object_get(root, "cases")), 3);
    json_array_foreach(json_object_get(root, "cases"), i, values) expect_case(root, values);
    json_decref(root);
}
