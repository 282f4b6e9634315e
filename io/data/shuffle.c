/*
 * The order of samples in an epoch, a pure function of (seed, epoch, position): so any worker finds its own
 * samples alone, and a resumed run starts in the middle.
 *
 * Data in memory have one keyed bijection over all samples.  Data larger than memory are read in blocks of
 * neighbouring samples, and shuffled in a bounded way: the blocks in a keyed order, cut into windows of `window`
 * blocks; inside a window, all its samples by another bijection.  Whoever goes through the epoch reads each block
 * once and holds one window, and the next one on its way.  The last block may be shorter; wherever the order puts
 * it, positions behind it move up.
 */
#include "io/data/shuffle.h"

#include <stdlib.h>

static int64_t n_blocks(const lk_shuffle *s) { return (s->n + s->block - 1) / s->block; }
static int64_t n_windows(const lk_shuffle *s) { return (n_blocks(s) + s->window - 1) / s->window; }
/* What the last block lacks of a whole one. */
static int64_t lacking(const lk_shuffle *s) { return n_blocks(s) * s->block - s->n; }

lk_status lk_shuffle_init(lk_shuffle *s, int64_t n, bool shuffle, uint64_t seed, int64_t block, int64_t window)
{
    *s = (lk_shuffle){.seed = seed, .n = n, .shuffle = shuffle, .block = block, .window = window,
                      .epoch = -1, .current = -1};
    if (!shuffle || block == 0) return LK_OK;
    if (s->window > n_blocks(s)) s->window = n_blocks(s);
    s->blocks = calloc((size_t)s->window, sizeof *s->blocks);
    LK_TRY_ALLOC(s->blocks, (size_t)s->window * sizeof *s->blocks);
    return LK_OK;
}

void lk_shuffle_clear(lk_shuffle *s)
{
    free(s->blocks);
    s->blocks = NULL;
}

/* Finds where the order of blocks puts the shorter one. */
static int64_t place_of_last(const lk_shuffle *s)
{
    const int64_t blocks = n_blocks(s);

    for (int64_t place = 0; lacking(s) > 0 && place < blocks; place++) {
        int64_t block;
        lk_permutation_range(&s->order, place, 1, &block);
        if (block == blocks - 1) return place;
    }
    return -1;
}

static void enter_epoch(lk_shuffle *s, int64_t epoch)
{
    if (s->epoch == epoch) return;
    s->epoch = epoch;
    s->current = -1;
    lk_permutation_init(&s->order, s->seed, LK_PURPOSE_SHUFFLE, (uint32_t)epoch, s->block ? n_blocks(s) : s->n);
    s->short_at = s->block ? place_of_last(s) : -1;
}

/* First position of window w. */
static int64_t window_begin(const lk_shuffle *s, int64_t w)
{
    const int64_t whole = w * s->window * s->block;

    if (w >= n_windows(s)) return s->n;
    return s->short_at >= 0 && w * s->window > s->short_at ? whole - lacking(s) : whole;
}

static int64_t window_of(const lk_shuffle *s, int64_t position)
{
    const int64_t w = position / (s->window * s->block);

    return w + 1 < n_windows(s) && position >= window_begin(s, w + 1) ? w + 1 : w;
}

/* Block number i of window w, in the epoch's order. */
static int64_t block_at(const lk_shuffle *s, int64_t w, int64_t i)
{
    int64_t block;

    lk_permutation_range(&s->order, w * s->window + i, 1, &block);
    return block;
}

static int64_t window_blocks(const lk_shuffle *s, int64_t w)
{
    const int64_t left = n_blocks(s) - w * s->window;

    return left < s->window ? left : s->window;
}

static void enter_window(lk_shuffle *s, int64_t w)
{
    const lk_philox_key key = lk_philox_key_new(s->seed, LK_PURPOSE_SHUFFLE, (uint32_t)s->epoch);
    const uint32_t counter[4] = {(uint32_t)w, (uint32_t)(w >> 32), 1, 0}; /* 1: none that keys the blocks' order */
    uint32_t word[4];

    if (s->current == w) return;
    s->current = w;
    lk_philox(key, counter, word);
    lk_permutation_init(&s->inside, (uint64_t)word[0] << 32 | word[1], LK_PURPOSE_SHUFFLE, word[2],
                        window_begin(s, w + 1) - window_begin(s, w));
    for (int64_t i = 0; i < window_blocks(s, w); i++) s->blocks[i] = block_at(s, w, i);
}

/* The sample at a place of the current window, whose blocks lie side by side. */
static int64_t sample_at(const lk_shuffle *s, int64_t place)
{
    const int64_t short_at = s->short_at - s->current * s->window, lack = lacking(s);

    if (s->short_at >= 0 && short_at >= 0 && short_at < s->window && place >= (short_at + 1) * s->block - lack)
        place += lack;
    return s->blocks[place / s->block] * s->block + place % s->block;
}

void lk_shuffle_range(lk_shuffle *s, int64_t epoch, int64_t begin, int64_t count, int64_t *sample)
{
    for (int64_t i = 0; !s->shuffle && i < count; i++) sample[i] = begin + i;
    if (!s->shuffle) return;
    enter_epoch(s, epoch);
    if (s->block == 0) {
        lk_permutation_range(&s->order, begin, count, sample);
        return;
    }
    for (int64_t done = 0; done < count;) {
        const int64_t w = window_of(s, begin + done), first = begin + done - window_begin(s, w);
        const int64_t left = window_begin(s, w + 1) - begin - done, n = left < count - done ? left : count - done;
        enter_window(s, w);
        lk_permutation_range(&s->inside, first, n, sample + done);
        for (int64_t i = done; i < done + n; i++) sample[i] = sample_at(s, sample[i]);
        done += n;
    }
}

/* Block i of the next window is due when as large a part of this one has been used. */
int64_t lk_shuffle_ahead(lk_shuffle *s, int64_t epoch, int64_t begin, int64_t count, int64_t most, int64_t *block)
{
    int64_t n = 0;

    if (!s->shuffle || s->block == 0) return 0;
    enter_epoch(s, epoch);
    const int64_t w = window_of(s, begin), first = window_begin(s, w), size = window_begin(s, w + 1) - first;
    if (w + 1 >= n_windows(s)) return 0;
    const int64_t end = begin + count - first < size ? begin + count - first : size, blocks = window_blocks(s, w + 1);
    for (int64_t i = (begin - first) * blocks / size; i < end * blocks / size && n < most; i++)
        block[n++] = block_at(s, w + 1, i);
    return n;
}
