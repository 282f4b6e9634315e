/* Sums over workers by MPI_Allreduce: in whatever order MPI chooses for these workers, so the bits depend on them. */
#include "dist/reduce/algorithm.h"

typedef struct mpi_state {
    lk_p2p *p2p;    /* borrowed */
    lk_mem_space space;
    int n_roots;
} mpi_state;

static lk_status open_algorithm(lk_p2p *p2p, lk_mem_space space, int lanes, const lk_lengths *longest,
                                void **state)
{
    mpi_state *algorithm = lk_alloc(sizeof *algorithm);
    lk_tree_node roots[LK_TREE_DEPTH];
    int begin, end;

    (void)longest;
    *state = algorithm;
    LK_TRY_ALLOC(algorithm, sizeof *algorithm);
    LK_TRY(lk_world_lanes(p2p->world, lanes, &begin, &end));
    algorithm->p2p = p2p;
    algorithm->space = space;
    algorithm->n_roots = lk_tree_roots(lanes, begin, end, roots);
    return lk_p2p_reserve(p2p, 1, 0);
}

static void close_algorithm(void *state) { lk_free(&state); }

static size_t nbytes(const void *state)
{
    (void)state; /* MPI's own buffers are not known */
    return 0;
}

static lk_status sum(void *state, float *const *root, lk_range slice)
{
    mpi_state *algorithm = state;
    const size_t n_elem = slice.end - slice.begin;

    for (int i = 1; i < algorithm->n_roots; i++)
        LK_TRY(lk_mem_space_add(algorithm->space, root[0] + slice.begin, root[i] + slice.begin, n_elem));
    LK_TRY(lk_mem_space_sync(algorithm->space));
    return lk_p2p_all_reduce(algorithm->p2p, root[0] + slice.begin, n_elem);
}

const lk_algorithm lk_reduce_mpi = {false, open_algorithm, close_algorithm, nbytes, sum, NULL, NULL};
