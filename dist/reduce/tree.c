/*
 * The tree over lanes.
 *
 * Everything is made by one stack: push nodes from left to right, and while the two on top are siblings, replace them
 * by their parent.  Over a worker's lanes this leaves the largest nodes that it can add up alone; over the roots of all
 * workers it leaves the whole tree.  The additions it makes on the way are written down once and followed in every
 * step.
 */
#include "dist/reduce/tree.h"

#include "dist/reduce/bf16.h"

#include <assert.h>

enum { PIECE_ELEM = 4096 }; /* 16 kB: a few buffers' pieces stay in the first caches */

bool lk_tree_siblings(lk_tree_node left, lk_tree_node right, int lanes)
{
    const int64_t half = right.begin - left.begin; /* a left child is never cut: the right one has lanes */

    if ((half & (half - 1)) != 0 || left.begin % (2 * half) != 0) return false;
    const int64_t end = left.begin + 2 * half;
    return right.end == (end < lanes ? end : lanes);
}

/* --------------------------------------------------------------- the stack */

typedef struct stack {
    int lanes, n;
    lk_tree_node node[LK_TREE_DEPTH];
    int buffer[LK_TREE_DEPTH]; /* where each node's sum is */
} stack;

/* Pushes a node; writes the additions that follow to `add` (NULL: counts only) and returns how many. */
static int push(stack *s, lk_tree_node node, int buffer, lk_tree_add *add)
{
    int n_adds = 0;

    assert(s->n < LK_TREE_DEPTH);
    s->node[s->n] = node;
    s->buffer[s->n++] = buffer;
    while (s->n > 1 && lk_tree_siblings(s->node[s->n - 2], s->node[s->n - 1], s->lanes)) {
        s->n--;
        s->node[s->n - 1].end = s->node[s->n].end;
        if (add) add[n_adds] = (lk_tree_add){s->buffer[s->n - 1], s->buffer[s->n]};
        n_adds++;
    }
    return n_adds;
}

int lk_tree_roots(int lanes, int begin, int end, lk_tree_node roots[LK_TREE_DEPTH])
{
    stack s = {.lanes = lanes};

    for (int lane = begin; lane < end; lane++) push(&s, (lk_tree_node){lane, lane + 1}, 0, NULL);
    for (int i = 0; i < s.n; i++) roots[i] = s.node[i];
    return s.n;
}

/* ------------------------------------------------------------ within a worker */

lk_status lk_tree_local_new(int lanes, int begin, int end, lk_tree_local *out)
{
    const size_t n = (size_t)(end - begin);
    stack s = {.lanes = lanes};
    int n_adds = 0;

    *out = (lk_tree_local){.begin = begin, .end = end};
    out->buffer = lk_alloc(n * sizeof *out->buffer);
    out->add = lk_alloc(n * sizeof *out->add);
    out->first_add = lk_alloc((n + 1) * sizeof *out->first_add);
    if (!out->buffer || !out->add || !out->first_add) {
        lk_tree_local_clear(out);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the tree over %zu lanes", n);
    }

    for (size_t i = 0; i < n; i++) {
        const int lane = begin + (int)i;
        const int buffer = s.n; /* node j of the stack is in buffer j: a merge frees the last one */

        out->buffer[i] = buffer;
        if (buffer >= out->n_buffers) out->n_buffers = buffer + 1;
        n_adds += push(&s, (lk_tree_node){lane, lane + 1}, buffer, out->add + n_adds);
        out->first_add[i + 1] = n_adds;
    }
    out->n_roots = s.n;
    return LK_OK;
}

void lk_tree_local_clear(lk_tree_local *run)
{
    lk_free(&run->buffer);
    lk_free(&run->add);
    lk_free(&run->first_add);
}

/* ------------------------------------------------------------- across workers */

