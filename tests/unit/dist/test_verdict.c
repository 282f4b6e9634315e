/* Whom the watchdog blames.  Ages are in seconds, the timeout is 30. */
#include <criterion/criterion.h>

#include "dist/world/verdict.h"

enum { SELF = 0 };
static const double timeout = 30;

static void expect_verdict(const lk_heartbeat_view *view, int n, lk_verdict_kind kind, int culprit)
{
    const lk_verdict got = lk_verdict_of(view, n, SELF, timeout);

    cr_expect(got.kind == kind && got.culprit == culprit, "got kind %d, culprit %d; want %d, %d", (int)got.kind,
              got.culprit, (int)kind, culprit);
}

Test(verdict, a_worker_with_progress_judges_nobody)
{
    expect_verdict((lk_heartbeat_view[]){{9, false, 29, 0.1}, {3, false, 90, 90}}, 2, LK_VERDICT_FINE, -1);
}

Test(verdict, a_stopped_process_is_blamed_even_if_it_stopped_while_waiting)
{
    expect_verdict((lk_heartbeat_view[]){{9, true, 31, 0.1}, {9, true, 32, 32}, {9, true, 31, 0.2}}, 3,
                   LK_VERDICT_STOPPED, 1);
}

Test(verdict, who_does_not_wait_and_is_late_is_blamed_at_the_lowest_step)
{
    expect_verdict((lk_heartbeat_view[]){{9, true, 31, 0.1}, {9, false, 80, 0.1}, {8, false, 31, 0.1}}, 3,
                   LK_VERDICT_STUCK, 2);
    expect_verdict((lk_heartbeat_view[]){{9, true, 31, 0.1}, {9, false, 40, 0.1}, {9, false, 80, 0.1}}, 3,
                   LK_VERDICT_STUCK, 2);
}

Test(verdict, a_worker_blames_itself_when_it_is_stuck)
{
    expect_verdict((lk_heartbeat_view[]){{9, false, 31, 0.1}, {9, true, 31, 0.1}}, 2, LK_VERDICT_STUCK, 0);
}

Test(verdict, a_slow_worker_that_moves_is_waited_for)
{
    expect_verdict((lk_heartbeat_view[]){{9, true, 90, 0.1}, {9, false, 5, 0.1}}, 2, LK_VERDICT_FINE, -1);
}

Test(verdict, a_host_where_somebody_moved_lately_is_not_blamed)
{
    expect_verdict((lk_heartbeat_view[]){{9, true, 90, 0.1}, {9, true, 5, 0.1}}, 2, LK_VERDICT_FINE, -1);
}

Test(verdict, when_all_wait_the_culprit_is_elsewhere)
{
    expect_verdict((lk_heartbeat_view[]){{9, true, 31, 0.1}, {9, true, 31, 0.1}}, 2, LK_VERDICT_ELSEWHERE, 0);
}
