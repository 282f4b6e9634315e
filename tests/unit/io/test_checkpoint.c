/* What was saved by any number of parts is read back by any other, to the bit; digests do not depend on the
 * parts. */
#include <unistd.h>

#include "tests/support/ckpt_fixture.h"

static char dir[64];

static void make_dir(void) { make_folder(dir); }
static void remove_dir(void) { lk_remove_tree(dir); }

TestSuite(checkpoint, .init = make_dir, .fini = remove_dir);

static void expect_values(const fixture *f, const lk_ckpt_tensor *tensor, size_t t, int salt)
{
    (void)f;
    for (size_t i = 0; i < tensor->n_elem; i++)
        cr_assert_eq(tensor->data[i], value_of(t, i, salt), "%s[%zu]: got %g, want %g", tensor->path, i,
                     tensor->data[i], value_of(t, i, salt));
    cr_assert_eq(tensor->data[tensor->n_elem], -1, "%s: written behind its end", tensor->path);
}

static void expect_loads(const char *path, int salt)
{
    fixture f;
    lk_checkpoint *checkpoint;

    fixture_blank(&f);
    OK(lk_checkpoint_open(path, &checkpoint));
    OK(lk_checkpoint_load(checkpoint, f.shared, N_SHARED));
    OK(lk_checkpoint_load(checkpoint, f.leader, N_LEADER));
    for (size_t t = 0; t < N_SHARED; t++) expect_values(&f, &f.shared[t], t, salt);
    for (size_t t = 0; t < N_LEADER; t++) expect_values(&f, &f.leader[t], N_SHARED + t, salt);
    lk_checkpoint_free(&checkpoint);
}

Test(checkpoint, what_any_number_of_parts_saved_loads_whole)
{
    for (int n = 1; n <= 5; n++) {
        save(dir, n, 10 * n, n);
        expect_loads(dir, n);
    }
}

/* m readers each ask for their rows of every tensor. */
static void expect_rows(lk_checkpoint *checkpoint, int m, int salt)
{
    for (size_t t = 0; t < lk_checkpoint_n_tensors(checkpoint); t++) {
        const lk_ckpt_tensor *tensor = lk_checkpoint_tensor(checkpoint, t);
        const size_t row_elems = lk_tensor_row_elems(tensor);

        for (int r = 0; r < m; r++) {
            float rows[MOST_ELEMS];
            int64_t begin, end;

            OK(lk_part_rows(lk_tensor_rows(tensor), r, m, &begin, &end));
            OK(lk_checkpoint_read(checkpoint, tensor->path, begin, end, rows));
            for (size_t i = 0; i < (size_t)(end - begin) * row_elems; i++) {
                const float want = value_of(t, i + (size_t)begin * row_elems, salt);
                cr_assert_eq(rows[i], want, "%s row %ld, part %d of %d: got %g, want %g", tensor->path,
                             (long)begin, r, m, rows[i], want);
            }
        }
    }
}

Test(checkpoint, rows_saved_by_n_parts_are_read_by_m)
{
    for (int n = 1; n <= 5; n++) {
        lk_checkpoint *checkpoint;

        save(dir, n, n, n);
        OK(lk_checkpoint_open(dir, &checkpoint));
        for (int m = 1; m <= 5; m++) expect_rows(checkpoint, m, n);
        lk_checkpoint_free(&checkpoint);
    }
}

Test(checkpoint, tensors_come_in_the_order_they_were_saved_with_their_shapes)
{
    lk_checkpoint *checkpoint;

    save(dir, 3, 1200, 1);
    OK(lk_checkpoint_open(dir, &checkpoint));
    cr_assert_eq(lk_checkpoint_step(checkpoint), 1200);
    cr_assert_eq(lk_checkpoint_n_tensors(checkpoint), N_SHARED + N_LEADER);
    for (size_t t = 0; t < N_SHARED + N_LEADER; t++) {
        const lk_ckpt_tensor *want = t < N_SHARED ? &shared_shapes[t] : &leader_shapes[t - N_SHARED];
        const lk_ckpt_tensor *got = lk_checkpoint_tensor(checkpoint, t);

        cr_expect_str_eq(got->path, want->path);
        cr_expect_eq(got->n_elem, want->n_elem, "%s: got %zu elements, want %zu", want->path, got->n_elem,
                     want->n_elem);
        cr_expect(lk_tensor_same_shape(got, want), "%s: another shape", want->path);
        cr_expect_null(got->data);
    }
    lk_checkpoint_free(&checkpoint);
}

