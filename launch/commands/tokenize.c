/* lockstep tokenize: texts as a file of tokens, which data.kind tokens maps; or the list of merges that makes tokens,
 * learned from texts. */
#include "launch/launch.h"

enum { LEAST_TOKENS = 256, MOST_TOKENS = 65535 }; /* all bytes; a token file's tokens are uint16, one the end of text */

static lk_status learn(const options *opt)
{
    lk_tokenized result;

    if (opt->merges) return LK_FAIL(LK_ERR_USAGE, "tokenize takes --learn N, or --merges FILE, not both");
    if (opt->learn < LEAST_TOKENS || opt->learn > MOST_TOKENS)
        return LK_FAIL(LK_ERR_USAGE, "--learn: %lld is not from %d (the bytes) to %d", (long long)opt->learn,
                       LEAST_TOKENS, MOST_TOKENS);
    LK_TRY(lk_learn_merges(opt->positional, (size_t)opt->n_positional, opt->pairs, opt->learn, opt->out, &result));
    printf("%s: %lld tokens from %lld bytes%s\n", opt->out, (long long)result.n_tokens, (long long)result.n_bytes,
           result.n_tokens < opt->learn ? ": no more of them stand side by side twice" : "");
    return LK_OK;
}

static lk_status tokenize(const options *opt)
{
    lk_tokenized result;

    if (!opt->merges)
        return LK_FAIL(LK_ERR_USAGE, "tokenize needs --merges FILE, GPT-2's vocab.bpe, or --learn N, which writes one");
    if (opt->pairs) return LK_FAIL(LK_ERR_USAGE, "--pairs is for tokenize --learn N");
    LK_TRY(lk_tokenize(opt->merges, opt->positional, (size_t)opt->n_positional, opt->out, &result));
    printf("%s: %lld tokens of %lld bytes\n", opt->out, (long long)result.n_tokens, (long long)result.n_bytes);
    return LK_OK;
}

lk_status command_tokenize(job *j, const options *opt)
{
    (void)j;
    if (opt->n_positional == 0) return LK_FAIL(LK_ERR_USAGE, "tokenize needs texts: lockstep tokenize FILE ... -o OUT");
    if (!opt->out) return LK_FAIL(LK_ERR_USAGE, "tokenize needs --out FILE, for what it makes");
    return opt->learn ? learn(opt) : tokenize(opt);
}
