/* lockstep generate: a text that a run's network goes on with, as it is made. */
#include "launch/decode/generate.h"
#include "launch/launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 256 }; /* without --tokens */

/* Tokens on their way to standard output. */
static lk_status put(void *arg, int32_t token)
{
    const lk_codec *codec = arg;

    lk_codec_put(codec, token, stdout);
    return fflush(stdout) == 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "cannot write the text: %s", strerror(errno));
}

/* What is to be gone on with; without a prompt, what texts begin with.  *tokens is owned by the caller. */
static lk_status read_prompt(const job *j, const options *opt, int32_t **tokens, int64_t *n)
{
    const long long context = lk_model_context(j->model);
    const char *text = opt->prompt ? opt->prompt : "";

    LK_TRY(lk_codec_encode(j->codec, "--prompt", text, strlen(text), tokens, n));
    if (*n == 0) {
        *n = 1;
        return lk_codec_begin(j->codec, *tokens);
    }
    if (context > 0 && *n > context)
        return LK_FAIL(LK_ERR_USAGE, "--prompt: it has %lld tokens, and the network looks back at %lld "
                       "(model.context): give it the end of the text alone", (long long)*n, context);
    return LK_OK;
}

static lk_status check_top_p(const options *opt)
{
    if (!opt->top_p.given || (opt->top_p.value > 0.0 && opt->top_p.value <= 1.0)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "--top-p: %g is no share: above 0, at most 1", opt->top_p.value);
}

static sampling_spec sampling_of(const job *j, const options *opt)
{
    return (sampling_spec){.temperature = opt->temperature.given ? opt->temperature.value : 1.0, .top_k = opt->top_k,
                           .top_p = opt->top_p.given ? opt->top_p.value : 1.0,
                           .seed = opt->seed.given ? (uint64_t)opt->seed.value : j->recipe->run.seed};
}

/* The prompt, what follows, and a line's end. */
static lk_status write_text(job *j, const options *opt, const int32_t *prompt, int64_t n_prompt)
{
    const decoder_weights weights = {.params = j->params, .version = j->params_version};
    const generate_spec spec = {.sampling = sampling_of(j, opt), .prompt = prompt, .n_prompt = n_prompt,
                                .n_values = (size_t)lk_codec_n(j->codec),
                                .n_tokens = opt->tokens ? opt->tokens : TOKENS, .end = lk_codec_end(j->codec),
                                .put = put, .arg = j->codec};
    const int64_t context = lk_model_context(j->model);
    decoder *d;

    LK_TRY(decoder_new(j->engine, j->model, &weights, 1, context ? context : n_prompt + spec.n_tokens, &d));
    if (opt->prompt) fputs(opt->prompt, stdout);
    const lk_status status = generate(d, &spec);
    decoder_free(&d);
    putchar('\n');
    return status;
}

static lk_status generate_text(job *j, const options *opt)
{
    int32_t *prompt = NULL;
    int64_t n_prompt;

    LK_TRY(check_top_p(opt));
    lk_status status = read_prompt(j, opt, &prompt, &n_prompt);
    if (status == LK_OK) status = write_text(j, opt, prompt, n_prompt);
    free(prompt);
    return status;
}

/* The leader alone writes: a text is one sequence, made a token at a time. */
lk_status command_generate(job *j, const options *opt)
{
    LK_TRY(job_open_for_text(j, opt));
    return job_agree(j, j->leader ? generate_text(j, opt) : LK_OK);
}
