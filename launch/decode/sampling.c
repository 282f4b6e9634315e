/* Softmax in double over the tokens that are left, and one draw. */
#include "launch/decode/sampling.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate { float logit; int32_t token; double p; } candidate;

struct sampler {
    sampling_spec spec;
    size_t n;
    candidate *of;         /* (n), owned */
};

lk_status sampler_new(const sampling_spec *spec, size_t n_tokens, sampler **out)
{
    sampler *s = calloc(1, sizeof *s);

    *out = NULL;
    LK_TRY_ALLOC(s, sizeof *s);
    *s = (sampler){.spec = *spec, .n = n_tokens, .of = calloc(n_tokens, sizeof *s->of)};
    if (s->of) *out = s;
    else free(s);
    return *out ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu tokens to choose from", n_tokens);
}

void sampler_free(sampler **s)
{
    if (!s || !*s) return;
    free((*s)->of);
    free(*s);
    *s = NULL;
}

static int32_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;

    for (size_t t = 1; t < n; t++)
        if (logits[t] > logits[best]) best = t;
    return (int32_t)best;
}

static int more_likely(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

/* Sets p of the first n up to a factor; returns their sum. */
static double weigh(const sampler *s, size_t n, float largest)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        s->of[i].p = exp(((double)s->of[i].logit - (double)largest) / s->spec.temperature);
        sum += s->of[i].p;
    }
    return sum;
}

/* How many of the n likeliest have together top_p of their sum; *kept is what they have. */
static size_t count_top_p(const sampler *s, size_t n, double sum, double *kept)
{
    size_t count = 0;

    *kept = 0.0;
    while (count < n && (count == 0 || *kept < s->spec.top_p * sum)) *kept += s->of[count++].p;
    return count;
}

/* The token in whose share of [0, sum) `at` falls. */
static int32_t find(const sampler *s, size_t n, double at)
{
    size_t i = 0;

    for (; i + 1 < n && at >= s->of[i].p; i++) at -= s->of[i].p;
    return s->of[i].token;
}

int32_t sampler_draw(sampler *s, const float *logits, int64_t place)
{
    const sampling_spec *spec = &s->spec;
    const int32_t best = likeliest(logits, s->n);
    const bool sorts = spec->top_k > 0 || spec->top_p < 1.0;
    size_t n = s->n;

    if (spec->temperature == 0.0) return best;
    for (size_t t = 0; t < n; t++) s->of[t] = (candidate){.logit = logits[t], .token = (int32_t)t};
    if (sorts) qsort(s->of, n, sizeof *s->of, more_likely);
    if (spec->top_k > 0 && (size_t)spec->top_k < n) n = (size_t)spec->top_k;
    double sum = weigh(s, n, logits[best]);
    if (spec->top_p < 1.0) n = count_top_p(s, n, sum, &sum);
    return find(s, n, (double)lk_uniform(lk_philox_key_new(spec->seed, LK_PURPOSE_GENERATE, 0), (uint64_t)place) * sum);
}
