/*
 * The tree over lanes, as lists of additions.  Node (k, i) covers lanes [i * 2^k, (i+1) * 2^k) cut at `lanes` and is
 * the sum of its two children, or its only child.  Here a node is known by the lanes it covers.
 * Everything here is Local.
 */
#ifndef LK_DIST_TREE_H
#define LK_DIST_TREE_H

#include "engine/base/base.h"

enum { LK_TREE_DEPTH = 64 }; /* more nodes than any stack of them holds: two a level, and an int has 31 levels */

typedef struct lk_tree_node { int begin, end; } lk_tree_node;

/* What to add: buffer `into` += buffer `from`. */
typedef struct lk_tree_add { int into, from; } lk_tree_add;

/* True when left and right, neighbours, are the two children of one node. */
bool lk_tree_siblings(lk_tree_node left, lk_tree_node right, int lanes);
/* The largest nodes that tile lanes [begin, end), in order; returns how many. */
int lk_tree_roots(int lanes, int begin, int end, lk_tree_node roots[LK_TREE_DEPTH]);

/* A worker's own lanes [begin, end): which buffer each lane is computed into, and what is added when it is done.  At
 * the end the roots of the run are left over, root i in buffer i. */
typedef struct lk_tree_local {
    int begin, end;
    int n_buffers;
    int *buffer;       /* owned, (end - begin) */
    lk_tree_add *add;  /* owned; in this order */
    int *first_add;    /* owned, (end - begin + 1): lane begin + i is followed by add[first_add[i]] ... */
    int n_roots;
} lk_tree_local;
lk_status lk_tree_local_new(int lanes, int begin, int end, lk_tree_local *out);
void      lk_tree_local_clear(lk_tree_local *run);

/* All workers' roots (worker r has the lanes of lk_part_rows(lanes, r, workers)) and how they become one sum, which
 * ends in buffer 0; buffers are numbered through, worker by worker. */
typedef struct lk_tree_join {
    int workers;
    int *first;        /* owned, (workers + 1): buffers of worker r are first[r] .. first[r + 1] */
    lk_tree_add *add;  /* owned */
    int n_adds;        /* one less than buffers */
    bool perfect;      /* one root a worker, and the tree over workers is the full binary one */
} lk_tree_join;
lk_status lk_tree_join_new(int lanes, int workers, lk_tree_join *out);
void      lk_tree_join_clear(lk_tree_join *join);

/* Does the additions for elements [begin, end) of the buffers, a cache-sized piece at a time. */
void lk_tree_apply(const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin, size_t end);

/* The same, every sum rounded to bf16. */
void lk_tree_apply_bf16(const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin, size_t end);

/* The tree itself, for short sums: values are (lanes, n), sum is (n). */
void lk_tree_sum_f64(const double *values, int lanes, size_t n, double *sum);

#endif
