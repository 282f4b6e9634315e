/*
 * The program `lockstep`: finds the command, joins the world, runs it, and turns its status into one message and an
 * exit status.  Nothing else in the project exits.
 *
 * Compiled for any processor, so that on one that lacks what the rest is compiled for it can still say so.
 */
#include "launch/launch.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

typedef struct command {
    const char *name;
    command_fn *run;
    bool single; /* the leader alone has something to do */
    const char *usage, *help;
} command;

static const command commands[] = {
    {"train", command_train, false, "RECIPE [key=value ...] [--resume]", "train, on as many workers as mpirun starts"},
    {"run", command_run, true, "RECIPE -n N [--hostfile FILE] [key=value ...] [-- mpirun's options]",
     "start mpirun and train; restart from the newest checkpoint when a worker or host is lost"},
    {"verify", command_verify, true, "RECIPE [--workers 1,2,4] [--steps N] [--json FILE] [-- mpirun's options]",
     "prove that several numbers of workers, and a kill and a resume, give the same bits here"},
    {"eval", command_eval, false, "RECIPE|RUN [--checkpoint PATH] [--data FILE]", "metrics of a checkpoint"},
    {"predict", command_predict, false, "RECIPE|RUN [--data FILE] [--out FILE] [--ema]",
     "outputs of a checkpoint as CSV"},
    {"translate", command_translate, false,
     "RECIPE|RUN [--beam K] [--length-penalty A] [--ema] [--attention FILE.png] [TEXT ...]",
     "sentences (standard input's lines without TEXT) and what a run of pairs makes of them, a tab between"},
    {"generate", command_generate, false,
     "RECIPE|RUN [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K] [--top-p P] [--seed S] [--ema]",
     "a text that a run of tokens goes on with"},
    {"data", command_data, true, "RECIPE [--validation] [--out FILE]", "the samples that a recipe generates, as CSV"},
    {"tokenize", command_tokenize, true, "FILE [FILE ...] --merges FILE | --learn N --out FILE",
     "texts as a file of GPT-2's tokens, for data.kind tokens; with --learn, the list of merges that makes tokens"},
    {"plan", command_plan, false, "RECIPE [--nodes] [--cluster W --mtbf HOURS]",
     "what a worker will hold and do: memory, FLOPs, groups, nodes; what a cluster that fails makes of its time"},
    {"lr", command_lr, true, "RECIPE... [--count N] [--csv | --plot FILE.png [--vary KEY=A,B]] [--metric FILE]",
     "the learning rate's course, without training"},
    {"plot", command_plot, true, "RUN [RUN ...] -o FILE.png | RECIPE --batch [-o FILE.png]",
     "losses, metrics and learning rate of runs as a picture; or a recipe's first batch of images"},
    {"ckpt", command_ckpt, true, "list|show|verify|digest|diff|export PATH [PATH ...] [--against RECIPE] [-o FILE]",
     "look into checkpoints; verify: all of a run; diff: status 1 where two differ; export: safetensors"},
    {"bench", command_bench, false,
     "step RECIPE | reduce [--sizes A,B] [--algorithms A,B] | checkpoint RECIPE|--size BYTES |\n"
     "            scaling RECIPE [--busy MS] [-o FILE.png]",
     "step: what a training step costs, layer by layer; reduce: time and bandwidth of sums over workers; "
     "checkpoint: what a save and a resume cost; scaling: steps on 1 to all workers, and what they will take on "
     "10,000"},
    {"doctor", command_doctor, false, "", "what this machine (every worker's) has and lacks"},
    {"keys", NULL, true, "[SECTION] [--markdown]", "the keys of a recipe, with their defaults"},
    {"help", NULL, true, "[COMMAND|KEY|SECTION]", "a command, a key of the recipe (optimizer.lr) or a section of it"},
};

enum {
    N_COMMANDS = sizeof commands / sizeof commands[0],
    HELP_KEY_BYTES = 256,
    OWN_MAPPING_NBYTES = 1 << 20, /* a block from this size on is mapped for itself, and given back when it is freed */
};

static void print_help(FILE *stream)
{
    fprintf(stream, "lockstep %s: data-parallel training with the same bits on any number of workers\n\n"
                    "  [mpirun -n N] lockstep COMMAND ...\n\n", LK_VERSION);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stream, "  %-9s %s\n            %s\n", commands[i].name, commands[i].usage, commands[i].help);
    options_help(stream, NULL);
    fprintf(stream, "\nexit status:");
#define PRINT_STATUS(name, exit_status, text) \
    fprintf(stream, " %d %s%s", exit_status, text, exit_status == 75 ? "\n" : ";");
    LK_STATUS_LIST(PRINT_STATUS)
#undef PRINT_STATUS
}

static void print_command_help(const command *c)
{
    printf("lockstep %s %s\n    %s\n", c->name, c->usage, c->help);
    options_help(stdout, c->name);
    printf("\nAny key of a recipe can be set behind it: optimizer.lr=0.05; `lockstep keys` lists them.\n");
}

