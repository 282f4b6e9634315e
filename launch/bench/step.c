/*
 * lockstep bench step: what each layer of a network costs in a training step.
 *
 * Steps are run in turns, one as training runs it and one with a look at the clock between kernels
 * (lk_engine_profile()), so that the second can be held against the first.  Times are medians over the turns; a layer's
 * are the sums of its nodes'.  The update is one pass over all that trains, which nobody can cut without changing it: a
 * layer's part of it is its part of the weights.
 */
#include "launch/bench/bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LAYER_BYTES = 128, FIRST_NODES = 64 };
static const double US = 1e6, GIGA = 1e9, PERCENT = 100.0;

typedef struct node {
    lk_node_time time;  /* its names are of a plan, which stays */
    double *seconds;    /* owned, (n_turns): over this worker's lanes */
} node;

typedef struct layer {
    const char *name, *op;     /* op: of its first node */
    const char *within;        /* another layer's kernel, which does it */
    double forward_s, backward_s, update_s;
    double flops, bytes_moved; /* of both passes */
    double weights;
    bool own;                  /* some node has a kernel of its own */
} layer;

typedef struct profile {
    bench_steps steps;
    node *node;                /* owned, (n_nodes) of (room), as next */
    layer *layer;
    size_t n_nodes, room, n_layers;
    size_t n_turns, turn, at;  /* at: the next node of the lane that runs */
    double *step_s, *update_s, *between_s; /* owned, (n_turns): a plain step, update, a step with looks */
    double step, update, profiled; /* their medians */
    lk_status status;          /* of what put() could not keep */
} profile;

/* ------------------------------------------------------------------- measuring */

static lk_status add_node(profile *p, const lk_node_time *time)
{
    if (p->n_nodes == p->room) {
        const size_t room = p->room ? 2 * p->room : FIRST_NODES;
        node *grown = realloc(p->node, room * sizeof *grown);

        LK_TRY_ALLOC(grown, room * sizeof *grown);
        p->node = grown;
        p->room = room;
    }
    node *added = &p->node[p->n_nodes];

    *added = (node){.time = *time, .seconds = calloc(p->n_turns, sizeof *added->seconds)};
    LK_TRY_ALLOC(added->seconds, p->n_turns * sizeof *added->seconds);
    added->time.flops = added->time.bytes_moved = 0.0;
    p->n_nodes++;
    return LK_OK;
}

/* Lanes of any size have the same nodes, in one order. */
static void put(void *arg, const lk_node_time *time)
{
    profile *p = arg;

    if (p->status == LK_OK && p->at == p->n_nodes) p->status = add_node(p, time);
    if (p->status != LK_OK) return;
    node *n = &p->node[p->at++];

    n->seconds[p->turn] += time->seconds;
    if (p->turn > 0) return;
    n->time.flops += time->flops;
    n->time.bytes_moved += time->bytes_moved;
}

static lk_status run_measured(void *arg, const lk_lane *lane)
{
    profile *p = arg;
    job *j = p->steps.j;

    p->at = 0;
    LK_TRY(lk_engine_profile(j->engine, lane, put, p));
    lk_reducer_ready(j->reducer, 0, lk_trainable_n_grads(j->trainable));
    return p->status;
}

static double seconds_of(const bench_steps *s) { return s->compute_s + s->wait_s + s->update_s; }

static lk_status measure(profile *p)
{
    for (int i = 0; i < BENCH_WARMUP; i++) LK_TRY(bench_step_once(&p->steps, NULL, NULL));
    for (p->turn = 0; p->turn < p->n_turns; p->turn++) {
        LK_TRY(bench_step_once(&p->steps, NULL, NULL));
        p->step_s[p->turn] = seconds_of(&p->steps);
        p->update_s[p->turn] = p->steps.update_s;
        LK_TRY(bench_step_once(&p->steps, run_measured, p));
        p->between_s[p->turn] = seconds_of(&p->steps);
    }
    p->step = bench_median(p->step_s, p->n_turns);
    p->update = bench_median(p->update_s, p->n_turns);
    p->profiled = bench_median(p->between_s, p->n_turns);
    return LK_OK;
}