/* The workers' roots, one each: at every distance d they must be siblings in pairs. */
static bool is_perfect(lk_tree_node *root, int workers, int lanes)
{
    if ((workers & (workers - 1)) != 0) return false;
    for (int d = 1; d < workers; d *= 2)
        for (int r = 0; r < workers; r += 2 * d) {
            if (!lk_tree_siblings(root[r], root[r + d], lanes)) return false;
            root[r].end = root[r + d].end;
        }
    return true;
}

/* Every worker's roots, written behind each other (roots NULL: counts only). */
static lk_status collect_roots(int lanes, int workers, int *first, lk_tree_node *roots)
{
    lk_tree_node mine[LK_TREE_DEPTH];

    for (int r = 0; r < workers; r++) {
        int64_t begin, end;

        LK_TRY(lk_part_rows(lanes, r, workers, &begin, &end));
        const int n = lk_tree_roots(lanes, (int)begin, (int)end, mine);
        first[r + 1] = first[r] + n;
        for (int i = 0; roots && i < n; i++) roots[first[r] + i] = mine[i];
    }
    return LK_OK;
}

static lk_status join_roots(int lanes, lk_tree_join *join, lk_tree_node *roots)
{
    const int n = join->first[join->workers];
    stack s = {.lanes = lanes};

    LK_TRY(collect_roots(lanes, join->workers, join->first, roots));
    for (int i = 0; i < n; i++) join->n_adds += push(&s, roots[i], i, join->add + join->n_adds);
    assert(s.n == 1 && join->n_adds == n - 1);
    join->perfect = n == join->workers && is_perfect(roots, join->workers, lanes);
    return LK_OK;
}

lk_status lk_tree_join_new(int lanes, int workers, lk_tree_join *out)
{
    *out = (lk_tree_join){.workers = workers};
    out->first = lk_alloc(((size_t)workers + 1) * sizeof *out->first);
    LK_TRY_ALLOC(out->first, ((size_t)workers + 1) * sizeof *out->first);

    lk_status status = collect_roots(lanes, workers, out->first, NULL);
    const size_t n = status == LK_OK ? (size_t)out->first[workers] : 0;
    lk_tree_node *roots = lk_alloc(n * sizeof *roots);
    out->add = lk_alloc(n * sizeof *out->add);
    if (!roots || !out->add) status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the tree over %d workers", workers);
    if (status == LK_OK) status = join_roots(lanes, out, roots);
    lk_free(&roots);
    if (status != LK_OK) lk_tree_join_clear(out);
    return status;
}

void lk_tree_join_clear(lk_tree_join *join)
{
    lk_free(&join->first);
    lk_free(&join->add);
}

/* -------------------------------------------------------------------- adding */

void lk_tree_apply(const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i += PIECE_ELEM) {
        const size_t n = end - i < PIECE_ELEM ? end - i : PIECE_ELEM;
        for (int a = 0; a < n_adds; a++) lk_add_f32(buffer[add[a].into] + i, buffer[add[a].from] + i, n);
    }
}

void lk_tree_apply_bf16(const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i += PIECE_ELEM) {
        const size_t n = end - i < PIECE_ELEM ? end - i : PIECE_ELEM;
        for (int a = 0; a < n_adds; a++) {
            lk_add_f32(buffer[add[a].into] + i, buffer[add[a].from] + i, n);
            lk_bf16_round(buffer[add[a].into] + i, n);
        }
    }
}

/* Element i of the node that covers `width` lanes from `begin`, cut at lanes. */
static double node_value(const double *values, int64_t begin, int64_t width, int lanes, size_t n, size_t i)
{
    if (width == 1) return values[(size_t)begin * n + i];

    const int64_t half = width / 2;
    const double left = node_value(values, begin, half, lanes, n, i);
    return begin + half < lanes ? left + node_value(values, begin + half, half, lanes, n, i) : left;
}

void lk_tree_sum_f64(const double *values, int lanes, size_t n, double *sum)
{
    int64_t width = 1;

    while (width < lanes) width *= 2;
    for (size_t i = 0; i < n; i++) sum[i] = node_value(values, 0, width, lanes, n, i);
}