static const command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static lk_status unknown_command(const char *name)
{
    const char *names[N_COMMANDS];

    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
    const char *near = lk_nearest(name, names, N_COMMANDS);
    if (near) return LK_FAIL(LK_ERR_USAGE, "`%s`: no such command; did you mean %s?", name, near);
    return LK_FAIL(LK_ERR_USAGE, "`%s`: no such command; see lockstep --help", name);
}

static void say_failure(const options *opt)
{
    fprintf(stderr, "lockstep: %s\n", lk_error_message());
    if (opt->trace) fprintf(stderr, "  at %s\n", lk_error_trace());
}

/* A failure that all know is told by the leader; one that a worker has alone ends the job, for others may be
 * waiting. */
static lk_status run_command(const command *found, const options *opt, lk_world *world)
{
    job j = {.world = world, .leader = lk_world_rank(world) == 0};
    lk_status status = LK_OK;

    if (!found->single || j.leader) status = found->run(&j, opt);
    if (status != LK_OK && status != LK_STOPPED) {
        if (!found->single && !j.agreed && lk_world_size(world) > 1) {
            if (opt->trace) fprintf(stderr, "  at %s\n", lk_error_trace());
            lk_world_abort(world, status, lk_error_message());
        }
        if (j.leader) say_failure(opt);
    }
    job_close(&j);
    return status == LK_OK && j.differs ? LK_ERR_SYSTEM : status;
}

/* ------------------------------------------------------------------- words */

/* Commands that only print what is known without a world: no launcher has to be in order for them. */
static bool is_text(const options *opt)
{
    return opt->version || opt->help ||
           (opt->command && (strcmp(opt->command, "help") == 0 || strcmp(opt->command, "keys") == 0));
}

static lk_status help_on_command(const char *name)
{
    const command *found = find_command(name);

    if (!found) return unknown_command(name);
    print_command_help(found);
    return LK_OK;
}

/* A command, or a key or section of the recipe, a key also by its last word. */
static lk_status help_on(const char *word)
{
    char key[HELP_KEY_BYTES];

    if (find_command(word)) return help_on_command(word);
    if (!strchr(word, '.') && lk_recipe_find_key(word, key, sizeof key)) word = key;
    return lk_recipe_help(stdout, word);
}

static lk_status tell(const options *opt)
{
    const char *word = opt->n_positional ? opt->positional[0] : NULL;
    const bool keys = opt->command && strcmp(opt->command, "keys") == 0;

    if (opt->version) {
        print_version();
        return LK_OK;
    }
    if (opt->help && opt->command) return help_on_command(opt->command);
    if (opt->n_positional > 1) return LK_FAIL(LK_ERR_USAGE, "lockstep %s takes one word", opt->command);
    LK_TRY(opt->help ? LK_OK : options_check(opt));
    if (keys && opt->markdown) lk_recipe_reference(stdout);
    else if (keys) return lk_recipe_help(stdout, word);
    else if (word) return help_on(word);
    else print_help(stdout);
    return LK_OK;
}

/* What the words on the command line ask for. */
static lk_status find(const options *opt, const command **found)
{
    if (!opt->command) return LK_FAIL(LK_ERR_USAGE, "a command is missing");
    *found = find_command(opt->command);
    return *found ? options_check(opt) : unknown_command(opt->command);
}

/* Standard output is buffered, so a full disk may show only now. */
static lk_status close_output(lk_status status)
{
    const bool bad = fflush(stdout) != 0 || ferror(stdout);

    if (!bad || status != LK_OK) return status;
    fprintf(stderr, "lockstep: cannot write to standard output: %s\n", strerror(errno));
    return LK_ERR_SYSTEM;
}

/* One process speaks.  The others wait for it in the world, for a launcher ends all as soon as one has failed. */
static lk_status run(const options *opt, lk_status words)
{
    lk_world *world = NULL;
    const command *found = NULL;

    if (words == LK_OK) words = find(opt, &found);
    if (words != LK_OK && lk_launched_first()) {
        if (!opt->command) print_help(stderr);
        say_failure(opt);
    }
    lk_status status = lk_world_new(0.0, &world);
    if (status != LK_OK && words == LK_OK) say_failure(opt);
    if (status == LK_OK && words == LK_OK) status = run_command(found, opt, world);
    lk_world_free(&world);
    return words != LK_OK ? words : status;
}

static int answer(int argc, char **argv)
{
    options opt;
    const lk_status words = options_parse(argc, argv, &opt);

    /* A request to stop may come at any time from now on; only training has something to save. */
    if (words == LK_OK && opt.command && strcmp(opt.command, "train") == 0) signals_install();
    if (words != LK_OK || !is_text(&opt)) return close_output(run(&opt, words));
    if (!lk_launched_first()) return LK_OK;
    const lk_status status = tell(&opt);
    if (status != LK_OK) say_failure(&opt);
    return close_output(status);
}

int main(int argc, char **argv)
{
    char lacks[512];

    /* glibc would raise the limit with each large block that is freed, and keep those below it: what a worker holds
     * would follow the order in which its threads free, and not what `plan` says. */
    mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_NBYTES);
    if (!lk_processor_lacks(lacks, sizeof lacks)) return answer(argc, argv);
    fprintf(stderr, "lockstep: %s\n", lacks);
    return LK_ERR_SYSTEM;
}