static lk_status open_profile(profile *p, const options *opt)
{
    p->n_turns = bench_iterations(opt);
    p->step_s = calloc(3 * p->n_turns, sizeof *p->step_s);
    LK_TRY_ALLOC(p->step_s, 3 * p->n_turns * sizeof *p->step_s);
    p->update_s = p->step_s + p->n_turns;
    p->between_s = p->update_s + p->n_turns;
    return LK_OK;
}

static void close_profile(profile *p)
{
    for (size_t i = 0; i < p->n_nodes; i++) free(p->node[i].seconds);
    free(p->node);
    free(p->layer);
    free(p->step_s);
}

/* ---------------------------------------------------------------------- layers */

static layer *layer_of(profile *p, const char *name, const char *op)
{
    for (size_t i = 0; i < p->n_layers; i++)
        if (strcmp(p->layer[i].name, name) == 0) return &p->layer[i];
    p->layer[p->n_layers] = (layer){.name = name, .op = op};
    return &p->layer[p->n_layers++];
}

static void add_times(profile *p)
{
    for (size_t i = 0; i < p->n_nodes; i++) {
        const lk_node_time *t = &p->node[i].time;
        layer *l = layer_of(p, t->layer, t->op);
        const double seconds = bench_median(p->node[i].seconds, p->n_turns);

        if (t->backward) l->backward_s += seconds;
        else l->forward_s += seconds;
        l->flops += t->flops;
        l->bytes_moved += t->bytes_moved;
        l->own = l->own || !t->within || strcmp(t->within, t->layer) == 0;
        l->within = t->within;
    }
}

/* The layer with the longest path that the tensor's name begins with; NULL: none, as of a table that several share. */
static layer *owner_of(profile *p, const char *tensor)
{
    layer *found = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < p->n_layers; i++) {
        const size_t n = strlen(p->layer[i].name);

        if (n <= longest || strncmp(tensor, p->layer[i].name, n) != 0 || tensor[n] != '.') continue;
        found = &p->layer[i];
        longest = n;
    }
    return found;
}

static lk_status find_layers(profile *p)
{
    const job *j = p->steps.j;

    p->layer = calloc(p->n_nodes + 1, sizeof *p->layer);
    LK_TRY_ALLOC(p->layer, (p->n_nodes + 1) * sizeof *p->layer);
    add_times(p);
    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        const lk_tensor_info *t = lk_model_tensor(j->model, i);
        layer *l = owner_of(p, t->name);

        if (!lk_trainable_has(j->trainable, i)) continue;
        if (!l) l = layer_of(p, "(others)", "");
        l->weights += (double)t->n_elem;
        l->update_s += p->update * (double)t->n_elem / (double)lk_trainable_n_weights(j->trainable);
    }
    return LK_OK;
}

/* --------------------------------------------------------------------- results */

static double passes_of(const layer *l) { return l->forward_s + l->backward_s; }

static layer sum_of(const profile *p)
{
    layer all = {.name = "all layers", .op = "", .own = true};

    for (size_t i = 0; i < p->n_layers; i++) {
        const layer *l = &p->layer[i];

        all.forward_s += l->forward_s;
        all.backward_s += l->backward_s;
        all.update_s += l->update_s;
        all.flops += l->flops;
        all.bytes_moved += l->bytes_moved;
        all.weights += l->weights;
    }
    return all;
}

static double share(const layer *l, const layer *all)
{
    return (passes_of(l) + l->update_s) / (passes_of(all) + all->update_s);
}

static double rate(double amount, const layer *l) { return passes_of(l) > 0.0 ? amount / passes_of(l) / GIGA : 0.0; }

static void print_layer(const layer *l, const layer *all, int width)
{
    printf("  %-*s %-16s %11.1f %11.1f %11.1f %6.1f%% %9.2f %8.2f", width, l->name, l->op, l->forward_s * US,
           l->backward_s * US, l->update_s * US, PERCENT * share(l, all), rate(l->flops, l), rate(l->bytes_moved, l));
    printf(l->own || !l->within ? "\n" : "  in %s\n", l->within);
}

