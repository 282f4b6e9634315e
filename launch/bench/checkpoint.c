/*
 * lockstep bench checkpoint: what a save and a resume cost, of a recipe's state or of a plain array (--size).
 *
 * Saves are those of training: each worker copies its rows, which holds it up, a thread writes and syncs them, and rank
 * zero publishes, which holds all up once more.  Then the checkpoint is opened, verified and loaded, once the machine
 * has been asked to forget its files.  Times are medians of each worker's, and of the slowest, for whom all wait.
 */
#include "launch/bench/bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/train/staging.h"

enum { SAVES = 5, DIR_BYTES = 4096, PATH_BYTES = DIR_BYTES + 512, ROW_ELEM = 1024 };
static const double MS = 1e3, MEGA = 1e6, GIGA = 1e9;

enum { OF_COPY, OF_WRITE, OF_PUBLISH, OF_READ, N_TIMES };

typedef struct saves {
    job *j;                    /* borrowed */
    const char *name;
    char dir[DIR_BYTES];       /* of checkpoints, removed at the end */
    lk_saver *saver;           /* owned, like all below */
    staging staging;
    tensor_lists shared, leader;
    lk_ckpt_tensor plain;      /* --size: the only tensor; its data owned */
    double nbytes;             /* of a checkpoint's tensors */
    size_t n_saves;
    double *seconds;           /* (N_TIMES, n_saves) */
    double median[N_TIMES];    /* of the slowest worker, on the leader */
} saves;

/* --------------------------------------------------------------------- what is saved */

static double count_bytes(const lk_ckpt_tensor *tensors, size_t n)
{
    double nbytes = 0.0;

    for (size_t i = 0; i < n; i++) nbytes += (double)(tensors[i].n_elem * sizeof(float));
    return nbytes;
}

/* EMA and whatever else the leader has alone is counted on the leader, which prints. */
static lk_status open_state(saves *s)
{
    job *j = s->j;

    LK_TRY(staging_shared(&s->staging, j, true, &s->shared));
    if (j->leader) LK_TRY(staging_leader(&s->staging, j, true, &s->leader));
    s->nbytes = count_bytes(s->shared.all, s->shared.n) + count_bytes(s->leader.all, s->leader.n);
    return LK_OK;
}

static lk_status open_recipe(saves *s, const options *opt)
{
    job *j = s->j;

    LK_TRY(job_read_recipe(j, opt));
    LK_TRY(job_open(j));
    LK_TRY(job_open_training(j));
    s->name = j->recipe->run.name;
    snprintf(s->dir, sizeof s->dir, "%s.bench", j->recipe->run.dir);
    return job_agree(j, open_state(s));
}

static lk_status open_plain(saves *s, const options *opt)
{
    size_t nbytes;

    if (opt->n_positional > 0)
        return LK_FAIL(LK_ERR_USAGE, "bench checkpoint takes a recipe or --size, not both");
    LK_TRY(bench_size("--size", opt->size, &nbytes));
    const size_t rows = (nbytes + ROW_ELEM * sizeof(float) - 1) / (ROW_ELEM * sizeof(float));
    s->plain = (lk_ckpt_tensor){.path = "model/weight", .ndim = 2, .shape = {(int64_t)rows, ROW_ELEM},
                                .n_elem = rows * ROW_ELEM};
    s->plain.data = malloc(s->plain.n_elem * sizeof(float));
    LK_TRY_ALLOC(s->plain.data, s->plain.n_elem * sizeof(float), "the array of --size");
    for (size_t i = 0; i < s->plain.n_elem; i++) s->plain.data[i] = (float)i;
    s->nbytes = (double)(s->plain.n_elem * sizeof(float));
    s->name = "an array";
    snprintf(s->dir, sizeof s->dir, "checkpoint.bench");
    return LK_OK;
}

