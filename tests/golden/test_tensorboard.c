/* PyPI's tensorboard reads what we write: scalars, the recipe's text, histograms; and of a resumed run each step
 * once. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "io/io.h"
#include "tests/support/temp_dir.h"

TestSuite(tensorboard, .init = make_temp_dir, .fini = remove_temp_dir);

static void must(lk_status status) { cr_assert_eq(status, LK_OK, "%s", lk_error_message()); }

static const char *find_python(void)
{
    const char *candidates[] = {getenv("LK_PYTHON"), "python3", "/usr/bin/python3"};
    char command[512];

    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        if (!candidates[i]) continue;
        snprintf(command, sizeof command, "%s -c 'import tensorboard' 2>/dev/null", candidates[i]);
        if (system(command) == 0) return candidates[i];
    }
    cr_skip_test("no python3 with tensorboard was found: pip install tensorboard, or set LK_PYTHON");
    return NULL;
}

/* What check_tensorboard.py prints of the folder is `want`, line by line. */
static void expect_read(const char *want)
{
    char command[1536], got[1 << 14];

    snprintf(command, sizeof command, "%s %s/tests/golden/check_tensorboard.py %s", find_python(), LK_SOURCE_DIR,
             temp_dir);
    FILE *output = popen(command, "r");
    cr_assert_not_null(output);
    got[fread(got, 1, sizeof got - 1, output)] = '\0';
    const int status = pclose(output);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d", command, status);
    cr_expect_str_eq(got, want, "got:\n%s\nwant:\n%s", got, want);
}

static void put_steps(lk_events *events, int64_t first, int64_t last, double factor)
{
    static const char *const tags[] = {"step/train.loss", "step/lr"};

    for (int64_t step = first; step <= last; step++)
        must(lk_events_scalars(events, step, tags, (double[]){factor * (double)step, 0.125}, 2));
}

Test(tensorboard, reads_scalars_and_no_value_for_nan)
{
    static const char *const tags[] = {"epoch/train.loss", "epoch/validation.loss"};
    lk_events *events;

    must(lk_events_open(temp_dir, 0, &events));
    must(lk_events_scalars(events, 50, tags, (double[]){0.5, NAN}, 2));
    must(lk_events_scalars(events, 100, tags, (double[]){0.1, -1.5}, 2));
    must(lk_events_scalars(events, 150, tags, (double[]){NAN, NAN}, 2));
    must(lk_events_close(&events));
    expect_read("scalars epoch/train.loss 50 0.5\n"
                "scalars epoch/train.loss 100 0.100000001\n"
                "scalars epoch/validation.loss 100 -1.5\n");
}

Test(tensorboard, reads_a_text_as_lines_of_code)
{
    lk_events *events;

    must(lk_events_open(temp_dir, 0, &events));
    must(lk_events_text(events, 0, "recipe", "run: {name: x}\n\ntrain:\n  epochs: 3"));
    must(lk_events_close(&events));
    expect_read("text recipe 0     run: {name: x}\\n    \\n    train:\\n      epochs: 3\\n\n");
}

/* Limits are 1e-12 * 1.1^k, and k = 290 the first above 1.  The outer edges are the least and the largest value: so
 * TensorBoard replaces them. */
Test(tensorboard, reads_a_histogram)
{
    const float values[] = {-2, -2, 0, 1, NAN, 1, 1, INFINITY};
    lk_events *events;

    must(lk_events_open(temp_dir, 0, &events));
    must(lk_events_histogram(events, 7, "weights/fc.weight", values, sizeof values / sizeof *values));
    must(lk_events_close(&events));
    expect_read("histograms weights/fc.weight 7 -2:-1.9662:2 -1.9662:0:0 0:1e-12:1 1e-12:0.917246:0 0.917246:1:3\n");
}

Test(tensorboard, reads_each_step_once_after_a_resume)
{
    lk_events *events;

    must(lk_events_open(temp_dir, 0, &events));
    put_steps(events, 1, 5, 1.0);
    must(lk_events_close(&events));
    must(lk_events_open(temp_dir, 4, &events)); /* resumed after step 3 */
    put_steps(events, 4, 6, 10.0);
    must(lk_events_close(&events));
    expect_read("scalars step/lr 1 0.125\nscalars step/lr 2 0.125\nscalars step/lr 3 0.125\n"
                "scalars step/lr 4 0.125\nscalars step/lr 5 0.125\nscalars step/lr 6 0.125\n"
                "scalars step/train.loss 1 1\nscalars step/train.loss 2 2\nscalars step/train.loss 3 3\n"
                "scalars step/train.loss 4 40\nscalars step/train.loss 5 50\nscalars step/train.loss 6 60\n");
}
