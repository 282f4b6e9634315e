/* Criterion's runner once more, for valgrind and the sanitizers: tests are written with Criterion's header and linked
 * with this in the library's place.  Criterion starts a program anew for each test and links some thirty libraries;
 * under valgrind that is two seconds a test.  Here a test is a fork, and it runs on the thread that ThreadSanitizer
 * knows.  The calls are those that the header's macros make. */
#include <criterion/criterion.h>
#include <criterion/internal/ordered-set.h>
#include <criterion/options.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 1, SKIPPED = 77 }; /* how a test's process ends, beside 0 */

/* What the macros put into these sections; the linker names their ends. */
extern struct criterion_test *const __start_cr_tst[], *const __stop_cr_tst[];
extern struct criterion_suite *const __start_cr_sts[] __attribute__((weak)), *const __stop_cr_sts[]
    __attribute__((weak));

struct criterion_options criterion_options; /* the macros ask it for full_stats */

static const struct criterion_test *test;
static const struct criterion_test_extra_data *suite;
static jmp_buf end_of_test;
static bool failed;

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
    exit(SKIPPED);
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

static int run_in_child(void)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) perror("fork"), exit(FAILED);
    if (child == 0) {
        test->test();
        exit(failed ? FAILED : 0);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

int main(void)
{
    int n_tested = 0, n_failed = 0;
    for (struct criterion_test *const *t = __start_cr_tst; t < __stop_cr_tst; t++) {
        if (!*t) continue;
        test = *t;
        suite = suite_of(test->category);
        const int status = run_in_child();
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) continue;
        n_tested++;
        if (status == 0) continue;
        n_failed++;
        if (WIFSIGNALED(status)) printf("[----] %s\n", strsignal(WTERMSIG(status)));
        printf("[FAIL] %s/%s\n", test->category, test->name);
    }
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d\n", n_tested, n_tested - n_failed, n_failed);
    return n_failed > 0;
}