Test(checkpoint, notes_come_back_in_order_with_their_kinds)
{
    lk_checkpoint *checkpoint;
    int64_t epoch;
    double best;
    const char *text;

    save(dir, 2, 3, 4);
    OK(lk_checkpoint_open(dir, &checkpoint));
    const lk_metadata *metadata = lk_checkpoint_metadata(checkpoint);
    cr_assert_eq(lk_metadata_n(metadata), 4);
    cr_expect_str_eq(lk_metadata_path(metadata, 0), "loader/epoch");
    cr_expect_str_eq(lk_metadata_path(metadata, 3), "run/empty");
    OK(lk_metadata_get_int(metadata, "loader/epoch", &epoch));
    cr_expect_eq(epoch, 11, "got %ld, want 11", (long)epoch);
    OK(lk_metadata_get_real(metadata, "schedule/best", &best));
    cr_expect_eq(best, 0.1 + 4, "got %.17g, want %.17g", best, 0.1 + 4);
    OK(lk_metadata_get_text(metadata, "run/recipe", &text));
    cr_expect_str_eq(text, "run: {name: \xc3\xa4}\nmodel: {}\n");
    OK(lk_metadata_get_text(metadata, "run/empty", &text));
    cr_expect_str_eq(text, "");
    lk_checkpoint_free(&checkpoint);
}

Test(checkpoint, a_checkpoint_opens_by_its_folder_its_link_its_parent_and_its_run)
{
    char path[256], expected[512];
    static const char *const names[] = {"checkpoints/step-00000007", "checkpoints/latest", "checkpoints", ""};

    snprintf(path, sizeof path, "%s/checkpoints", dir);
    save(path, 2, 7, 1);
    snprintf(expected, sizeof expected, "%s/step-00000007", path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lk_checkpoint *checkpoint;

        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        OK(lk_checkpoint_open(path, &checkpoint));
        cr_expect_str_eq(lk_checkpoint_path(checkpoint), expected);
        lk_checkpoint_free(&checkpoint);
    }
}

/* The links are for people: a run without them, or whose `latest` leads nowhere, opens by the names of its steps. */
Test(checkpoint, a_run_opens_without_its_links)
{
    char path[256];
    lk_checkpoint *checkpoint;

    snprintf(path, sizeof path, "%s/checkpoints", dir);
    save(path, 1, 7, 1);
    save(path, 1, 8, 1);
    snprintf(path, sizeof path, "%s/checkpoints/latest", dir);
    for (int dangling = 0; dangling < 2; dangling++) {
        cr_assert_eq(unlink(path), 0);
        if (dangling == 0) cr_assert_eq(symlink("step-00000009", path), 0);
        OK(lk_checkpoint_open(dir, &checkpoint));
        cr_expect_eq(lk_checkpoint_step(checkpoint), 8, "got step %d, want 8", (int)lk_checkpoint_step(checkpoint));
        lk_checkpoint_free(&checkpoint);
        if (dangling) break;
        cr_expect_eq(lk_checkpoint_open(path, &checkpoint), LK_ERR_CHECKPOINT);
        cr_expect(strstr(lk_error_message(), "is gone"), "message: %s", lk_error_message());
    }
}

/* Format 1 has room for four dimensions, whatever the engine has. */
Test(checkpoint, a_tensor_of_more_dimensions_than_the_format_is_refused)
{
    lk_ckpt_tensor wide = {.path = "model/w", .ndim = 5, .n_elem = 1};
    lk_saver *saver;

    OK(lk_saver_new(dir, 0, 1, 1, &saver));
    cr_expect_eq(lk_saver_begin(saver, 1, &wide, 1, NULL, 0, NULL), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "model/w"), "message: %s", lk_error_message());
    lk_saver_free(&saver);
}

Test(checkpoint, a_folder_that_was_moved_still_opens)
{
    char from[256], to[256];

    save(dir, 3, 5, 2);
    snprintf(from, sizeof from, "%s/step-00000005", dir);
    snprintf(to, sizeof to, "%s/elsewhere", dir);
    cr_assert_eq(rename(from, to), 0);
    expect_loads(to, 2);
}

Test(checkpoint, digests_agree_between_memory_and_every_number_of_parts)
{
    fixture f;
    char memory[33], changed[33], file[33];

    fixture_set(&f, 3);
    OK(lk_digest(f.shared, N_SHARED, "model/", memory));
    for (int n = 1; n <= 5; n++) {
        lk_checkpoint *checkpoint;

        save(dir, n, n, 3);
        OK(lk_checkpoint_open(dir, &checkpoint));
        OK(lk_checkpoint_digest(checkpoint, "model/", file));
        cr_expect_str_eq(file, memory);
        lk_checkpoint_free(&checkpoint);
    }
    f.shared[0].data[34] += 1;
    OK(lk_digest(f.shared, N_SHARED, "model/", changed));
    cr_expect_str_neq(changed, memory);
}

