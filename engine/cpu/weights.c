/*
 * A list of copies, counted by their users; found by parameter and layout when a kernel is bound, never in a run.
 *
 * Binding only says what is wanted.  Memory is taken when the engine asks for it, so that a plan can be looked at on a
 * machine that could not hold its weights.
 */
#include "engine/cpu/weights.h"
#include "engine/cpu/dnnl_versions.h"

typedef struct entry {
    cpu_weight weight;   /* first: an entry is found by it */
    cpu_ref of;
    bool transposed;
    layout form;         /* owned; where it is not transposed */
    int users;
    struct entry *next;
} entry;

struct cpu_weights {
    entry *first; /* owned */
};

lk_status cpu_weights_new(cpu_weights **out)
{
    *out = lk_alloc(sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out, "the store of packed weights");
    return LK_OK;
}

static void free_entry(entry *e)
{
    if (!e->transposed) layout_free(&e->form);
    lk_free(&e->weight.at);
    lk_free(&e);
}

void cpu_weights_free(cpu_weights **weights)
{
    if (!*weights) return;
    for (entry *e = (*weights)->first, *next; e; e = next) {
        next = e->next;
        free_entry(e);
    }
    lk_free(weights);
}

static bool is_wanted(const entry *e, cpu_ref w, const void *form)
{
    if (e->of.arena != w.arena || e->of.offset != w.offset || e->transposed != (form == NULL)) return false;
    return e->transposed || dnnl_memory_desc_equal(view(&e->form), form);
}

static lk_status add(cpu_weights *weights, cpu_ref w, size_t nbytes, const void *form, entry **out)
{
    entry *e = lk_alloc(sizeof *e);

    LK_TRY_ALLOC(e, sizeof *e, "a packed weight");
    *e = (entry){.weight.nbytes = nbytes, .of = w, .transposed = form == NULL, .next = weights->first};
    if (form) {
        const lk_status status = layout_copy(&e->form, form);
        if (status != LK_OK) {
            lk_free(&e);
            return status;
        }
    }
    *out = weights->first = e;
    return LK_OK;
}

lk_status cpu_weight_want(cpu_weights *weights, cpu_ref w, size_t nbytes, const void *form, cpu_weight **out)
{
    entry *e = weights->first;

    while (e && !is_wanted(e, w, form)) e = e->next;
    if (!e) LK_TRY(add(weights, w, nbytes, form, &e));
    assert(e->weight.nbytes == nbytes);
    e->users++;
    *out = &e->weight;
    return LK_OK;
}

void cpu_weight_drop(cpu_weights *weights, cpu_weight **weight)
{
    entry *e = (entry *)*weight, **link = &weights->first;

    *weight = NULL;
    if (!e || --e->users > 0) return;
    while (*link != e) link = &(*link)->next;
    *link = e->next;
    free_entry(e);
}

lk_status cpu_weights_reserve(cpu_weights *weights)
{
    for (entry *e = weights->first; e; e = e->next) {
        if (e->weight.at) continue;
        e->weight.at = lk_alloc(e->weight.nbytes);
        LK_TRY_ALLOC(e->weight.at, e->weight.nbytes, "a packed weight");
    }
    return LK_OK;
}

size_t cpu_weights_nbytes(const cpu_weights *weights)
{
    size_t nbytes = 0;

    for (const entry *e = weights->first; e; e = e->next) nbytes += e->weight.nbytes;
    return nbytes;
}