static void print_profile(const profile *p)
{
    const job *j = p->steps.j;
    const layer all = sum_of(p);
    int width = (int)strlen(all.name);

    for (size_t i = 0; i < p->n_layers; i++)
        if ((int)strlen(p->layer[i].name) > width) width = (int)strlen(p->layer[i].name);
    printf("%s: a step of %" PRId64 " samples in %d lane%s, %d of them this worker's; %d worker%s, engine %s; "
           "medians of %zu\n", j->recipe->run.name, j->recipe->train.batch, j->lanes, plural(j->lanes),
           j->lane_end - j->lane_begin, lk_world_size(j->world), plural(lk_world_size(j->world)),
           lk_engine_name(j->engine), p->n_turns);
    printf("  %-*s %-16s %11s %11s %11s %7s %9s %8s\n", width, "layer", "op", "forward us", "backward us", "update us",
           "share", "GFLOP/s", "GB/s");
    for (size_t i = 0; i < p->n_layers; i++) print_layer(&p->layer[i], &all, width);
    print_layer(&all, &all, width);
    printf("rates are of forward and backward; the update is one pass, divided by weights\n");
    printf("a step as it is trained takes %.1f us, and %.1f us with a look at the clock between kernels\n",
           p->step * US, p->profiled * US);
}

static lk_status put_real(lk_metadata *json, const char *layer_name, const char *key, double value)
{
    char path[2 * LAYER_BYTES];

    snprintf(path, sizeof path, "layers/%s/%s", layer_name, key);
    return lk_metadata_set_real(json, path, value);
}

static lk_status fill_layer(const layer *l, const layer *all, lk_metadata *json)
{
    char path[2 * LAYER_BYTES];

    snprintf(path, sizeof path, "layers/%s/op", l->name);
    LK_TRY(lk_metadata_set_text(json, path, l->op));
    LK_TRY(put_real(json, l->name, "forward_seconds", l->forward_s));
    LK_TRY(put_real(json, l->name, "backward_seconds", l->backward_s));
    LK_TRY(put_real(json, l->name, "update_seconds", l->update_s));
    LK_TRY(put_real(json, l->name, "share", share(l, all)));
    LK_TRY(put_real(json, l->name, "flops", l->flops));
    LK_TRY(put_real(json, l->name, "bytes_moved", l->bytes_moved));
    return put_real(json, l->name, "weights", l->weights);
}

static lk_status fill(const void *arg, lk_metadata *json)
{
    const profile *p = arg;
    const job *j = p->steps.j;
    const layer all = sum_of(p);

    LK_TRY(lk_metadata_set_text(json, "recipe", j->recipe->path));
    LK_TRY(lk_metadata_set_text(json, "engine", lk_engine_name(j->engine)));
    LK_TRY(lk_metadata_set_int(json, "workers", lk_world_size(j->world)));
    LK_TRY(lk_metadata_set_int(json, "samples", j->recipe->train.batch));
    LK_TRY(lk_metadata_set_int(json, "own_lanes", j->lane_end - j->lane_begin));
    LK_TRY(lk_metadata_set_int(json, "iterations", (int64_t)p->n_turns));
    LK_TRY(lk_metadata_set_real(json, "step_seconds", p->step));
    LK_TRY(lk_metadata_set_real(json, "profiled_step_seconds", p->profiled));
    LK_TRY(lk_metadata_set_real(json, "forward_seconds", all.forward_s));
    LK_TRY(lk_metadata_set_real(json, "backward_seconds", all.backward_s));
    LK_TRY(lk_metadata_set_real(json, "update_seconds", all.update_s));
    for (size_t i = 0; i < p->n_layers; i++) LK_TRY(fill_layer(&p->layer[i], &all, json));
    return LK_OK;
}

static lk_status tell(profile *p, const options *opt)
{
    LK_TRY(find_layers(p));
    print_profile(p);
    return bench_write_json(opt, fill, p);
}

lk_status bench_step(job *j, const options *opt)
{
    profile p = {0};

    lk_status status = bench_steps_open(&p.steps, j, opt);
    if (status == LK_OK) status = job_agree(j, open_profile(&p, opt));
    if (status == LK_OK) status = measure(&p);
    if (status == LK_OK) status = job_agree(j, j->leader ? tell(&p, opt) : LK_OK);
    close_profile(&p);
    return status;
}
