/* lockstep tokenize: texts as a file of tokens, which data.kind tokens maps. */
#include "launch/launch.h"

lk_status command_tokenize(job *j, const options *opt)
{
    int64_t n_tokens, n_bytes;

    (void)j;
    if (opt->n_positional == 0) return LK_FAIL(LK_ERR_USAGE, "tokenize needs texts: lockstep tokenize FILE ... -o OUT");
    if (!opt->merges) return LK_FAIL(LK_ERR_USAGE, "tokenize needs --merges FILE, GPT-2's vocab.bpe");
    if (!opt->out) return LK_FAIL(LK_ERR_USAGE, "tokenize needs --out FILE, for the tokens");
    LK_TRY(lk_tokenize(opt->merges, opt->positional, (size_t)opt->n_positional, opt->out, &n_tokens, &n_bytes));
    printf("%s: %lld tokens of %lld bytes\n", opt->out, (long long)n_tokens, (long long)n_bytes);
    return LK_OK;
}
