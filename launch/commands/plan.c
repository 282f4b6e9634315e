/* lockstep plan: what each worker will hold and do, before anything is trained. */
#include "launch/bench/bench.h"

#include <inttypes.h>
#include <string.h>

static void print_bytes(const char *what, double nbytes, const char *note)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    enum { N_UNITS = sizeof unit / sizeof unit[0] };
    int u = 0;

    while (nbytes >= 1024.0 && u + 1 < N_UNITS) nbytes /= 1024.0, u++;
    printf("  %-22s %10.4g %-4s %s\n", what, nbytes, unit[u], note);
}

static void put_line(void *arg, const char *line)
{
    (void)arg;
    printf("  %s\n", line);
}

/* "buffer", "frozen", or with several groups the one it trains in. */
static void print_role(const lk_model *model, const lk_trainable *trainable, size_t i)
{
    if (lk_model_tensor(model, i)->role == LK_ROLE_BUFFER)
        printf(lk_trainable_offset(trainable, i) == SIZE_MAX ? "  buffer, stays" : "  buffer");
    else if (!lk_trainable_has(trainable, i))
        printf("  frozen");
    else if (lk_trainable_n_groups(trainable) > 1)
        printf("  group %d", lk_trainable_group(trainable, i));
}

static void print_tensors(const lk_model *model, const lk_trainable *trainable)
{
    int widest = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const int width = (int)strlen(lk_model_tensor(model, i)->name);
        if (width > widest) widest = width;
    }
    printf("\ntensors (name, shape, elements, place in the arena)\n");
    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const lk_tensor_info *t = lk_model_tensor(model, i);
        char shape[96] = "()";

        for (int d = 0, used = 0; d < t->ndim; d++)
            used += snprintf(shape + used, sizeof shape - (size_t)used, "%s%" PRId64 "%s", d ? ", " : "(", t->shape[d],
                             d + 1 == t->ndim ? ")" : "");
        printf("  %-*s %-20s %10zu %10zu", widest, t->name, shape, t->n_elem, t->offset);
        print_role(model, trainable, i);
        printf("\n");
    }
}

/* ------------------------------------------------------------------- memory */

/* X(part, in words, note): all that a worker holds of what grows with the model, the batch and the data. */
#define PART_LIST(X)                                                                          \
    X(parameters, "parameters", "fp32, buffers included")                                     \
    X(gradients, "gradients", "arenas in which its lanes are added up")                       \
    X(optimizer, "optimizer", "states; with dist.shard this worker's share of them")          \
    X(ema, "EMA", "on the leader; on others a copy to evaluate")                              \
    X(activations, "activations", "shared by liveness")                                       \
    X(packed, "packed weights", "in the layouts kernels prefer, shared by all plans")         \
    X(scratch, "scratch", "of the kernel that needs most")                                    \
    X(workspace, "workspace", "of the libraries, whatever the model")                                    \
    X(output, "evaluation", "outputs of a lane")                                              \
    X(translations, "translations", "the cache of decoding, during an evaluation")                \
    X(exchange, "exchange", "what comes from other workers, while it is added")                   \
    X(save, "save", "the images of its files, and what is copied from a device")              \
    X(samples, "samples", "of the data, or what is held of data that are read as they are wanted") \
    X(features, "features", "what frozen layers give, kept or on its way")                     \
    X(loader, "loader", "batches put together ahead")

typedef struct parts {
#define PART_FIELD(part, words, note) double part;
    PART_LIST(PART_FIELD)
#undef PART_FIELD
} parts;

static double samples_nbytes(const job *j)
{
    return (double)(lk_dataset_nbytes(j->train) + (j->validation ? lk_dataset_nbytes(j->validation) : 0));
}

static double batches_nbytes(const job *j)
{
    const lk_loader *const loaders[] = {j->loader, j->validation_loader, j->train_eval_loader,
                                        j->validation_features ? features_loader(j) : NULL};
    size_t nbytes = 0;

    for (size_t i = 0; i < sizeof loaders / sizeof *loaders; i++)
        if (loaders[i]) nbytes += lk_loader_nbytes(loaders[i]);
    return (double)nbytes;
}

