/* A save is of the moment it began, one at a time; `keep`, `latest` and `best` say what stays; crashes leave
 * nothing. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/ckpt_fixture.h"

static char dir[64];

static void make_dir(void) { make_folder(dir); }
static void remove_dir(void) { lk_remove_tree(dir); }

TestSuite(saver, .init = make_dir, .fini = remove_dir);

/* The steps under the folder as text: "10 20b 30l", l the latest, b the best. */
static const char *steps_there(void)
{
    static char text[256];
    lk_ckpt_entry *entries;
    size_t n, used = 0;

    OK(lk_checkpoint_list(dir, &entries, &n));
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d%s%s", i ? " " : "", (int)entries[i].step,
                                 entries[i].latest ? "l" : "", entries[i].best ? "b" : "");
    free(entries);
    return text;
}

static void save_step(lk_saver *saver, int64_t step, bool best)
{
    static int64_t best_step = -1;

    if (best) best_step = step;
    begin_all(&saver, 1, step, (int)step);
    publish_all(&saver, 1, best_step);
}

static bool is_there(const char *name)
{
    char path[256];
    struct stat info;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &info) == 0;
}

static void make_folder_with_file(const char *name)
{
    char path[256], file[512];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    cr_assert_eq(mkdir(path, 0777), 0);
    snprintf(file, sizeof file, "%s/shard-00000-of-00001.h5", path);
    fclose(fopen(file, "w"));
}

/* First element of the first tensor of a checkpoint. */
static float first_value(const char *path)
{
    lk_checkpoint *checkpoint;
    float value;

    OK(lk_checkpoint_open(path, &checkpoint));
    float rows[MOST_ELEMS];
    OK(lk_checkpoint_read(checkpoint, "model/0.weight", 0, 1, rows));
    value = rows[0];
    lk_checkpoint_free(&checkpoint);
    return value;
}

/* Long enough to write that the arrays change while the thread still works on them. */
Test(saver, what_changes_after_begin_is_not_saved)
{
    enum { ROWS = 2000, COLUMNS = 1000 };
    const size_t n_elem = (size_t)ROWS * COLUMNS;
    float *values = lk_alloc(n_elem * sizeof *values);
    const lk_ckpt_tensor model = {.path = "model/w", .ndim = 2, .shape = {ROWS, COLUMNS}, .n_elem = n_elem,
        .data = values};
    const lk_ckpt_tensor ema = {.path = "ema/w", .ndim = 2, .shape = {ROWS, COLUMNS}, .n_elem = n_elem, .data = values};
    char before[33], model_digest[33], ema_digest[33];
    lk_saver *savers[2];
    lk_checkpoint *checkpoint;
    lk_metadata *metadata = make_metadata(1);
    int64_t epoch;

    new_savers(savers, dir, 2, 3);
    for (int64_t step = 1; step <= 3; step++) { /* the first lays the files out, the others use them again */
        for (size_t i = 0; i < n_elem; i++) values[i] = (float)((i + (size_t)step) % 65521);
        OK(lk_metadata_set_int(metadata, "loader/epoch", step));
        OK(lk_digest(&model, 1, "model/", before));
        OK(lk_saver_begin(savers[0], step, &model, 1, &ema, 1, metadata));
        OK(lk_saver_begin(savers[1], step, &model, 1, NULL, 0, NULL));
        memset(values, 0xff, n_elem * sizeof *values);
        OK(lk_metadata_set_int(metadata, "loader/epoch", -1));
        publish_all(savers, 2, -1);

        OK(lk_checkpoint_open(dir, &checkpoint));
        OK(lk_checkpoint_digest(checkpoint, "model/", model_digest));
        OK(lk_checkpoint_digest(checkpoint, "ema/", ema_digest));
        OK(lk_metadata_get_int(lk_checkpoint_metadata(checkpoint), "loader/epoch", &epoch));
        cr_expect_str_eq(model_digest, before);
        cr_expect_str_eq(ema_digest, before);
        cr_expect_eq(epoch, step, "got %ld, want %ld", (long)epoch, (long)step);
        lk_checkpoint_free(&checkpoint);
    }
    free_savers(savers, 2);
    lk_metadata_free(&metadata);
    lk_free(&values);
}

typedef struct arrival { float *values; size_t n_elem; float value; lk_status status; } arrival;

/* As a device's copies do: the values come when they are waited for. */
static lk_status arrive(void *arg)
{
    const arrival *a = arg;

    if (a->status != LK_OK) return LK_FAIL(a->status, "the copy from device 0 failed");
    for (size_t i = 0; i < a->n_elem; i++) a->values[i] = a->value;
    return LK_OK;
}

