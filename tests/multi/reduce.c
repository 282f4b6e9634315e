/*
 * The reduction: the same bits as the tree, computed here over all lanes at once, for many counts of lanes, several and
 * single buckets, short and long ones, empty lanes; whole, and scattered into parts that are then gathered.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dist/reduce/reducer.h"
#include "tests/support/uneven_shards.h"

enum { MOST_LANES = 16, N_STEPS = 3 };

/* Lane l's gradient of element i in a step: sizes differ over 20 binary orders, so another order of adding shows. */
static float value(int step, int lane, size_t i)
{
    const lk_philox_key key = {{(uint32_t)step, (uint32_t)lane}};
    const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0};
    uint32_t word[4];

    lk_philox(key, counter, word);
    return ((float)word[0] / 4294967296.0f - 0.5f) * (float)(1 << (word[1] % 20));
}

static bool is_empty(int step, int lane) { return (step + lane) % 5 == 4; }

static float direct_sum(int step, int lanes, size_t element)
{
    float v[MOST_LANES];

    for (int l = 0; l < lanes; l++) v[l] = is_empty(step, l) ? 0 : value(step, l, element);
    for (int n = lanes; n > 1; n = (n + 1) / 2) {
        for (int i = 0; i < n / 2; i++) v[i] = v[2 * i] + v[2 * i + 1];
        if (n % 2) v[n / 2] = v[n - 1];
    }
    return v[0];
}

typedef struct shape {
    const char *text;
    size_t n_elem, tensor, bucket_bytes; /* tensors of this many elements */
    int lanes;
} shape;

/* As a backward pass does it: statistics first, then tensors from the last to the first, in uneven pieces. */
static void compute_lane(lk_reducer *reducer, const shape *s, int step, int lane)
{
    float *grads;

    MUST(lk_reducer_lane(reducer, lane, &grads));
    if (is_empty(step, lane)) {
        MUST(lk_reducer_empty_lane(reducer));
        return;
    }
    for (size_t end = s->n_elem; end > 0;) {
        const size_t piece = s->tensor + (end % 3) * 16, begin = end > piece ? end - piece : 0;
        for (size_t i = begin; i < end; i++) grads[i] = value(step, lane, i);
        lk_reducer_ready(reducer, begin, end);
        end = begin;
    }
}

/* Elements [begin, end) of a sum. */
static void compare(const shape *s, lk_reduction kind, int step, const float *sum, size_t begin, size_t end)
{
    size_t n_wrong = 0, first = 0;

    for (size_t i = begin; i < end; i++) {
        const float want = direct_sum(step, s->lanes, i);
        /* mpi adds in another order: of at most 16 terms below 2^19, each addition rounds by 2^-24 of at most 2^23. */
        const bool same = memcmp(&sum[i], &want, sizeof want) == 0;
        const bool right = kind == LK_REDUCE_TREE ? same : fabsf(sum[i] - want) <= 16 * 0.5f;
        if (!right && n_wrong++ == 0) first = i;
    }
    check(n_wrong == 0, "%s, %d lanes, step %d: %zu of %zu elements are wrong; the first, %zu: got %.9g, want %.9g",
          s->text, s->lanes, step, n_wrong, end - begin, first, (double)sum[first],
          (double)direct_sum(step, s->lanes, first));
}

static lk_range own_part(const lk_shards *shards, size_t bucket) { return uneven_part(shards, bucket, world->place); }

/* What each worker says of its parts comes to all; what is nobody's part stays. */
static void gather(const shape *s, const lk_shards *shards, size_t n_shared, lk_reducer *reducer)
{
    float *array = calloc(s->n_elem, sizeof *array);
    size_t n_wrong = 0;

    for (size_t i = n_shared; i < s->n_elem; i++) array[i] = -1;
    for (size_t b = 1; b < shards->n; b++)
        for (size_t i = own_part(shards, b).begin; i < own_part(shards, b).end; i++) array[i] = (float)(i + 1);
    MUST(lk_reducer_gather_plain(reducer, array));
    for (size_t i = 0; i < s->n_elem; i++) n_wrong += array[i] != (i < n_shared ? (float)(i + 1) : -1);
    check(n_wrong == 0, "%s, %d lanes: %zu of %zu gathered elements are wrong", s->text, s->lanes, n_wrong, s->n_elem);
    free(array);
}