static void find_parts(const job *j, const lk_plan_stats *train, parts *out)
{
    const int n_states = lk_optimizer_n_states(j->optimizer);
    const double params = (double)train->param_bytes, ema = j->recipe->has_ema ? params : 0.0;
    lk_reducer_stats reduction;
    lk_engine_memory memory;

    lk_reducer_get_stats(j->reducer, &reduction);
    lk_engine_get_memory(j->engine, &memory);
    *out = (parts){
        .parameters = params, .gradients = (double)train->grad_bytes * reduction.n_arenas, .ema = ema,
        .optimizer = (double)lk_optimizer_n_held(j->optimizer) * sizeof(float) * n_states,
        .activations = (double)memory.activations, .packed = (double)memory.packed, .scratch = (double)memory.scratch,
        .output = (double)memory.output, .save = (double)save_nbytes(j, j->trainable, n_states),
        .workspace = (double)memory.workspace, .exchange = (double)reduction.exchange_nbytes,
        .samples = samples_nbytes(j), .loader = batches_nbytes(j),
        .translations = (double)j->translation_bytes,
        .features = (double)(features_nbytes(j->train_features) + features_nbytes(j->validation_features)) +
                    (double)memory.features,
    };
}

static void print_parts(const job *j, const lk_plan_stats *train)
{
    const int own = j->lane_end - j->lane_begin;
    double total = 0.0;
    parts p;

    find_parts(j, train, &p);
    printf("\n%s of %d lane%s holds\n", j->leader ? "the leader" : "a worker", own, plural(own));
#define PART_PRINT(part, words, note) \
    total += p.part;                  \
    if (p.part > 0.0) print_bytes(words, p.part, note);
    PART_LIST(PART_PRINT)
#undef PART_PRINT
    print_bytes("all together", total, "beside the program itself");
}

static lk_side side_of(const job *j) { return j->train_features ? LK_SIDE_TRAINED : LK_SIDE_BOTH; }

/* Micro-batches behind the first cost the additions too. */
static void print_program(const job *j, const lk_program *program, const lk_plan_stats *train)
{
    const char *what = j->recipe->train.accumulate == 1 ? "" : program->accumulate ? ", added" : ", the first";

    printf("  %" PRId64 " samples%s: %zu nodes, %.4g MFLOP, %.4g MB moved, %.4g MB of activations (%.4g unshared)\n",
           program->n, what, train->n_nodes, train->flops / 1e6, train->bytes_moved / 1e6,
           (double)train->activation_bytes / 1e6, (double)train->activation_bytes_unshared / 1e6);
    if (train->activation_bytes_kept > 0)
        printf("    recomputed: %.4g of the MFLOP, for %.4g MB of activations instead of %.4g\n",
               train->recomputed_flops / 1e6, (double)train->activation_bytes / 1e6,
               (double)train->activation_bytes_kept / 1e6);
}

/* What depends on the set that trains: memory, and the work of a step. */
static lk_status print_set(job *j)
{
    const int n_micro = j->recipe->train.accumulate;
    lk_plan_stats train;
    job_programs programs;

    job_list_programs(j, j->loader, LK_TRAIN, side_of(j), &programs);
    LK_TRY(lk_engine_plan_stats(j->engine, &programs.program[0], &train));
    print_parts(j, &train);
    if (n_micro > 1) printf("\na micro-batch of training, %d a lane\n", n_micro);
    else printf("\na training step of a lane\n");
    for (int i = 0; i < programs.n; i++) {
        LK_TRY(lk_engine_plan_stats(j->engine, &programs.program[i], &train));
        print_program(j, &programs.program[i], &train);
    }
    if (j->recipe->dist.wire == LK_WIRE_BF16)
        printf("  gradients of %.4g MB travel as bf16 (dist.wire): half the bytes, and other bits than fp32's\n",
               (double)train.grad_bytes / 1e6);
    return LK_OK;
}

static void put_slow(void *arg, const char *line)
{
    bool *any = arg;

    if (!*any) printf("\nslow layers\n");
    *any = true;
    put_line(NULL, line);
}

static void print_slow(const job *j)
{
    bool any = false;

    lk_engine_each_slow(j->engine, put_slow, &any);
}

