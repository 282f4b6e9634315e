/* A text that goes on: each token is that of the whole text before it, read anew; behind the context's end of its
 * second half; it ends where it is told to. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "launch/decode/generate.h"

enum { CONTEXT = 6, TOKENS = 9, MOST = 20 };

typedef struct writer {
    lk_model *model;
    lk_engine *engine;
    float *params;
    decoder *d;
    int32_t made[MOST];
    int64_t n_made;
    lk_status answer; /* of put() */
} writer;

static writer writer_new(void)
{
    const lk_model_spec spec = {.kind = LK_MODEL_GPT2, .mlp = {1, {2}}, .vision.width = 8, .transformer = {.heads = 2},
                                .gpt2 = {.vocabulary = TOKENS, .context = CONTEXT}, .init = "normal(std=0.4)",
                                .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .threads = 1, .seed = 3};
    writer w = {.answer = LK_OK};

    cr_assert_eq(lk_model_new(&spec, &w.model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, w.model, &w.engine), LK_OK, "%s", lk_error_message());
    w.params = lk_alloc(lk_model_n_elem(w.model) * sizeof(float));
    lk_model_init(w.model, 5, w.params);
    const decoder_weights weights = {.params = w.params, .version = 1};
    cr_assert_eq(decoder_new(w.engine, w.model, &weights, 1, CONTEXT, &w.d), LK_OK, "%s", lk_error_message());
    return w;
}

static void writer_free(writer *w)
{
    decoder_free(&w->d);
    lk_free(&w->params);
    lk_engine_free(&w->engine);
    lk_model_free(&w->model);
}

static lk_status put(void *arg, int32_t token)
{
    writer *w = arg;

    cr_assert_lt(w->n_made, MOST);
    w->made[w->n_made++] = token;
    return w->answer;
}

static generate_spec spec_of(writer *w, const int32_t *prompt, int64_t n_prompt, int64_t n_tokens)
{
    return (generate_spec){.sampling = {.temperature = 1.5, .top_p = 0.9, .seed = 7}, .prompt = prompt,
                           .n_prompt = n_prompt, .n_values = TOKENS, .n_tokens = n_tokens, .end = -1, .put = put,
                           .arg = w};
}

/* What comes behind these tokens, which are read at once. */
static int32_t next(writer *w, const sampling_spec *sampling, const int32_t *tokens, int64_t n, int64_t place)
{
    float logits[CONTEXT][TOKENS];
    sampler *s;
    lk_lane lane = {.mode = LK_PREDICT, .n = 1, .length = n, .field = {tokens}, .params = w->params,
                    .params_version = 1, .output = &logits[0][0]};

    cr_assert_eq(lk_engine_run(w->engine, &lane), LK_OK, "%s", lk_error_message());
    cr_assert_eq(sampler_new(sampling, TOKENS, &s), LK_OK);
    const int32_t token = sampler_draw(s, logits[n - 1], place);
    sampler_free(&s);
    return token;
}

Test(generate, each_token_follows_from_what_is_before_it)
{
    for (int64_t n_prompt = 1; n_prompt <= CONTEXT; n_prompt++) {
        const int32_t prompt[CONTEXT] = {1, 4, 2, 8, 5, 7};
        writer w = writer_new();
        const generate_spec spec = spec_of(&w, prompt, n_prompt, MOST);
        int32_t read[CONTEXT + 1];
        int64_t n = n_prompt;

        cr_assert_eq(generate(w.d, &spec), LK_OK, "%s", lk_error_message());
        cr_expect_eq(w.n_made, MOST, "%d tokens, want %d", (int)w.n_made, MOST);
        memcpy(read, prompt, (size_t)n * sizeof *read);
        for (int64_t i = 0; i < w.n_made; i++) {
            const int32_t want = next(&w, &spec.sampling, read, n, i);

            cr_expect_eq(w.made[i], want, "prompt of %d, token %d: %d, the text read anew says %d", (int)n_prompt,
                         (int)i, w.made[i], want);
            if (n == CONTEXT) { /* its second half is read again */
                memmove(read, read + n - CONTEXT / 2, CONTEXT / 2 * sizeof *read);
                n = CONTEXT / 2;
            }
            read[n++] = w.made[i];
        }
        writer_free(&w);
    }
}

Test(generate, a_text_ends_with_its_end)
{
    const int32_t prompt[] = {1};
    writer w = writer_new();
    generate_spec spec = spec_of(&w, prompt, 1, MOST);

    cr_assert_eq(generate(w.d, &spec), LK_OK);
    int64_t first = 1;
    while (first < MOST && w.made[first] == w.made[0]) first++;
    cr_assert_lt(first, MOST, "one token alone is made");
    spec.end = w.made[first];
    w.n_made = 0;
    decoder_restart(w.d);
    cr_assert_eq(generate(w.d, &spec), LK_OK);
    cr_expect_eq(w.n_made, first, "%d tokens before the end, want %d", (int)w.n_made, (int)first);
    writer_free(&w);
}

/* A network may have more than there are: they are never drawn. */
Test(generate, tokens_that_are_none_do_not_come)
{
    const int32_t prompt[] = {1};
    writer w = writer_new();
    generate_spec spec = spec_of(&w, prompt, 1, MOST);

    spec.n_values = 2;
    spec.sampling.top_p = 1.0;
    cr_assert_eq(generate(w.d, &spec), LK_OK);
    for (int64_t i = 0; i < w.n_made; i++) cr_expect_lt(w.made[i], 2, "token %d: %d", (int)i, w.made[i]);
    writer_free(&w);
}

Test(generate, who_cannot_write_ends_it)
{
    const int32_t prompt[] = {1};
    writer w = writer_new();
    const generate_spec spec = spec_of(&w, prompt, 1, MOST);

    w.answer = LK_ERR_SYSTEM;
    cr_expect_eq(generate(w.d, &spec), LK_ERR_SYSTEM);
    cr_expect_eq(w.n_made, 1, "%d tokens after a failure", (int)w.n_made);
    writer_free(&w);
}
