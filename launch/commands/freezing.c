/*
 * lockstep plan: what freezing saves in a stage, beside one in which everything trains and, with train.cache_frozen,
 * beside steps from kept features; and what these take.
 */
#include "launch/job/features.h"

#include <inttypes.h>

enum { MOST_COLUMNS = 3, CELL_BYTES = 32 };

/* A way to run the stage. */
typedef struct column {
    const char *name;
    size_t n_weights;
    double gradients, states, activations, flops;
} column;

static void print_quantity(char cell[CELL_BYTES], double value, double step, const char *const unit[])
{
    int u = 0;

    while (value >= step && unit[u + 1]) value /= step, u++;
    snprintf(cell, CELL_BYTES, "%.4g %s", value, unit[u]);
}

static void print_bytes(char cell[CELL_BYTES], double nbytes)
{
    print_quantity(cell, nbytes, 1024.0, (const char *const[]){"B", "KiB", "MiB", "GiB", "TiB", NULL});
}

static void print_flops(char cell[CELL_BYTES], double flops)
{
    print_quantity(cell, flops, 1000.0, (const char *const[]){"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", NULL});
}

/* A training step of the largest lane, or its first micro-batch. */
static lk_status estimate(job *j, const lk_trainable *set, lk_side side, const char *name, column *out)
{
    const double n_states = (double)lk_optimizer_n_states(j->optimizer);
    lk_plan_stats stats;
    job_programs programs;

    job_list_programs(j, j->loader, LK_TRAIN, side, &programs);
    LK_TRY(lk_engine_estimate(j->engine, set, &programs.program[0], &stats));
    *out = (column){.name = name, .n_weights = lk_trainable_n_weights(set), .gradients = (double)stats.grad_bytes,
                    .states = n_states * sizeof(float) * (double)lk_trainable_n_elem(set),
                    .activations = (double)stats.activation_bytes, .flops = stats.flops};
    return LK_OK;
}

static void print_row(const char *what, const column *columns, int n, double (*of)(const column *c),
                      void (*print)(char cell[CELL_BYTES], double value))
{
    printf("  %-22s", what);
    for (int c = 0; c < n; c++) {
        char cell[CELL_BYTES];

        print(cell, of(&columns[c]));
        printf(" %16s", cell);
    }
    printf("\n");
}

static double gradients_of(const column *c) { return c->gradients; }
static double states_of(const column *c) { return c->states; }
static double activations_of(const column *c) { return c->activations; }
static double flops_of(const column *c) { return c->flops; }

static void print_columns(const column *columns, int n)
{
    printf("\nwhat freezing saves     ");
    for (int c = 0; c < n; c++) printf(" %16s", columns[c].name);
    printf("\n  %-22s", "weights that train");
    for (int c = 0; c < n; c++) printf(" %16zu", columns[c].n_weights);
    printf("\n");
    print_row("gradients", columns, n, gradients_of, print_bytes);
    print_row("optimizer states", columns, n, states_of, print_bytes);
    print_row("activations of a lane", columns, n, activations_of, print_bytes);
    print_row("a step of a lane", columns, n, flops_of, print_flops);
}

/* Tensors that cross, and what all samples of the part take. */
static void print_features(const features *f, const char *part)
{
    char row[CELL_BYTES], all[CELL_BYTES];

    if (!f || !f->kept) return;
    print_bytes(row, (double)f->row_nbytes);
    print_bytes(all, (double)f->n * (double)f->row_nbytes);
    printf("  features of %s: %" PRId64 " samples of %s, %s %s, in pieces of %" PRId64 ":", part, f->n, row, all,
           f->on_disk ? "on disk for all workers" : "in the memory of each worker", f->piece);
    for (int k = 0; k < f->frontier.n; k++) printf("%s %s", k ? "," : "", f->frontier.feature[k].name);
    printf("\n");
}

static lk_status print_saving(job *j, const lk_trainable *everything)
{
    column columns[MOST_COLUMNS];
    int n = 2;

    LK_TRY(estimate(j, everything, LK_SIDE_BOTH, "everything", &columns[0]));
    LK_TRY(estimate(j, j->trainable, LK_SIDE_BOTH, "this stage", &columns[1]));
    if (j->train_features && j->train_features->kept)
        LK_TRY(estimate(j, j->trainable, LK_SIDE_TRAINED, "from features", &columns[n++]));
    print_columns(columns, n);
    print_features(j->train_features, "training");
    print_features(j->validation_features, "validation");
    return LK_OK;
}

lk_status print_freezing(job *j)
{
    lk_trainable *everything;

    if (lk_trainable_n_weights(j->trainable) == count_weights(j->model)) return LK_OK;
    LK_TRY(lk_trainable_new(j->model, NULL, &everything));
    const lk_status status = print_saving(j, everything);
    lk_trainable_free(&everything);
    return status;
}