/* ------------------------------------------------------------------- groups */

#define OPTIMIZER_WORD(id, word) [id] = word,
static const char *const optimizer_words[] = {LK_OPTIMIZER_LIST(OPTIMIZER_WORD)};
#define SCHEDULE_WORD(id, word, ...) [id] = word,
static const char *const schedule_words[] = {LK_SCHEDULE_LIST(SCHEDULE_WORD)};

static size_t weights_of_group(const job *j, int g)
{
    size_t n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++)
        if (lk_trainable_has(j->trainable, i) && lk_trainable_group(j->trainable, i) == g)
            n += lk_model_tensor(j->model, i)->n_elem;
    return n;
}

/* A number and, if there is one, the schedule that moves it. */
static void print_rate(const char *what, double value, const lk_schedule_spec *schedule)
{
    printf("%s %g%s%s", what, value, schedule->kind == LK_SCHEDULE_NONE ? "" : " ",
           schedule->kind == LK_SCHEDULE_NONE ? "" : schedule_words[schedule->kind]);
}

/* What all groups have in common, and behind it a line for each. */
static void print_groups(const job *j)
{
    const lk_optimizer_spec *common = &j->recipe->optimizer;

    printf("\noptimizer %s", optimizer_words[common->kind]);
    if (common->amsgrad) printf(", amsgrad");
    if (common->clip_norm > 0.0) printf(", gradients clipped to the norm %g", common->clip_norm);
    if (common->clip_value > 0.0) printf(", gradients clipped to %g", common->clip_value);
    printf(" (group, weights, settings with their schedules)\n");
    for (unsigned g = 0; g < j->recipe->n_groups; g++) {
        const lk_recipe *r = j->recipe->groups[g];
        const lk_optimizer_spec *o = &r->optimizer;
        const bool sgd = o->kind == LK_SGD;

        printf("  %-12s %10zu  ", r->group ? r->group : "the rest", weights_of_group(j, (int)g));
        print_rate("lr", o->lr, &r->scheduler.spec);
        print_rate(", weight_decay", o->weight_decay, &r->weight_decay_scheduler.spec);
        print_rate(sgd ? ", momentum" : ", beta1", sgd ? o->momentum : o->beta1, &r->momentum_scheduler.spec);
        if (sgd) printf("%s\n", o->nesterov ? ", nesterov" : "");
        else printf(", beta2 %g, eps %g\n", o->beta2, o->eps);
    }
}

static lk_status print_plan(job *j, const options *opt)
{
    job_programs programs;

    if (j->recipe->stage) printf("%s== stage %s\n", j->stage ? "\n" : "", j->recipe->stage);
    printf("%s: %zu of %zu weights train, engine %s; %" PRId64 " samples a batch in %d lane%s over %d worker%s\n",
           j->recipe->run.name, lk_trainable_n_weights(j->trainable), count_weights(j->model),
           lk_engine_name(j->engine), j->recipe->train.batch, j->lanes, plural(j->lanes),
           lk_world_size(j->world), plural(lk_world_size(j->world)));
    LK_TRY(print_set(j));
    LK_TRY(print_freezing(j));
    print_slow(j);
    print_groups(j);
    print_tensors(j->model, j->trainable);
    if (!opt->nodes) return LK_OK;
    job_list_programs(j, j->loader, LK_TRAIN, side_of(j), &programs);
    printf("\nnodes of the training plan for %" PRId64 " samples\n", programs.program[0].n);
    return lk_engine_plan_print(j->engine, &programs.program[0], put_line, NULL);
}

lk_status command_plan(job *j, const options *opt)
{
    j->dry = true;
    LK_TRY(job_agree(j, j->leader ? cluster_check(opt) : LK_OK));
    LK_TRY(job_read_recipe(j, opt));
    LK_TRY(job_open(j));
    LK_TRY(job_open_training(j));
    for (unsigned s = 0; s < j->whole->n_stages; s++) {
        if (s > 0) LK_TRY(job_enter_stage(j, s));
        LK_TRY(job_agree(j, j->leader ? print_plan(j, opt) : LK_OK));
    }
    return job_agree(j, j->leader && opt->cluster ? cluster_print(opt) : LK_OK);
}