Test(saver, late_tensors_are_read_when_they_have_arrived)
{
    float values[35] = {0};
    arrival a = {values, 35, 0.0f, LK_OK};
    char path[] = "model/0.weight";
    lk_ckpt_tensor model = {.path = path, .ndim = 2, .shape = {7, 5}, .n_elem = 35, .data = values};
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 2, &saver));
    lk_saver_set_source(saver, arrive, &a);
    for (int step = 1; step <= 2; step++) {
        lk_metadata *metadata = make_metadata(step);

        a.value = (float)step;
        OK(lk_saver_begin(saver, step, &model, 1, NULL, 0, metadata));
        memset(path, 'x', 5); /* paths and the list itself are the caller's again */
        publish_all(&saver, 1, -1);
        memcpy(path, "model", 5);
        lk_metadata_free(&metadata);
        cr_expect_eq(first_value(dir), a.value, "got %g, want %g", (double)first_value(dir), (double)a.value);
    }
    lk_saver_free(&saver);
}

Test(saver, late_tensors_that_do_not_arrive_fail_the_save)
{
    float values[35] = {0};
    arrival a = {values, 35, 0.0f, LK_ERR_SYSTEM};
    const lk_ckpt_tensor model = {.path = "model/0.weight", .ndim = 2, .shape = {7, 5}, .n_elem = 35, .data = values};
    lk_saver *saver;
    lk_metadata *metadata = make_metadata(1);

    OK(lk_saver_new(dir, 0, 1, 2, &saver));
    lk_saver_set_source(saver, arrive, &a);
    OK(lk_saver_begin(saver, 1, &model, 1, NULL, 0, metadata));
    cr_expect_eq(lk_saver_wait(saver), LK_ERR_SYSTEM);
    cr_expect(strstr(lk_error_message(), "the copy from device 0 failed"), "message: %s", lk_error_message());
    cr_expect_neq(lk_saver_publish(saver, -1), LK_OK);
    cr_expect_str_eq(steps_there(), "");
    lk_metadata_free(&metadata);
    lk_saver_free(&saver);
}

Test(saver, a_second_save_in_flight_is_refused_and_the_first_goes_on)
{
    lk_saver *saver;
    fixture f;

    fixture_set(&f, 9);
    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    cr_expect_not(lk_saver_busy(saver));
    begin_all(&saver, 1, 1, 1);
    cr_expect(lk_saver_busy(saver));
    cr_expect_eq(lk_saver_begin(saver, 2, f.shared, N_SHARED, NULL, 0, NULL), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "the save of step 1 is still in flight"), "message: %s",
              lk_error_message());
    OK(lk_saver_wait(saver));
    cr_expect(lk_saver_busy(saver), "written but not published is still in flight");
    OK(lk_saver_publish(saver, -1));
    cr_expect_not(lk_saver_busy(saver));
    cr_expect_eq(first_value(dir), value_of(0, 0, 1));
    lk_saver_free(&saver);
}

Test(saver, poll_says_done_when_the_file_is_there)
{
    lk_saver *saver;
    bool done = false;

    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    begin_all(&saver, 1, 4, 1);
    while (!done) {
        OK(lk_saver_poll(saver, &done));
        usleep(100);
    }
    cr_expect(is_there("step-00000004.partial/shard-00000-of-00001.h5"));
    cr_expect(is_there("step-00000004.partial/leader.h5"));
    cr_expect_not(is_there("step-00000004"), "published before it was asked for");
    OK(lk_saver_publish(saver, -1));
    cr_expect(is_there("step-00000004/index.h5"));
    cr_expect_not(is_there("step-00000004.partial"));
    lk_saver_free(&saver);
}

Test(saver, the_last_ones_stay_and_the_best_stays_beyond_them)
{
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 2, &saver));
    save_step(saver, 10, false);
    cr_expect_str_eq(steps_there(), "10l");
    save_step(saver, 20, true);
    save_step(saver, 30, false);
    cr_expect_str_eq(steps_there(), "20b 30l");
    save_step(saver, 40, false);
    save_step(saver, 50, false);
    cr_expect_str_eq(steps_there(), "20b 40 50l");
    save_step(saver, 60, true);
    save_step(saver, 70, false);
    cr_expect_str_eq(steps_there(), "60b 70l");
    lk_saver_free(&saver);
}

/* After a resume from an older step, those after it neither count for `keep` nor are removed. */
Test(saver, steps_of_an_earlier_try_that_came_further_are_left_alone)
{
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 1, &saver));
    save(dir, 1, 90, 1);
    save_step(saver, 50, false);
    cr_expect_str_eq(steps_there(), "50 90l");
    save_step(saver, 60, false);
    cr_expect_str_eq(steps_there(), "60 90l");
    save_step(saver, 100, false);
    cr_expect_str_eq(steps_there(), "100l");
    lk_saver_free(&saver);
}

