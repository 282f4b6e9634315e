/* Which lanes a worker owns, and short sums over all lanes in double. */
#include "dist/reduce/tree.h"
#include "dist/world/wait.h"

#include <assert.h>
#include <limits.h>

lk_status lk_world_lanes(const lk_world *world, int lanes, int *begin, int *end)
{
    int64_t from, to;

    if (lanes < 1) return LK_FAIL(LK_ERR_USAGE, "%d lanes: train.lanes must be 1 or more", lanes);
    if (world->size > lanes)
        return LK_FAIL(LK_ERR_USAGE, "%d workers for %d lanes: start at most %d workers, or set train.lanes=%d",
                       world->size, lanes, lanes, world->size);
    LK_TRY(lk_part_rows(lanes, world->place, world->size, &from, &to));
    *begin = (int)from;
    *end = (int)to;
    return LK_OK;
}

/* Everybody gets every lane's values and adds them up alone: they are few. */
typedef struct lane_table {
    double *all;         /* (lanes, n) */
    int *count, *place;  /* (size): doubles of each worker */
} lane_table;

static lk_status make_table(const lk_world *world, int lanes, size_t n, lane_table *t)
{
    const size_t n_doubles = (size_t)lanes * n;

    t->all = lk_alloc(n_doubles * sizeof *t->all);
    t->count = lk_alloc((size_t)world->size * sizeof *t->count);
    t->place = lk_alloc((size_t)world->size * sizeof *t->place);
    if (!t->all || !t->count || !t->place)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: sums of %d lanes of %zu numbers", lanes, n);
    for (int place = 0; place < world->size; place++) {
        const int r = world->rank_at[place];
        int64_t begin, end;
        LK_TRY(lk_part_rows(lanes, place, world->size, &begin, &end));
        t->count[r] = (int)((size_t)(end - begin) * n);
        t->place[r] = (int)((size_t)begin * n);
    }
    return LK_OK;
}

static lk_status sum_table(lk_world *world, int lanes, const double *mine, size_t n, lane_table *t, double *sum)
{
    LK_TRY(lk_world_agree(world, make_table(world, lanes, n, t)));
    LK_MPI_WAIT(world, MPI_Allgatherv(mine, t->count[world->rank], MPI_DOUBLE, t->all, t->count, t->place, MPI_DOUBLE,
                                      world->comm));
    lk_tree_sum_f64(t->all, lanes, n, sum);
    return LK_OK;
}

lk_status lk_world_sum_lanes(lk_world *world, int lanes, const double *mine, size_t n, double *sum)
{
    lane_table t = {0};
    int begin, end;

    LK_TRY(lk_world_lanes(world, lanes, &begin, &end));
    assert((size_t)lanes * n <= INT_MAX);
    if (world->size == 1) {
        lk_tree_sum_f64(mine, lanes, n, sum);
        return LK_OK;
    }
    const lk_status status = sum_table(world, lanes, mine, n, &t, sum);
    lk_free(&t.all);
    lk_free(&t.count);
    lk_free(&t.place);
    return status;
}