Test(checkpoint, a_digest_sees_names_without_the_prefix_in_name_order)
{
    float a[2] = {1, 2}, b[2] = {3, 4};
    const lk_ckpt_tensor one[] = {{.path = "model/a", .ndim = 1, .shape = {2}, .n_elem = 2, .data = a},
        {.path = "model/b", .ndim = 1, .shape = {2}, .n_elem = 2, .data = b}};
    const lk_ckpt_tensor turned[] = {{.path = "ema/b", .ndim = 1, .shape = {2}, .n_elem = 2, .data = b},
        {.path = "ema/a", .ndim = 1, .shape = {2}, .n_elem = 2, .data = a}};
    const lk_ckpt_tensor swapped[] = {{.path = "ema/a", .ndim = 1, .shape = {2}, .n_elem = 2, .data = b},
        {.path = "ema/b", .ndim = 1, .shape = {2}, .n_elem = 2, .data = a}};
    const lk_ckpt_tensor shaped[] = {{.path = "ema/a", .ndim = 2, .shape = {1, 2}, .n_elem = 2, .data = a},
        {.path = "ema/b", .ndim = 1, .shape = {2}, .n_elem = 2, .data = b}};
    char want[33], got[33];

    OK(lk_digest(one, 2, "model/", want));
    cr_expect_eq(strlen(want), 32);
    OK(lk_digest(turned, 2, "ema/", got));
    cr_expect_str_eq(got, want);
    OK(lk_digest(swapped, 2, "ema/", got));
    cr_expect_str_neq(got, want);
    OK(lk_digest(shaped, 2, "ema/", got));
    cr_expect_str_neq(got, want);
    cr_expect_eq(lk_digest(one, 2, "ema/", got), LK_ERR_CHECKPOINT);
}

/* More elements than a digest reads at once, so that it reads in several runs of rows. */
Test(checkpoint, the_digest_of_a_large_tensor_is_that_of_its_memory)
{
    enum { ROWS = 3001, COLUMNS = 701 };
    const size_t n_elem = (size_t)ROWS * COLUMNS;
    float *values = lk_alloc(n_elem * sizeof *values);
    const lk_ckpt_tensor tensor = {.path = "model/large", .ndim = 2, .shape = {ROWS, COLUMNS}, .n_elem = n_elem,
        .data = values};
    char memory[33], file[33];
    lk_saver *savers[2];
    lk_checkpoint *checkpoint;

    for (size_t i = 0; i < n_elem; i++) values[i] = (float)(i % 1000003);
    OK(lk_digest(&tensor, 1, "model/", memory));
    new_savers(savers, dir, 2, 1);
    for (int r = 0; r < 2; r++) OK(lk_saver_begin(savers[r], 1, &tensor, 1, NULL, 0, NULL));
    publish_all(savers, 2, -1);
    free_savers(savers, 2);
    OK(lk_checkpoint_open(dir, &checkpoint));
    OK(lk_checkpoint_digest(checkpoint, "model/", file));
    cr_expect_str_eq(file, memory);
    lk_checkpoint_free(&checkpoint);
    lk_free(&values);
}

Test(checkpoint, another_shape_or_an_absent_tensor_is_named)
{
    float data[MOST_ELEMS];
    const lk_ckpt_tensor shape = {.path = "model/0.weight", .ndim = 2, .shape = {5, 7}, .n_elem = 35, .data = data};
    const lk_ckpt_tensor absent = {.path = "model/9.weight", .ndim = 1, .shape = {1}, .n_elem = 1, .data = data};
    lk_checkpoint *checkpoint;

    save(dir, 2, 1, 1);
    OK(lk_checkpoint_open(dir, &checkpoint));
    cr_expect_eq(lk_checkpoint_load(checkpoint, &shape, 1), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "model/0.weight was saved with shape (7, 5), this model has (5, 7)"),
              "message: %s", lk_error_message());
    cr_expect_eq(lk_checkpoint_load(checkpoint, &absent, 1), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "model/9.weight"), "message: %s", lk_error_message());
    cr_expect_eq(lk_checkpoint_read(checkpoint, "model/0.bias", 3, 8, data), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "model/0.bias has 7 rows"), "message: %s", lk_error_message());
    lk_checkpoint_free(&checkpoint);
}

Test(checkpoint, the_list_tells_steps_sizes_and_links)
{
    lk_ckpt_entry *entries;
    lk_saver *saver;
    size_t n;

    OK(lk_checkpoint_list(dir, &entries, &n));
    cr_assert_eq(n, 0);
    free(entries);
    new_savers(&saver, dir, 1, 9);
    for (int64_t step = 1; step <= 3; step++) {
        begin_all(&saver, 1, step * 1000, 1);
        publish_all(&saver, 1, step < 2 ? -1 : 2000);
    }
    free_savers(&saver, 1);
    OK(lk_checkpoint_list(dir, &entries, &n));
    cr_assert_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(entries[i].step, (int64_t)(i + 1) * 1000);
        cr_expect_eq(entries[i].latest, i == 2);
        cr_expect_eq(entries[i].best, i == 1);
        cr_expect_gt(entries[i].nbytes, 4 * 35 * 3);
    }
    cr_expect_str_eq(entries[0].name, "step-00001000");
    free(entries);
}