/* The run of a recipe is left alone: saves go to a folder beside it. */
static lk_status open_saves(saves *s, const options *opt)
{
    job *j = s->j;

    if (opt->size) LK_TRY(job_agree(j, open_plain(s, opt)));
    else LK_TRY(open_recipe(s, opt));
    if (j->leader && access(s->dir, F_OK) == 0)
        return job_agree(j, LK_FAIL(LK_ERR_USAGE, "%s is there already: remove it, or give another run.dir", s->dir));
    LK_TRY(job_agree(j, LK_OK));
    s->n_saves = opt->iterations ? (size_t)opt->iterations : SAVES;
    s->seconds = calloc(N_TIMES * s->n_saves, sizeof *s->seconds);
    LK_TRY(job_agree(j, s->seconds ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: times of saves")));
    return job_agree(j, lk_saver_new(s->dir, lk_world_rank(j->world), lk_world_size(j->world), 1, &s->saver));
}

static void close_saves(saves *s)
{
    lk_saver_free(&s->saver); /* first: its thread reads what follows */
    staging_free_lists(&s->leader);
    staging_free_lists(&s->shared);
    if (s->j->engine) staging_free(&s->staging, s->j);
    free(s->plain.data);
    free(s->seconds);
}

/* ------------------------------------------------------------------------ measuring */

static lk_status save(saves *s, int64_t step)
{
    lk_metadata *metadata = NULL;
    const lk_ckpt_tensor *shared = s->plain.data ? &s->plain : s->shared.all;
    const size_t n = s->plain.data ? 1 : s->shared.n;

    if (s->j->leader) LK_TRY(lk_metadata_new(&metadata));
    const lk_status status = lk_saver_begin(s->saver, step, shared, n, s->leader.all, s->leader.n, metadata);
    lk_metadata_free(&metadata);
    return status;
}

static lk_status publish(saves *s)
{
    return s->j->leader ? lk_saver_publish(s->saver, -1) : lk_saver_finish(s->saver);
}

/* Files of the last checkpoint leave the machine's cache, where it listens. */
static void forget_files(const char *checkpoint)
{
    char path[PATH_BYTES + sizeof ((struct dirent *)0)->d_name];
    DIR *dir = opendir(checkpoint);

    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", checkpoint, entry->d_name);
        const int file = open(path, O_RDONLY | O_CLOEXEC);

        if (file < 0) continue;
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        close(file);
    }
    if (dir) closedir(dir);
}

/* As a resume does: every worker verifies and loads. */
static lk_status load(saves *s, const char *path)
{
    lk_checkpoint *checkpoint = NULL;

    LK_TRY(lk_checkpoint_open(path, &checkpoint));
    lk_status status = s->plain.data ? lk_checkpoint_load(checkpoint, &s->plain, 1)
                                     : lk_checkpoint_load(checkpoint, s->shared.all, s->shared.n);
    if (status == LK_OK) status = staging_upload(s->j, &s->shared);
    lk_checkpoint_free(&checkpoint);
    return status;
}

static lk_status timed(saves *s, size_t turn, int which, lk_status status, double begin)
{
    s->seconds[(size_t)which * s->n_saves + turn] = lk_seconds() - begin;
    return job_agree(s->j, status);
}

static lk_status one_turn(saves *s, size_t turn)
{
    const int64_t step = (int64_t)turn + 1;
    char path[PATH_BYTES];
    double begin;

    lk_world_progress(s->j->world, step, "bench checkpoint");
    LK_TRY(lk_world_barrier(s->j->world));
    begin = lk_seconds();
    LK_TRY(timed(s, turn, OF_COPY, save(s, step), begin));
    begin = lk_seconds();
    LK_TRY(timed(s, turn, OF_WRITE, lk_saver_wait(s->saver), begin));
    begin = lk_seconds();
    LK_TRY(timed(s, turn, OF_PUBLISH, publish(s), begin));
    snprintf(path, sizeof path, "%s/step-%08lld", s->dir, (long long)step);
    forget_files(path);
    LK_TRY(lk_world_barrier(s->j->world));
    begin = lk_seconds();
    return timed(s, turn, OF_READ, load(s, path), begin);
}

/* Of the slowest worker, on the leader. */
static lk_status gather(saves *s)
{
    const int n = lk_world_size(s->j->world);
    double mine[N_TIMES], *all = s->j->leader ? calloc((size_t)n * N_TIMES, sizeof *all) : NULL;

    LK_TRY(job_agree(s->j, !s->j->leader || all ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: times")));
    for (size_t t = 0; t < N_TIMES; t++) mine[t] = bench_median(s->seconds + t * s->n_saves, s->n_saves);
    const lk_status status = lk_world_gather(s->j->world, mine, sizeof mine, all);
    for (int i = 0; status == LK_OK && all && i < n * N_TIMES; i++)
        if (all[i] > s->median[i % N_TIMES]) s->median[i % N_TIMES] = all[i];
    free(all);
    return status;
}

static lk_status measure(saves *s)
{
    for (size_t turn = 0; turn < s->n_saves; turn++) LK_TRY(one_turn(s, turn));
    return gather(s);
}

/* -------------------------------------------------------------------------- results */

static double held_up(const saves *s) { return s->median[OF_COPY] + s->median[OF_PUBLISH]; }

static void print_line(const saves *s, const char *what, int which, const char *note)
{
    printf("  %-10s %10.2f ms  %8.3f GB/s  %s\n", what, s->median[which] * MS, s->nbytes / s->median[which] / GIGA,
           note);
}

static void print_saves(const saves *s)
{
    const int n = lk_world_size(s->j->world);

    printf("%s: checkpoints of %.4g MB in %d part%s; medians of %zu, of the slowest worker\n", s->name,
           s->nbytes / MEGA, n, plural(n), s->n_saves);
    print_line(s, "copied", OF_COPY, "training is held up");
    print_line(s, "written", OF_WRITE, "and synced, while training goes on");
    printf("  %-10s %10.2f ms  %13s  training is held up\n", "published", s->median[OF_PUBLISH] * MS, "");
    print_line(s, "read", OF_READ, "opened, verified and loaded by each worker");
    printf("training is held up for %.2f ms by a checkpoint\n", held_up(s) * MS);
}

static lk_status fill(const void *arg, lk_metadata *json)
{
    const saves *s = arg;

    LK_TRY(lk_metadata_set_int(json, "workers", lk_world_size(s->j->world)));
    LK_TRY(lk_metadata_set_real(json, "bytes", s->nbytes));
    LK_TRY(lk_metadata_set_real(json, "held_up_seconds", held_up(s)));
    LK_TRY(lk_metadata_set_real(json, "copy_seconds", s->median[OF_COPY]));
    LK_TRY(lk_metadata_set_real(json, "publish_seconds", s->median[OF_PUBLISH]));
    LK_TRY(lk_metadata_set_real(json, "write_seconds", s->median[OF_WRITE]));
    return lk_metadata_set_real(json, "read_seconds", s->median[OF_READ]);
}

static lk_status tell(const saves *s, const options *opt)
{
    print_saves(s);
    return bench_write_json(opt, fill, s);
}

lk_status bench_checkpoint(job *j, const options *opt)
{
    saves s = {.j = j};

    lk_status status = open_saves(&s, opt);
    if (status == LK_OK) {
        status = measure(&s);
        if (status == LK_OK) status = job_agree(j, j->leader ? tell(&s, opt) : LK_OK);
        lk_saver_free(&s.saver);
        if (j->leader && lk_remove_tree(s.dir) != LK_OK && status == LK_OK)
            fprintf(stderr, "lockstep: warning: %s\n", lk_error_message());
    }
    close_saves(&s);
    return status;
}
