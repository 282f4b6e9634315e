/*
 * Batches by length.  A lane is as long as its longest sample, and what the others are filled up with is computed for
 * nothing; so samples of like length share a batch.
 *
 * The order of an epoch (shuffle.c) is cut into windows of some batches.  A window's samples are sorted by length,
 * those of equal length as the order has them, and cut into batches, which come in a keyed order of their own: so
 * lengths do not rise and fall with the windows, and every sample comes once.  It is a function of (seed, epoch,
 * position) as the order itself is.  The batch that is short is the epoch's last, as always: in its window the sorted
 * samples are cut to fit.  A larger window fills up less, and has fewer batches of mixed lengths.
 */
#include "io/data/by_length.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTER_OF_BATCHES = 2 }; /* shuffle.c keys other orders by 0 and 1 */

static lk_status take(int64_t **out, int64_t n)
{
    *out = calloc((size_t)n, sizeof **out);
    LK_TRY_ALLOC(*out, (size_t)n * sizeof **out, "a window of samples by length");
    return LK_OK;
}

lk_status lk_by_length_init(lk_by_length *b, int64_t n, int64_t batch, int64_t window, lk_length_fn *length,
                            const void *data, int64_t longest)
{
    const int64_t size = batch < n ? batch : n, batches = (n + size - 1) / size;

    *b = (lk_by_length){.n = n, .batch = size, .window = window < batches ? window : batches, .length = length,
                      .data = data, .longest = longest, .epoch = -1, .current = -1};
    LK_TRY(take(&b->sample, b->batch * b->window));
    LK_TRY(take(&b->sorted, b->batch * b->window));
    return take(&b->begin, longest + 2);
}

void lk_by_length_clear(lk_by_length *b)
{
    free(b->begin);
    free(b->sorted);
    free(b->sample);
    *b = (lk_by_length){0};
}

/* In which order the n batches of a window come. */
static void key_batches(const lk_shuffle *order, int64_t epoch, int64_t window, int64_t n, lk_permutation *out)
{
    const lk_philox_key key = lk_philox_key_new(order->seed, LK_PURPOSE_SHUFFLE, (uint32_t)epoch);
    const uint32_t counter[4] = {(uint32_t)window, (uint32_t)(window >> 32), COUNTER_OF_BATCHES, 0};
    uint32_t word[4];

    lk_philox(key, counter, word);
    lk_permutation_init(out, (uint64_t)word[0] << 32 | word[1], LK_PURPOSE_SHUFFLE, word[2], n);
}

/* The m samples from position `first` on, counted by length, then placed; so equal ones stay in their order. */
static void sort_window(lk_by_length *b, lk_shuffle *order, int64_t epoch, int64_t first, int64_t m)
{
    lk_shuffle_range(order, epoch, first, m, b->sample);
    memset(b->begin, 0, (size_t)(b->longest + 2) * sizeof *b->begin);
    for (int64_t i = 0; i < m; i++) b->begin[b->length(b->data, b->sample[i]) + 1]++;
    for (int64_t n = 1; n <= b->longest; n++) b->begin[n] += b->begin[n - 1];
    for (int64_t i = 0; i < m; i++) b->sorted[b->begin[b->length(b->data, b->sample[i])]++] = b->sample[i];
}

/* The m sorted samples are runs, run r behind run r - 1; which of them is the short one, that of the last batch, is
 * keyed too. */
static void deal(lk_by_length *b, const lk_shuffle *order, int64_t epoch, int64_t window, int64_t m)
{
    const int64_t n = (m + b->batch - 1) / b->batch, lack = n * b->batch - m;
    lk_permutation batches;
    int64_t *to = b->sample, last = n - 1;

    key_batches(order, epoch, window, n, &batches);
    if (order->shuffle) lk_permutation_range(&batches, n - 1, 1, &last);
    for (int64_t place = 0; place < n; place++) {
        int64_t run = place;

        if (order->shuffle) lk_permutation_range(&batches, place, 1, &run);
        const int64_t begin = run * b->batch - (run > last ? lack : 0), size = b->batch - (run == last ? lack : 0);
        for (int64_t i = 0; i < size; i++) *to++ = b->sorted[begin + i];
    }
}

static void enter_window(lk_by_length *b, lk_shuffle *order, int64_t epoch, int64_t window)
{
    const int64_t most = b->batch * b->window, first = window * most, m = b->n - first < most ? b->n - first : most;

    if (b->epoch == epoch && b->current == window) return;
    sort_window(b, order, epoch, first, m);
    deal(b, order, epoch, window, m);
    b->epoch = epoch;
    b->current = window;
}

void lk_by_length_range(lk_by_length *b, lk_shuffle *order, int64_t epoch, int64_t begin, int64_t count,
                        int64_t *sample)
{
    const int64_t most = b->batch * b->window;

    for (int64_t i = 0; i < count; i++) {
        enter_window(b, order, epoch, (begin + i) / most);
        sample[i] = b->sample[(begin + i) % most];
    }
}