static void count_warning(void *arg, const char *message)
{
    cr_expect(strstr(message, "latest"), "warning: %s", message);
    (*(int *)arg)++;
}

static void replace_by_folder(const char *link)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, link);
    unlink(path);
    cr_assert_eq(mkdir(path, 0777), 0);
}

/* As a copy by cp -rL leaves it: the names are folders now.  The newest is told by its name all the same. */
Test(saver, a_folder_in_place_of_a_link_is_a_warning_once)
{
    lk_saver *saver;
    lk_checkpoint *checkpoint;
    int n_warnings = 0;

    OK(lk_saver_new(dir, 0, 1, 1, &saver));
    lk_saver_set_warn(saver, count_warning, &n_warnings);
    save_step(saver, 1, true);
    replace_by_folder("latest");
    save_step(saver, 2, false);
    save_step(saver, 3, false);
    cr_expect_eq(n_warnings, 1, "got %d warnings, want 1", n_warnings);
    cr_expect_str_eq(steps_there(), "1b 3l");
    OK(lk_checkpoint_open(dir, &checkpoint));
    cr_expect_eq(lk_checkpoint_step(checkpoint), 3, "got step %d, want 3", (int)lk_checkpoint_step(checkpoint));
    lk_checkpoint_free(&checkpoint);
    lk_saver_free(&saver);
}