static void compare_parts(const shape *s, const lk_shards *shards, size_t n_shared, int step, const float *sum)
{
    compare(s, LK_REDUCE_TREE, step, sum, n_shared, s->n_elem);
    for (size_t b = 1; b < shards->n; b++)
        compare(s, LK_REDUCE_TREE, step, sum, own_part(shards, b).begin, own_part(shards, b).end);
}

static void reduce(const shape *s, lk_reduction kind, bool sharded)
{
    const size_t n_cuts = (s->n_elem + s->tensor - 1) / s->tensor;
    size_t *cut = calloc(n_cuts, sizeof *cut);
    lk_shards shards = {0};
    lk_reducer *reducer;
    lk_reducer_stats stats;
    int begin, end;

    for (size_t i = 0; i < n_cuts; i++) cut[i] = i * s->tensor;
    const lk_arena_cuts cuts = {.cut = cut, .n = n_cuts, .n_elem = s->n_elem,
                                .alone = sharded ? cut[n_cuts - 1] : 0};
    if (sharded) shards = uneven_shards(cuts, s->bucket_bytes, lk_world_size(world));
    MUST(lk_reducer_new_plain(world, NULL, kind, s->lanes, cuts, s->bucket_bytes, sharded ? &shards : NULL, &reducer));
    MUST(lk_world_lanes(world, s->lanes, &begin, &end));

    for (int step = 0; step < N_STEPS; step++) {
        const float *sum;
        for (int lane = begin; lane < end; lane++) compute_lane(reducer, s, step, lane);
        MUST(lk_reducer_finish(reducer, &sum));
        if (sharded) compare_parts(s, &shards, cuts.alone, step, sum);
        else compare(s, kind, step, sum, 0, s->n_elem);
        if (sharded) gather(s, &shards, cuts.alone, reducer);
    }
    lk_reducer_get_stats(reducer, &stats);
    check_say("%-28s %-7s %2d lanes: %zu buckets, %lld bytes sent, %d steps compared\n", s->text,
              sharded ? "sharded" : kind == LK_REDUCE_TREE ? "tree" : "mpi", s->lanes, stats.n_buckets,
              (long long)stats.bytes_sent, N_STEPS);

    lk_reducer_free(&reducer);
    free(shards.border);
    free(cut);
}

/* The thread, and every pattern of messages, in every world. */
static void all_shapes(int lanes)
{
    const shape shapes[] = {
        {"one short bucket", 400, 64, 1 << 20, lanes},
        {"one element a worker or less", 3, 16, 1 << 20, lanes},
        {"one long bucket", 70000, 9984, 1 << 20, lanes},
        {"several short buckets", 2000, 160, 1024, lanes},
        {"several long buckets", 150000, 4992, 200000, lanes},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        reduce(&shapes[i], LK_REDUCE_TREE, false);
        reduce(&shapes[i], LK_REDUCE_MPI, false);
        if (shapes[i].n_elem > shapes[i].tensor && lk_world_size(world) > 1) reduce(&shapes[i], LK_REDUCE_TREE, true);
    }
}

static void what_cannot_be_is_an_error_on_all(void)
{
    const size_t start = 0;
    const lk_arena_cuts cuts = {.cut = &start, .n = 1, .n_elem = 16};
    lk_reducer *reducer;

    check(lk_reducer_new_plain(world, NULL, LK_REDUCE_NCCL, MOST_LANES, cuts, 64, NULL, &reducer) == LK_ERR_USAGE,
          "nccl is an error");
    check_say("nccl: '%s'\n", lk_error_message());
    if (lk_world_size(world) == 1) return;
    check(lk_reducer_new_plain(world, NULL, LK_REDUCE_TREE, lk_world_size(world) - 1, cuts, 64, NULL, &reducer) ==
              LK_ERR_USAGE,
          "more workers than lanes is an error");
    check_say("too few lanes: '%s'\n", lk_error_message());
}

int main(void)
{
    static const int lanes[] = {1, 2, 3, 4, 5, 7, 8, 11, 16};

    check_start(60);
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++)
        if (lanes[i] >= lk_world_size(world)) all_shapes(lanes[i]);
    what_cannot_be_is_an_error_on_all();
    return check_finish();
}
