/*
 * Weights that no training leaves behind: not finite, or a batch norm's variance below 0.  They are taken as they are,
 * with a word on the terminal, so that who reads `nan` behind it knows where it comes from.
 */
#include "launch/launch.h"

#include <math.h>
#include <string.h>

static bool is_variance(const char *name)
{
    static const char ending[] = "running_var";
    const size_t n = strlen(name), m = sizeof ending - 1;

    return n >= m && strcmp(name + n - m, ending) == 0;
}

static void note(odd_tensors *tensors, const char *name)
{
    if (tensors->n < ODD_MOST_NAMED) tensors->named[tensors->n] = name;
    tensors->n++;
}

void odd_look(odd_weights *odd, const char *name, const float *values, size_t n)
{
    bool finite = true, below = false;

    for (size_t i = 0; i < n; i++) {
        finite &= isfinite(values[i]) != 0;
        below |= values[i] < 0.0f;
    }
    if (!finite) note(&odd->nonfinite, name);
    if (below && is_variance(name)) note(&odd->below, name);
}

/* "lockstep: warning: w.safetensors: 6 tensors hold values that are not finite: conv1.weight, ... and 2 more" */
static void say(const char *from, const odd_tensors *tensors, const char *what)
{
    if (tensors->n == 0) return;
    fprintf(stderr, "lockstep: warning: %s: %zu tensor%s %s: ", from, tensors->n, plural((int64_t)tensors->n), what);
    for (size_t i = 0; i < tensors->n && i < ODD_MOST_NAMED; i++)
        fprintf(stderr, "%s%s", i ? ", " : "", tensors->named[i]);
    if (tensors->n > ODD_MOST_NAMED) fprintf(stderr, " and %zu more", tensors->n - ODD_MOST_NAMED);
    fputc('\n', stderr);
}

void odd_say(const odd_weights *odd, const char *from)
{
    say(from, &odd->nonfinite, "with values that are not finite");
    say(from, &odd->below, "with a variance below 0");
}

void odd_say_of_model(const lk_model *model, const float *host, const char *from)
{
    odd_weights odd = {0};

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);

        odd_look(&odd, info->name, host + info->offset, info->n_elem);
    }
    odd_say(&odd, from);
}
