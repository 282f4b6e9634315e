/*
 * Who completes which part of the gradient arena.
 *
 * The arena is cut at its tensors; a part reaches to the next tensor, padding included.  A gradient's part is final
 * once the node that writes it has run.  Statistics and slots are one part, final after the last node that writes any
 * of them, which is the loss: so the reduction may start with them.  What no node writes (padding, a parameter that
 * does not lead to the loss) is listed to be zeroed.
 */
#include "engine/graph/plan.h"
#include "engine/model/trainable.h"

#include <stdlib.h>

enum { NOBODY = -1 };

/* writer[i]: the node that writes model tensor i's gradient or statistic, NOBODY if none does. *last: the last node
 * that writes behind the gradients. */
static void find_writers(const lk_graph *graph, const lk_trainable *trainable, int *writer, int *last)
{
    const size_t n_tensors = lk_model_n_tensors(graph->model), behind = lk_trainable_n_elem(trainable) * sizeof(float);

    *last = 0;
    for (size_t i = 0; i < n_tensors; i++) writer[i] = NOBODY;
    for (int t = 0; t < graph->n_tensors; t++) {
        const lk_tensor *tensor = &graph->tensors[t];

        if (tensor->arena != LK_ARENA_GRADS || tensor->producer < 0) continue;
        if (tensor->offset >= behind && tensor->producer > *last) *last = tensor->producer;
        for (size_t i = 0; i < n_tensors; i++)
            if (lk_trainable_offset(trainable, i) == tensor->offset / sizeof(float)) writer[i] = tensor->producer;
    }
}

/* The part of the gradient arena that tensor i has, padding included. */
static lk_range part_of(const lk_trainable *trainable, size_t i)
{
    const size_t begin = lk_trainable_offset(trainable, i);

    return (lk_range){begin, begin + lk_round_up(lk_model_tensor(lk_trainable_model(trainable), i)->n_elem)};
}

static void list_unwritten(lk_plan *plan, const lk_trainable *trainable, const int *writer)
{
    for (size_t i = 0; i < lk_model_n_tensors(plan->graph.model); i++) {
        if (lk_trainable_offset(trainable, i) == SIZE_MAX) continue;
        lk_range part = part_of(trainable, i);

        if (writer[i] != NOBODY) part.begin += lk_model_tensor(plan->graph.model, i)->n_elem;
        if (part.begin < part.end) plan->unwritten[plan->n_unwritten++] = part;
    }
}

static int by_node(const void *left, const void *right)
{
    const lk_grad_ready *a = left, *b = right;

    if (a->after != b->after) return a->after < b->after ? -1 : 1;
    return a->range.begin < b->range.begin ? -1 : a->range.begin > b->range.begin;
}

/* Neighbours that the same node completes (a weight and its bias) become one. */
static void merge_neighbours(lk_plan *plan)
{
    int n = 0;

    for (int i = 0; i < plan->n_grads_ready; i++) {
        const lk_grad_ready *c = &plan->grads_ready[i];

        if (n > 0 && plan->grads_ready[n - 1].after == c->after && plan->grads_ready[n - 1].range.end == c->range.begin)
            plan->grads_ready[n - 1].range.end = c->range.end;
        else
            plan->grads_ready[n++] = *c;
    }
    plan->n_grads_ready = n;
}

static void list_grads_ready(lk_plan *plan, const lk_trainable *trainable, const int *writer, int last)
{
    const lk_range behind = {lk_trainable_n_elem(trainable), lk_trainable_n_grads(trainable)};

    for (size_t i = 0; i < lk_model_n_tensors(plan->graph.model); i++)
        if (lk_trainable_has(trainable, i))
            plan->grads_ready[plan->n_grads_ready++] =
                (lk_grad_ready){writer[i] == NOBODY ? 0 : writer[i], part_of(trainable, i)};
    plan->grads_ready[plan->n_grads_ready++] = (lk_grad_ready){last, behind};
    qsort(plan->grads_ready, (size_t)plan->n_grads_ready, sizeof *plan->grads_ready, by_node);
    merge_neighbours(plan);
}

lk_status lk_plan_map_gradients(lk_plan *plan, const lk_trainable *trainable)
{
    const size_t n = lk_model_n_tensors(plan->graph.model) + 1;
    int *writer = malloc(n * sizeof *writer), last;

    LK_TRY_ALLOC(writer, n * sizeof *writer);
    plan->grads_ready = calloc(n, sizeof *plan->grads_ready);
    plan->unwritten = calloc(n, sizeof *plan->unwritten);
    if (!plan->grads_ready || !plan->unwritten) {
        free(writer);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: mapping the gradients of %zu tensors", n);
    }
    find_writers(&plan->graph, trainable, writer, &last);
    list_unwritten(plan, trainable, writer);
    list_grads_ready(plan, trainable, writer, last);
    free(writer);
    return LK_OK;
}
