/* Sums over workers by MPI_Allreduce: in whatever order MPI chooses for these workers, so the bits depend on them. */
#include "dist/reduce/algorithm.h"

typedef struct mpi_way {
    lk_wire *wire;  /* borrowed */
    lk_memory memory;
    int n_roots;
} mpi_way;

static lk_status open_way(lk_wire *wire, lk_memory memory, int lanes, size_t max_elem, void **state)
{
    mpi_way *way = lk_alloc(sizeof *way);
    lk_tree_node roots[LK_TREE_DEPTH];
    int begin, end;

    (void)max_elem;
    *state = way;
    LK_TRY_ALLOC(way, sizeof *way);
    LK_TRY(lk_world_lanes(wire->world, lanes, &begin, &end));
    way->wire = wire;
    way->memory = memory;
    way->n_roots = lk_tree_roots(lanes, begin, end, roots);
    return lk_wire_reserve(wire, 1);
}

static void close_way(void *state) { lk_free(&state); }

static lk_status sum(void *state, float *const *root, lk_slice slice)
{
    mpi_way *way = state;
    const size_t n_elem = slice.end - slice.begin;

    for (int i = 1; i < way->n_roots; i++)
        LK_TRY(lk_memory_add(way->memory, root[0] + slice.begin, root[i] + slice.begin, n_elem));
    LK_TRY(lk_memory_settle(way->memory));
    return lk_wire_all_reduce(way->wire, root[0] + slice.begin, n_elem);
}

const lk_way lk_way_mpi = {false, open_way, close_way, sum};
