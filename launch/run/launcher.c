/* Command lines of mpirun and srun, and the question to a host whether it still answers. */
#include "launch/run/launcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -------------------------------------------------------------------------- which one */

/* A path as it is; a bare name by PATH. */
static bool find_program(const char *name, char out[LAUNCHER_PATH_BYTES])
{
    const char *folders = strchr(name, '/') ? "" : getenv("PATH");

    for (const char *at = folders ? folders : ""; ; at++) {
        const size_t n = strcspn(at, ":");
        const int used = snprintf(out, LAUNCHER_PATH_BYTES, "%.*s%s%s", (int)n, at, n ? "/" : "", name);

        if (used < LAUNCHER_PATH_BYTES && access(out, X_OK) == 0) return true;
        at += n;
        if (!*at) return false;
    }
}

static lk_status find_launcher(const options *opt, launcher *l)
{
    const char *named = getenv("LK_MPIRUN");

    if (named && *named) {
        if (find_program(named, l->path)) return LK_OK;
        return LK_FAIL(LK_ERR_USAGE, "LK_MPIRUN: %s is no program that can be run", named);
    }
    l->slurm = getenv("SLURM_JOB_ID") && !opt->hostfile && find_program("srun", l->path);
    if (l->slurm || find_program("mpirun", l->path)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "there is no mpirun on PATH: install Open MPI, or name its mpirun in LK_MPIRUN");
}

static lk_status find_self(launcher *l)
{
    const ssize_t n = readlink("/proc/self/exe", l->self, sizeof l->self - 1);

    if (n < 0) return LK_FAIL(LK_ERR_SYSTEM, "cannot read /proc/self/exe: %s", strerror(errno));
    l->self[n] = '\0';
    return LK_OK;
}

static int64_t slurm_tasks(void)
{
    const char *n = getenv("SLURM_NTASKS");

    return n ? strtoll(n, NULL, 10) : 0;
}

lk_status launcher_open(const options *opt, int64_t n_workers, launcher *out)
{
    *out = (launcher){.passed = opt->passed, .n_passed = opt->n_passed};
    LK_TRY(find_launcher(opt, out));
    LK_TRY(find_self(out));
    if (opt->hostfile) return hosts_read(opt->hostfile, &out->hosts);
    return out->slurm ? hosts_of_slurm(n_workers ? n_workers : slurm_tasks(), &out->hosts) : LK_OK;
}

void launcher_close(launcher *l) { hosts_free(&l->hosts); }

/* ---------------------------------------------------------------------- command lines */

/* "a:4,b:4" of Open MPI, "a,b" of Slurm, which wants no more nodes than workers. */
static void add_hosts(const launcher *l, int64_t n_workers, words *argv)
{
    const size_t most = l->slurm && (size_t)n_workers < l->hosts.n ? (size_t)n_workers : l->hosts.n;
    char *list = NULL;
    size_t nbytes = 0, n = 0;
    FILE *out = open_memstream(&list, &nbytes);

    for (size_t i = 0; out && i < l->hosts.n && n < most; i++) {
        const host *h = &l->hosts.host[i];

        if (h->gone) continue;
        fprintf(out, "%s%s", n++ ? "," : "", h->name);
        if (!l->slurm) fprintf(out, ":%lld", (long long)h->slots);
    }
    if (!out || fclose(out) != 0) argv->lost = true;
    else words_print(argv, l->slurm ? "--nodelist=%s" : "%s", list);
    if (l->slurm) words_print(argv, "--nodes=%zu", n);
    free(list);
}

void launcher_begin(const launcher *l, int64_t n_workers, words *argv)
{
    words_add(argv, l->path);
    words_add(argv, l->slurm ? "--ntasks" : "-n");
    words_print(argv, "%lld", (long long)n_workers);
    if (l->hosts.n > 0) {
        if (!l->slurm) words_add(argv, "--host");
        add_hosts(l, n_workers, argv);
    }
    for (int i = 0; i < l->n_passed; i++) words_add(argv, l->passed[i]);
}

/* -------------------------------------------------------------------------- questions */

/* Of mpirun's options those that say how to reach a host; how workers are spread over hosts is nothing to one `true`.
 * Returns how many words it takes, 0: it is not one of them. */
static int reaching(const char *word)
{
    static const struct { const char *name; int n_words; } known[] = {
        {"mca", 3}, {"gmca", 3}, {"tune", 2}, {"am", 2}, {"prefix", 2}, {"allow-run-as-root", 1},
    };
    const char *name = word + strspn(word, "-");

    for (size_t i = 0; name > word && i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) return known[i].n_words;
    return 0;
}

static void ask_by_mpirun(const launcher *l, const host *h, words *argv)
{
    words_add(argv, "-n");
    words_add(argv, "1");
    words_add(argv, "--host");
    words_add(argv, h->name);
    for (int i = 0; i < l->n_passed; i++) {
        const int n = reaching(l->passed[i]);

        for (int k = 0; k < n && i + k < l->n_passed; k++) words_add(argv, l->passed[i + k]);
        i += n > 0 ? n - 1 : 0;
    }
}

static void ask_by_srun(const host *h, words *argv)
{
    words_print(argv, "--nodelist=%s", h->name);
    words_add(argv, "--nodes=1");
    words_add(argv, "--ntasks=1");
    words_add(argv, "--overlap");
}

static lk_status make_question(const launcher *l, const host *h, words *argv)
{
    words_add(argv, l->path);
    if (l->slurm) ask_by_srun(h, argv);
    else ask_by_mpirun(l, h, argv);
    words_add(argv, "true");
    return words_check(argv);
}

static void judge(hosts *list, const bool *answers, double seconds, bool *changed)
{
    for (size_t i = 0; i < list->n; i++) {
        host *h = &list->host[i];

        if (h->gone == !answers[i]) continue;
        h->gone = !answers[i];
        *changed = true;
        if (h->gone) fprintf(stderr, "lockstep: host %s does not answer within %g s: left out\n", h->name, seconds);
        else fprintf(stderr, "lockstep: host %s answers again\n", h->name);
    }
}

lk_status launcher_ask_hosts(launcher *l, requests *r, double seconds, bool *changed)
{
    const size_t n = l->hosts.n;

    *changed = false;
    if (n == 0) return LK_OK;
    words *question = calloc(n, sizeof *question);
    char *const **argv = calloc(n, sizeof *argv);
    bool *answers = calloc(n, sizeof *answers);
    lk_status status = question && argv && answers ? LK_OK
                                                   : LK_FAIL(LK_ERR_SYSTEM, "out of memory: questions to %zu hosts", n);
    for (size_t i = 0; status == LK_OK && i < n; i++) {
        status = make_question(l, &l->hosts.host[i], &question[i]);
        argv[i] = question[i].word;
    }
    if (status == LK_OK) status = process_try(r, argv, n, seconds, answers);
    if (status == LK_OK && !r->stop) judge(&l->hosts, answers, seconds, changed);
    for (size_t i = 0; question && i < n; i++) words_free(&question[i]);
    free(answers);
    free(argv);
    free(question);
    return status;
}