Test(checkpoint, no_checkpoint_at_all_is_no_error_for_newest_but_is_for_open)
{
    lk_checkpoint *checkpoint = (lk_checkpoint *)dir;
    char absent[128];

    snprintf(absent, sizeof absent, "%s/absent", dir);
    OK(lk_checkpoint_newest(dir, NULL, NULL, &checkpoint));
    cr_expect_null(checkpoint);
    OK(lk_checkpoint_newest(absent, NULL, NULL, &checkpoint));
    cr_expect_null(checkpoint);
    cr_expect_eq(lk_checkpoint_open(absent, &checkpoint), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), absent), "message: %s", lk_error_message());
}

/* ------------------------------------------------------------------- pieces */

/* Rows of every tensor in the parts as a grid might have them: uneven, not in order of parts, all in one. */
static const lk_ckpt_piece pieces[] = {
    {0, 2, 0, 1}, {0, 0, 1, 7}, {1, 1, 0, 7}, {2, 0, 0, 2}, {2, 1, 2, 3}, {2, 2, 3, 4}, {3, 2, 0, 1}, {4, 1, 0, 1},
    {6, 1, 0, 7}, {7, 2, 0, 20}, {7, 0, 20, 23},
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

/* Part r of 3 holds of the last two tensors its rows alone, and finds them where they begin. */
static void begin_with_pieces(lk_saver *saver, int r, fixture *f)
{
    lk_metadata *metadata = make_metadata(3);

    OK(lk_saver_cut(saver, pieces, N_PIECES));
    for (size_t k = 0; k < N_PIECES; k++) {
        lk_ckpt_tensor *tensor = &f->shared[pieces[k].tensor];

        if (pieces[k].tensor < 6 || pieces[k].part != r) continue;
        tensor->is_part = true;
        tensor->begin = pieces[k].begin;
        tensor->end = pieces[k].end;
        tensor->data += (size_t)tensor->begin * lk_tensor_row_elems(tensor);
    }
    OK(lk_saver_begin(saver, 5, f->shared, N_SHARED, f->leader, r == 0 ? N_LEADER : 0, r == 0 ? metadata : NULL));
    lk_metadata_free(&metadata);
}

Test(checkpoint, pieces_of_any_cut_load_whole_and_by_rows)
{
    lk_saver *savers[3];
    lk_checkpoint *checkpoint;

    new_savers(savers, dir, 3, 1);
    for (int r = 0; r < 3; r++) {
        fixture f;

        fixture_set(&f, 3);
        begin_with_pieces(savers[r], r, &f);
    }
    publish_all(savers, 3, -1);
    free_savers(savers, 3);
    expect_loads(dir, 3);
    OK(lk_checkpoint_open(dir, &checkpoint));
    for (int m = 1; m <= 4; m++) expect_rows(checkpoint, m, 3);
    float rows[MOST_ELEMS];
    const lk_ckpt_tensor part = {.path = "optimizer/exp_avg/tall", .ndim = 3, .shape = {23, 1, 2}, .n_elem = 46,
                                 .data = rows, .is_part = true, .begin = 19, .end = 22};
    OK(lk_checkpoint_load(checkpoint, &part, 1));
    for (size_t i = 0; i < 6; i++) cr_expect_eq(rows[i], value_of(7, 38 + i, 3), "row %zu", 19 + i / 2);
    lk_checkpoint_free(&checkpoint);
}

Test(checkpoint, rows_in_no_part_or_in_several_are_refused)
{
    for (int wrong = 0; wrong < 4; wrong++) {
        lk_ckpt_piece cut[N_PIECES];
        lk_saver *saver;
        fixture f;

        memcpy(cut, pieces, sizeof cut);
        for (size_t k = 0; k < N_PIECES; k++) cut[k].part = 0;
        if (wrong == 0) cut[1].begin = 2; /* a row is missing */
        if (wrong == 1) cut[0].end = 2;   /* one is there twice */
        if (wrong == 2) cut[8].part = 1;  /* there is one part */
        if (wrong == 3) cut[10].end = 24; /* there are 23 rows */
        fixture_set(&f, 3);
        new_savers(&saver, dir, 1, 1);
        OK(lk_saver_cut(saver, cut, N_PIECES));
        cr_expect_eq(lk_saver_begin(saver, 5, f.shared, N_SHARED, NULL, 0, NULL), LK_ERR_CHECKPOINT, "case %d", wrong);
        lk_saver_free(&saver);
    }
}
