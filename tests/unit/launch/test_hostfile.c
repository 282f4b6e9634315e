/* Hostfiles, and how many workers are left with the hosts. */
#include <criterion/criterion.h>
#include <string.h>

#include "io/io.h"
#include "launch/run/hosts.h"
#include "tests/support/temp_dir.h"

static char path[512];

static void make_dir(void)
{
    make_temp_dir();
    snprintf(path, sizeof path, "%s/hosts", temp_dir);
}

TestSuite(hosts, .init = make_dir, .fini = remove_temp_dir);

static hosts read_text(const char *text)
{
    hosts list;

    cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK, "%s", lk_error_message());
    cr_assert_eq(hosts_read(path, &list), LK_OK, "%s", lk_error_message());
    return list;
}

Test(hosts, lines_of_a_hostfile)
{
    hosts list = read_text("# all of them\n\n a slots=4 max_slots=8 # the first\n"
                           "b\tmax_slots=2 slots=1\r\na slots=2\n");

    cr_assert_eq(list.n, 2, "got %zu hosts, want 2", list.n);
    cr_expect_str_eq(list.host[0].name, "a", "got %s", list.host[0].name);
    cr_expect_eq(list.host[0].slots, 6, "a: got %lld slots, want 6", (long long)list.host[0].slots);
    cr_expect_str_eq(list.host[1].name, "b", "got %s", list.host[1].name);
    cr_expect_eq(list.host[1].slots, 1, "b: got %lld slots, want 1", (long long)list.host[1].slots);
    hosts_free(&list);
}

static void expect_refusal(const char *text, const char *why)
{
    hosts list;

    cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK);
    cr_expect_eq(hosts_read(path, &list), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), why), "got `%s`, want `%s`", lk_error_message(), why);
    hosts_free(&list);
}

Test(hosts, lines_that_do_not_say_enough)
{
    expect_refusal("# nobody\n", "names no host");
    expect_refusal("a slots=1\n\nb\n", "hosts:3: say how many workers b may run");
    expect_refusal("a slots=none\n", "hosts:1:");
}

Test(hosts, workers_that_are_left)
{
    static const struct { int64_t asked; bool a_gone, b_gone; int64_t want; } cases[] = {
        {6, false, false, 6}, {6, false, true, 4}, {6, true, false, 2},  {6, true, true, 0},
        {3, false, true, 3},  {3, true, false, 2}, {12, false, true, 8}, {7, true, false, 4},
    };
    hosts list = read_text("a slots=4\nb slots=2\n");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        list.host[0].gone = cases[i].a_gone;
        list.host[1].gone = cases[i].b_gone;
        const int64_t got = hosts_workers(&list, cases[i].asked);

        cr_expect_eq(got, cases[i].want, "case %zu: got %lld workers, want %lld", i, (long long)got,
                     (long long)cases[i].want);
    }
    hosts_free(&list);
    cr_expect_eq(hosts_workers(&list, 5), 5, "without hosts all that were asked for");
}