static void unlink_in(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

/* A crash between the new name and the links, and what it left to remove. */
Test(saver, mending_makes_the_links_and_removes_what_was_left)
{
    lk_saver *saver;
    int64_t best = 1;

    for (int step = 1; step <= 4; step++) save(dir, 1, step, step);
    unlink_in("latest");
    OK(lk_saver_new(dir, 0, 1, 2, &saver));
    OK(lk_saver_mend(saver, 4, &best));
    cr_expect_str_eq(steps_there(), "1b 3 4l");
    cr_expect(is_there("latest/index.h5") && is_there("best/index.h5"), "a link is missing");
    best = -1; /* an older program's: the link counts */
    OK(lk_saver_mend(saver, 4, &best));
    cr_expect_eq(best, 1, "got step %d, want 1", (int)best);
    best = 2; /* gone: removed above */
    OK(lk_saver_mend(saver, 4, &best));
    cr_expect_eq(best, -1, "got step %d, want none", (int)best);
    lk_saver_free(&saver);
}

/* What the newest checkpoint says of the best is believed, not a link. */
Test(saver, the_list_takes_the_best_from_the_newest_checkpoint)
{
    lk_saver *saver;
    lk_metadata *metadata;

    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    save_step(saver, 1, false);
    save_step(saver, 2, true);
    OK(lk_metadata_new(&metadata));
    OK(lk_metadata_set_int(metadata, LK_NOTE_BEST_STEP, 1));
    OK(lk_saver_begin(saver, 3, NULL, 0, NULL, 0, metadata));
    OK(lk_saver_publish(saver, 2));
    cr_expect_str_eq(steps_there(), "1b 2 3l");
    lk_metadata_free(&metadata);
    lk_saver_free(&saver);
}

Test(saver, a_step_saved_again_replaces_the_old_one)
{
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    begin_all(&saver, 1, 5, 1);
    publish_all(&saver, 1, -1);
    begin_all(&saver, 1, 5, 2);
    publish_all(&saver, 1, -1);
    cr_expect_str_eq(steps_there(), "5l");
    cr_expect_eq(first_value(dir), value_of(0, 0, 2), "got %g, want %g", first_value(dir), value_of(0, 0, 2));
    cr_expect_not(is_there("step-00000005.partial"));
    lk_saver_free(&saver);
}

/* The files are laid out anew when the tensors change. */
Test(saver, the_next_save_may_have_other_tensors)
{
    float data[6] = {1, 2, 3, 4, 5, 6}, back[6] = {0};
    const lk_ckpt_tensor other = {.path = "model/other", .ndim = 2, .shape = {3, 2}, .n_elem = 6, .data = data},
        read = {.path = "model/other", .ndim = 2, .shape = {3, 2}, .n_elem = 6, .data = back};
    lk_saver *savers[2];
    lk_checkpoint *checkpoint;

    new_savers(savers, dir, 2, 3);
    begin_all(savers, 2, 1, 1);
    publish_all(savers, 2, -1);
    for (int r = 0; r < 2; r++) OK(lk_saver_begin(savers[r], 2, &other, 1, NULL, 0, NULL));
    publish_all(savers, 2, -1);
    OK(lk_checkpoint_open(dir, &checkpoint));
    cr_expect_eq(lk_checkpoint_n_tensors(checkpoint), 1);
    OK(lk_checkpoint_load(checkpoint, &read, 1));
    cr_expect_arr_eq(back, data, sizeof data);
    lk_checkpoint_free(&checkpoint);
    begin_all(savers, 2, 3, 3);
    publish_all(savers, 2, -1);
    cr_expect_eq(first_value(dir), value_of(0, 0, 3));
    free_savers(savers, 2);
}

Test(saver, the_next_saver_clears_what_a_crash_left)
{
    lk_saver *saver;

    save(dir, 1, 7, 1);
    make_folder_with_file("step-00000008.partial");
    make_folder_with_file("step-00000006.deleting");
    OK(lk_saver_new(dir, 1, 2, 3, &saver));
    cr_expect(is_there("step-00000008.partial"), "part 1 has cleared what is part 0's to clear");
    lk_saver_free(&saver);
    OK(lk_saver_new(dir, 0, 2, 3, &saver));
    cr_expect_not(is_there("step-00000008.partial"));
    cr_expect_not(is_there("step-00000006.deleting"));
    cr_expect_str_eq(steps_there(), "7l");
    lk_saver_free(&saver);
}

Test(saver, a_worker_that_dies_before_publishing_leaves_the_older_checkpoint)
{
    lk_checkpoint *checkpoint;
    lk_saver *saver;

    save(dir, 1, 1, 1);
    const pid_t child = fork();
    if (child == 0) {
        OK(lk_saver_new(dir, 0, 1, 1, &saver));
        begin_all(&saver, 1, 2, 2);
        lk_saver_wait(saver);
        raise(SIGKILL);
    }
    waitpid(child, NULL, 0);
    cr_expect(is_there("step-00000002.partial/shard-00000-of-00001.h5"));
    OK(lk_checkpoint_newest(dir, NULL, NULL, &checkpoint));
    cr_expect_eq(lk_checkpoint_step(checkpoint), 1);
    lk_checkpoint_free(&checkpoint);
}

Test(saver, finish_forgets_a_save_and_part_0_removes_what_it_wrote)
{
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    begin_all(&saver, 1, 1, 1);
    OK(lk_saver_finish(saver));
    cr_expect_not(lk_saver_busy(saver));
    cr_expect_not(is_there("step-00000001.partial"));
    save_step(saver, 2, false);
    cr_expect_str_eq(steps_there(), "2l");
    lk_saver_free(&saver);
}

Test(saver, free_waits_for_the_thread_and_leaves_the_save_partial)
{
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    begin_all(&saver, 1, 1, 1);
    lk_saver_free(&saver);
    cr_expect_null(saver);
    cr_expect(is_there("step-00000001.partial/leader.h5"));
    cr_expect_str_eq(steps_there(), "");
}

Test(saver, mistakes_of_the_caller_are_usage_errors)
{
    float data[2] = {0};
    const lk_ckpt_tensor wrong = {.path = "model/w", .ndim = 2, .shape = {3, 2}, .n_elem = 2, .data = data};
    lk_saver *saver;

    cr_expect_eq(lk_saver_new(dir, 2, 2, 3, &saver), LK_ERR_USAGE);
    cr_expect_eq(lk_saver_new(dir, 0, 1, 0, &saver), LK_ERR_USAGE);
    OK(lk_saver_new(dir, 1, 2, 3, &saver));
    cr_expect_eq(lk_saver_begin(saver, 1, &wrong, 1, NULL, 0, NULL), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "model/w"), "message: %s", lk_error_message());
    cr_expect_eq(lk_saver_begin(saver, -1, NULL, 0, NULL, 0, NULL), LK_ERR_USAGE);
    cr_expect_eq(lk_saver_begin(saver, 1, NULL, 0, &wrong, 1, NULL), LK_ERR_USAGE);
    cr_expect_eq(lk_saver_publish(saver, -1), LK_ERR_USAGE);
    cr_expect_not(lk_saver_busy(saver));
    lk_saver_free(&saver);
}

Test(saver, two_tensors_of_one_name_are_an_error_that_names_it)
{
    float data[2] = {0};
    const lk_ckpt_tensor twice[] = {{.path = "model/w", .ndim = 1, .shape = {2}, .n_elem = 2, .data = data},
        {.path = "model/w", .ndim = 1, .shape = {2}, .n_elem = 2, .data = data}};
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 3, &saver));
    for (int attempt = 0; attempt < 2; attempt++) { /* what failed once is no layout to use again */
        cr_expect_neq(lk_saver_begin(saver, 1, twice, 2, NULL, 0, NULL), LK_OK);
        cr_expect(strstr(lk_error_message(), "model/w"), "message: %s", lk_error_message());
        cr_expect_not(lk_saver_busy(saver));
    }
    save_step(saver, 2, false);
    cr_expect_str_eq(steps_there(), "2l");
    lk_saver_free(&saver);
}
