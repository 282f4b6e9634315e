/* Criterion's runner once more, for valgrind and the sanitizers: tests are written with Criterion's header and linked
 * with this in the library's place.  Criterion starts a program anew for each test and links some thirty libraries;
 * under valgrind that is two seconds a test.  Here a test is a fork, and it runs on the thread that ThreadSanitizer
 * knows.  The calls are those that the header's macros make.
 *
 *   PROGRAM [--together] [NAME ...]
 *
 * Runs the tests of the files NAME.c, without a name all that are linked.  --together: one process runs them one after
 * another, and after one that ends it a fork goes on with the next.  What valgrind has translated then serves all. */
#include <criterion/criterion.h>
#include <criterion/internal/ordered-set.h>
#include <criterion/options.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the macros put into these sections; the linker names their ends. */
extern struct criterion_test *const __start_cr_tst[], *const __stop_cr_tst[];
extern struct criterion_suite *const __start_cr_sts[] __attribute__((weak)), *const __stop_cr_sts[]
    __attribute__((weak));

struct criterion_options criterion_options; /* the macros ask it for full_stats */

static const struct criterion_test *test;
static const struct criterion_test_extra_data *suite;
static jmp_buf end_of_test;
static bool failed, skipped;
static bool left_early; /* a test of this process, which was skipped and so freed nothing of what it had begun with */

/* Shared with the forks, which count: what one of them had begun when it ended is known. */
static struct progress {
    size_t next;             /* the test to run */
    int n_tested, n_failed;
} *progress;

/* ------------------------------------------------------- what the macros call */

void criterion_internal_test_setup(void)
{
    if (suite && suite->init) suite->init();
    if (test->data->init) test->data->init();
}

void criterion_internal_test_main(void (*body)(void))
{
    if (!setjmp(end_of_test)) body();
}

void criterion_internal_test_teardown(void)
{
    if (test->data->fini) test->data->fini();
    if (suite && suite->fini) suite->fini();
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (!stats->passed)
        printf("[----] %s:%u: Assertion Failed\n[----]   %s\n", stats->file, stats->line, stats->message);
}

void cri_asserts_passed_incr(void)
{
}

void criterion_continue_test(void)
{
    failed = true;
}

void criterion_abort_test(void)
{
    failed = true;
    longjmp(end_of_test, 1);
}

void criterion_skip_test(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("[SKIP] %s/%s: ", test->category, test->name);
    vprintf(format, ap);
    puts("");
    va_end(ap);
    skipped = true;
    longjmp(end_of_test, 1);
}

static char *format_text(const char *format, va_list ap)
{
    char *text;
    if (vasprintf(&text, format, ap) < 0) abort();
    return text;
}

int cr_asprintf(char **text, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    *text = format_text(format, ap);
    va_end(ap);
    return (int)strlen(*text);
}

void cr_asprintf_free(char *text)
{
    free(text);
}

/* The condition's own text, which the macro gives where the test has no message. */
char *cr_translate_assert_msg(int kind, ...)
{
    char *text;
    va_list ap;
    va_start(ap, kind);
    cr_asprintf(&text, "the expression is false: %s", va_arg(ap, const char *));
    va_end(ap);
    return text;
}

void cr_log(enum criterion_severity severity, const char *format, ...)
{
    va_list ap;
    (void)severity;
    va_start(ap, format);
    vprintf(format, ap);
    puts("");
    va_end(ap);
}

/* ------------------------------------------------------- the runner */

static const struct criterion_test_extra_data *suite_of(const char *name)
{
    for (struct criterion_suite *const *s = __start_cr_sts; s < __stop_cr_sts; s++)
        if (*s && !strcmp((*s)->name, name)) return (*s)->data;
    return NULL;
}

/* Whether the test's file is one of the names; no names mean all. */
static bool is_wanted(char **names)
{
    const char *base = strrchr(test->data->file_, '/'), *file = base ? base + 1 : test->data->file_;
    if (!*names) return true;
    for (; *names; names++) {
        const size_t n = strlen(*names);
        if (!strncmp(file, *names, n) && !strcmp(file + n, ".c")) return true;
    }
    return false;
}

static void say_failed(void)
{
    printf("[FAIL] %s/%s\n", test->category, test->name);
}

static void run_test(void)
{
    suite = suite_of(test->category);
    failed = skipped = false;
    progress->n_tested++, progress->n_failed++; /* until it is back: who ends the process has failed */
    test->test();
    if (failed) say_failed();
    else progress->n_failed--;
    if (skipped && !failed) progress->n_tested--;
    left_early = left_early || skipped;
    fflush(stdout);
}

/* In the fork: a test, or as many as leave it alive. */
static void run_tests(size_t n_tests, char **names, bool together)
{
    do {
        test = __start_cr_tst[progress->next++];
        if (test && is_wanted(names)) run_test();
    } while (together && progress->next < n_tests);
    fflush(NULL);
    if (left_early) _exit(0); /* no word on leaks */
    exit(0);
}

static void run_in_child(size_t n_tests, char **names, bool together)
{
    const int before = progress->n_failed;
    int status;

    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) perror("fork"), exit(1);
    if (child == 0) run_tests(n_tests, names, together);
    waitpid(child, &status, 0);
    if (status == 0) return;
    if (progress->n_failed == before) progress->n_failed++; /* at the end of a process: a leak */
    if (WIFSIGNALED(status)) printf("[----] %s\n", strsignal(WTERMSIG(status)));
    test = __start_cr_tst[progress->next - 1];
    say_failed();
}

int main(int argc, char **argv)
{
    const bool together = argc > 1 && !strcmp(argv[1], "--together");
    char **names = argv + 1 + together;
    const size_t n_tests = (size_t)(__stop_cr_tst - __start_cr_tst);

    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) perror("mmap"), exit(1);
    while (progress->next < n_tests) {
        test = __start_cr_tst[progress->next];
        if (test && is_wanted(names)) run_in_child(n_tests, names, together);
        else progress->next++;
    }
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d\n", progress->n_tested,
           progress->n_tested - progress->n_failed, progress->n_failed);
    return progress->n_failed > 0;
}
