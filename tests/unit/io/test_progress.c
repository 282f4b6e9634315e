/* Progress: a redrawn bar on a terminal (a pseudo-terminal here), plain lines in a file. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "io/io.h"

enum { SEEN_BYTES = 1 << 14 };

static void read_back(FILE *file, char seen[SEEN_BYTES])
{
    rewind(file);
    seen[fread(seen, 1, SEEN_BYTES - 1, file)] = '\0';
}

Test(progress, elsewhere_the_end_is_one_plain_line)
{
    FILE *file = tmpfile();
    char seen[SEEN_BYTES];
    lk_progress *progress;

    cr_assert_eq(lk_progress_new(file, 1000, 0, &progress), LK_OK);
    for (int64_t step = 1; step <= 1000; step++) lk_progress_update(progress, step, 12300.0, 0.125);
    lk_progress_free(&progress);
    cr_expect_null(progress);
    read_back(file, seen);
    cr_expect_eq(strncmp(seen, "step 1000/1000, ", 16), 0, "saw: %s", seen);
    cr_expect(strstr(seen, ", loss 0.125, 12.3k samples/s\n"), "saw: %s", seen);
    cr_expect_eq(strchr(seen, '\n'), seen + strlen(seen) - 1, "one line, saw: %s", seen);
    cr_expect_null(strpbrk(seen, "\r\033"), "no control characters, saw: %s", seen);
    fclose(file);
}

Test(progress, elsewhere_what_is_said_is_a_line_of_its_own)
{
    FILE *file = tmpfile();
    char seen[SEEN_BYTES];
    lk_progress *progress;

    cr_assert_eq(lk_progress_new(file, 10, 0, &progress), LK_OK);
    lk_progress_say(progress, "epoch %d: loss %.2f", 1, 0.5);
    lk_progress_free(&progress);
    read_back(file, seen);
    cr_expect_str_eq(seen, "epoch 1: loss 0.50\n");
    fclose(file);
}

/* Who reads lines has had the last step's in another one. */
Test(progress, elsewhere_the_end_is_not_told_twice)
{
    FILE *file = tmpfile();
    char seen[SEEN_BYTES];
    lk_progress *progress;

    cr_assert_eq(lk_progress_new(file, 2, 0, &progress), LK_OK);
    lk_progress_update(progress, 1, 160.0, 0.5);
    lk_progress_update(progress, 2, 160.0, 0.5);
    lk_progress_say(progress, "epoch 1");
    lk_progress_update(progress, 2, 160.0, NAN);
    lk_progress_free(&progress);
    read_back(file, seen);
    cr_expect_str_eq(seen, "epoch 1\n");
    fclose(file);
}

/* The near end as a stream and the far end to read; columns wide. */
static FILE *open_terminal(unsigned short columns, int *far)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};

    setenv("TERM", "xterm", 1);
    *far = posix_openpt(O_RDWR | O_NOCTTY);
    if (*far < 0) cr_skip_test("there are no pseudo-terminals here: mount devpts on /dev/pts");
    cr_assert_eq(grantpt(*far), 0);
    cr_assert_eq(unlockpt(*far), 0);
    FILE *near = fdopen(open(ptsname(*far), O_RDWR | O_NOCTTY), "w");
    cr_assert(near);
    cr_assert_eq(ioctl(fileno(near), TIOCSWINSZ, &size), 0);
    return near;
}

/* Reads until `last` has come; the deadline only ends a test that has failed. */
static void read_terminal(int far, const char *last, char seen[SEEN_BYTES])
{
    enum { MILLISECONDS = 10000 };
    struct pollfd ready = {.fd = far, .events = POLLIN};
    size_t used = 0;

    seen[0] = '\0';
    while (!strstr(seen, last) && used < SEEN_BYTES - 1) {
        cr_assert_eq(poll(&ready, 1, MILLISECONDS), 1, "waited for %s, saw: %s", last, seen);
        const ssize_t n = read(far, seen + used, SEEN_BYTES - 1 - used);
        cr_assert_gt(n, 0, "waited for %s, saw: %s", last, seen);
        used += (size_t)n;
        seen[used] = '\0';
    }
}

Test(progress, on_a_terminal_a_bar_is_redrawn_in_place)
{
    int far;
    FILE *terminal = open_terminal(120, &far);
    char seen[SEEN_BYTES];
    lk_progress *progress;

    cr_assert_eq(lk_progress_new(terminal, 10, 0, &progress), LK_OK);
    lk_progress_update(progress, 5, 160.0, 0.5); /* the first update always shows */
    read_terminal(far, " left", seen);
    cr_expect_eq(strncmp(seen, "\r\033[K[######......]  50%  step 5/10, loss 0.5, ", 45), 0, "saw: %s", seen);
    cr_expect_null(strchr(seen, '\n'), "saw: %s", seen);

    lk_progress_say(progress, "checkpoint");
    read_terminal(far, " left", seen);
    cr_expect_eq(strncmp(seen, "\r\033[Kcheckpoint\r\n\r\033[K[####", 25), 0, "saw: %s", seen);
    lk_progress_update(progress, 9, 160.0, NAN); /* nothing newer: the loss stays to be seen */
    lk_progress_update(progress, 10, 160.0, NAN);
    lk_progress_free(&progress);
    read_terminal(far, "\r\n", seen);
    cr_expect(strstr(seen, "] 100%  step 10/10, loss 0.5, "), "saw: %s", seen);
    fclose(terminal);
    close(far);
}

/* A line that wraps could not be cleared by one carriage return. */
Test(progress, on_a_narrow_terminal_the_line_does_not_wrap)
{
    enum { COLUMNS = 40 };
    int far;
    FILE *terminal = open_terminal(COLUMNS, &far);
    char seen[SEEN_BYTES];
    lk_progress *progress;

    cr_assert_eq(lk_progress_new(terminal, 10, 0, &progress), LK_OK);
    lk_progress_update(progress, 5, 160.0, 0.123456789);
    lk_progress_free(&progress);
    read_terminal(far, "\r\n", seen);
    cr_expect_leq(strlen(seen) - strlen("\r\033[K\r\n"), COLUMNS - 1, "saw: %s", seen);
    fclose(terminal);
    close(far);
}

/* Steps of an earlier start are not counted in the rate: 2 of 4 are left at the pace of 1 done now. */
Test(progress, a_resumed_run_shows_where_it_is)
{
    FILE *file = tmpfile();
    char seen[SEEN_BYTES];
    lk_progress *progress;

    cr_assert_eq(lk_progress_new(file, 4, 1, &progress), LK_OK);
    lk_progress_update(progress, 2, 160.0, NAN);
    lk_progress_free(&progress);
    read_back(file, seen);
    cr_expect_eq(strncmp(seen, "step 2/4, ", 10), 0, "saw: %s", seen);
    cr_expect(strstr(seen, " left\n"), "saw: %s", seen);
    fclose(file);
}
