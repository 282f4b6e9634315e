/* An optimizer's inside, for the files of engine/optim/ alone. */
#ifndef LK_OPTIM_IMPL_H
#define LK_OPTIM_IMPL_H

#include "engine/backend.h"

enum { LK_MOST_STATES = 3 };

typedef struct lk_piece {
    size_t param, grad, state, n_elem;
    int group;
    int64_t joined; /* updates of the optimizer before the first of these elements */
} lk_piece;

struct lk_optimizer {
    const lk_trainable *trainable; /* borrowed */
    lk_engine *engine;         /* borrowed, as its backend and that one's state */
    const lk_backend *backend;
    void *ctx;
    lk_optimizer_spec *specs;  /* owned, one a group */
    lk_optimizer_spec common;  /* what all groups share: kind, amsgrad, clip_norm, clip_value */
    int n_states;
    lk_range *own;             /* owned, (n_own) ascending: the gradients whose states are held and which it updates */
    size_t n_own, n_held;      /* ranges, and elements in them */
    float *state[LK_MOST_STATES]; /* owned, in the backend's memory; (n_held) each, the own ranges behind each other */
    int64_t updates;           /* done by this optimizer */
    int64_t *joined;           /* owned, by tensor of the model */
    lk_piece *pieces;          /* owned; what an update visits, in order, room for every tensor
                                * and range */
    size_t n_pieces;
    bool pieces_stale;         /* a step was set since they were made */
    lk_squares *squares;       /* owned; of the last gradients, a chunk of the set's grid each */
};

#endif
