/*
 * The program `lockstep`: finds the command, joins the world, runs it, and turns its status into one message and an
 * exit status.  Nothing else in the project exits.
 *
 * Compiled for any processor, so that on one that lacks what the rest is compiled for it can still say so.
 */
#include "launch/launch.h"

#include <string.h>

typedef struct command {
    const char *name;
    command_fn *run;
    bool single; /* the leader alone has something to do */
    const char *usage, *help;
} command;

static const command commands[] = {
    {"train", command_train, false, "RECIPE [key=value ...] [--resume]", "train, on as many workers as mpirun starts"},
    {"eval", command_eval, false, "RECIPE|RUN [--checkpoint PATH] [--data FILE]", "metrics of a checkpoint"},
    {"predict", command_predict, false, "RECIPE|RUN [--data FILE] [--out FILE] [--ema]", "outputs of a checkpoint as CSV"},
    {"plan", command_plan, false, "RECIPE [--nodes]", "what a worker will hold and do: memory, FLOPs, nodes"},
    {"lr", command_lr, true, "RECIPE... [--count N] [--csv | --plot FILE.png] [--metric FILE]", "the learning rate's course, without training"},
    {"plot", command_plot, true, "RUN [RUN ...] -o FILE.png", "losses, metrics and learning rate of runs as a picture"},
    {"ckpt", command_ckpt, true, "list|show|verify|digest|diff PATH [PATH] [--against RECIPE]", "look into checkpoints"},
    {"doctor", command_doctor, false, "", "what this machine (every worker's) has and lacks"},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *stream)
{
    fprintf(stream, "lockstep %s: data-parallel training with the same bits on any number of workers\n\n"
                    "  [mpirun -n N] lockstep COMMAND ...\n\n", LK_VERSION);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stream, "  %-8s %s\n           %s\n", commands[i].name, commands[i].usage, commands[i].help);
    options_help(stream);
    fprintf(stream, "\nexit status:");
#define PRINT_STATUS(name, exit_status, text) fprintf(stream, " %d %s%s", exit_status, text, exit_status == 75 ? "\n" : ";");
    LK_STATUS_LIST(PRINT_STATUS)
#undef PRINT_STATUS
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
    return LK_FAIL(LK_ERR_USAGE, "`%s`: no such command%s%s; see lockstep --help", name, near ? "; did you mean " : "",
                   near ? near : "");
}

static void say_failure(const options *opt)
{
    fprintf(stderr, "lockstep: %s\n", lk_error_message());
    if (opt->trace) fprintf(stderr, "  at %s\n", lk_error_trace());
}

/* A failure that all know is told by the leader; one that a worker has alone ends the job, for others may be waiting. */
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
    return status;
}

/* What the words on the command line ask for.  They are the same on every worker, so one speaks for all. */
static lk_status obey(int argc, char **argv, options *opt, const lk_world *world, const command **found)
{
    const bool leader = lk_world_rank(world) == 0;

    LK_TRY(options_parse(argc, argv, opt));
    if (opt->version || opt->help) {
        if (leader && opt->version) print_version(world);
        else if (leader) print_help(stdout);
        return LK_OK;
    }
    if (!opt->command) {
        if (leader) print_help(stderr);
        return LK_FAIL(LK_ERR_USAGE, "lockstep needs a command");
    }
    *found = find_command(opt->command);
    return *found ? options_check(opt) : unknown_command(opt->command);
}

static int run(int argc, char **argv)
{
    options opt = {.command = NULL};
    lk_world *world = NULL;
    const command *found = NULL;
    lk_status status = lk_world_new(0.0, &world);

    if (status != LK_OK) {
        say_failure(&opt);
        return status;
    }
    status = obey(argc, argv, &opt, world, &found);
    if (status != LK_OK && lk_world_rank(world) == 0) say_failure(&opt);
    if (status == LK_OK && found) status = run_command(found, &opt, world);
    lk_world_free(&world);
    return status;
}

int main(int argc, char **argv)
{
    char lacks[512];

    if (!lk_processor_lacks(lacks, sizeof lacks)) return run(argc, argv);
    fprintf(stderr, "lockstep: %s\n", lacks);
    return LK_ERR_SYSTEM;
}
