/* CSV files: what is read, and the message of everything that cannot be. */
#include <math.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(csv, .fini = remove_test_files);

static char *strings[4];
static lk_words words(int n, ...)
{
    va_list args;
    va_start(args, n);
    for (int i = 0; i < n; i++) strings[i] = va_arg(args, char *);
    va_end(args);
    return (lk_words){strings, (unsigned)n};
}

static lk_data_spec csv_spec(char *train)
{
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    spec.train = train;
    spec.target = "y";
    return spec;
}

static lk_dataset *open_train(const lk_data_spec *spec, lk_loss_kind loss)
{
    lk_dataset *train, *validation;
    cr_assert_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), LK_OK, "%s", lk_error_message());
    cr_assert_null(validation);
    return train;
}

static void expect_values(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cr_expect(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])), "%s %zu: got %.9g, want %.9g", what, i,
                  (double)got[i], (double)want[i]);
}

/* Opens text as the training file and compares the message, in which FILE stands for the path. */
static void expect_message(const lk_data_spec *base, lk_loss_kind loss, const char *text, const char *want)
{
    lk_data_spec spec = *base;
    lk_dataset *train, *validation;
    char message[2048] = "", *path = write_test_text("bad.csv", text);
    spec.train = path;

    cr_expect_eq(lk_dataset_open(&spec, loss, NULL, &train, &validation), LK_ERR_DATA, "`%s` was accepted", text);
    const char *at = strstr(lk_error_message(), path);
    if (at)
        snprintf(message, sizeof message, "%.*sFILE%s", (int)(at - lk_error_message()), lk_error_message(),
                 at + strlen(path));
    else
        snprintf(message, sizeof message, "%s", lk_error_message());
    cr_expect_str_eq(message, want, "\n got: %s\nwant: %s", message, want);
    cr_expect_null(train);
    cr_expect_null(validation);
    remove_test_files();
}

/* ---------------------------------------------------------------------- good */

Test(csv, columns_keep_the_order_of_the_header_and_the_target_may_stand_anywhere)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "a,y,b\n1,10,2\n3,20,4.5\n-1e-3,30,+.5\n"));
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    cr_assert_eq(lk_dataset_n(d), 3);
    cr_assert_eq(lk_dataset_n_input(d), 2);
    cr_expect_eq(lk_dataset_n_output(d), 1);
    cr_expect_str_eq(lk_dataset_target_name(d), "y");
    expect_values("x", d->x, (float[]){1, 2, 3, 4.5f, -1e-3f, .5f}, 6);
    expect_values("y", d->target, (float[]){10, 20, 30}, 3);
    lk_dataset_free(&d);
}

Test(csv, quotes_line_ends_marks_and_blanks_are_read_as_spreadsheets_write_them)
{
    const char *same[] = {
        "a,y\n1,2\n3,4\n",
        "a,y\n1,2\n3,4",
        "a,y\r\n1,2\r\n3,4\r\n",
        "a,y\r\n1,2\r\n3,4\r\n\r\n  \r\n",
        "\xEF\xBB\xBF\x61,y\n1,2\n3,4\n", /* a byte order mark, and `a` so that it is not read as hexadecimal */
        "\"a\",\"y\"\n\"1\",\"2\"\r\n\"3\",4\n",
        " a , y \n 1 , 2\n\t3 ,\"4\" \n",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        lk_data_spec spec = csv_spec(write_test_text("t.csv", same[i]));
        lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
        cr_assert_eq(lk_dataset_n(d), 2, "form %zu has %ld rows", i, (long)lk_dataset_n(d));
        expect_values("x", d->x, (float[]){1, 3}, 2);
        expect_values("y", d->target, (float[]){2, 4}, 2);
        lk_dataset_free(&d);
        remove_test_files();
    }
}

Test(csv, quoted_cells_hold_delimiters_quotes_and_line_ends)
{
    lk_data_spec spec = csv_spec(
        write_test_text("t.csv", "\"the \"\"a\"\", in\nmetres\",c,y\n1,\"x, \"\"y\"\"\",2\n3,\"l1\nl2\",4\n"));
    spec.categorical = words(1, "c");
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    cr_expect_str_eq(d->stats->column[0].name, "the \"a\", in\nmetres");
    cr_assert_eq(d->stats->column[1].categories.n, 2);
    cr_expect_str_eq(d->stats->column[1].categories.text[0], "l1\nl2");
    cr_expect_str_eq(d->stats->column[1].categories.text[1], "x, \"y\"");
    expect_values("x", d->x, (float[]){1, 0, 1, 3, 1, 0}, 6);
    lk_dataset_free(&d);
}

Test(csv, delimiters_may_be_tabs_semicolons_and_runs_of_blanks)
{
    const struct { char *delimiter; const char *text; } same[] = {
        {"\t", "1\t2\t3\n4\t5\t6\n"},  {"tab", "1\t2\t3\n4\t5\t6\n"}, {"\\t", "1\t 2\t3 \r\n4\t5\t6\r\n"},
        {";", "1;2;3\n4;5;6\n"},       {"space", "  1 2    3\n4\t5  6  \n\n"},
        {"space", "1 2 3\r\n\"4\" 5 6\r\n"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        lk_data_spec spec = csv_spec(write_test_text("t.csv", same[i].text));
        spec.header = false;
        spec.target = "1";
        spec.delimiter = same[i].delimiter;
        lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
        cr_assert_eq(lk_dataset_n_input(d), 2, "form %zu", i);
        expect_values("x", d->x, (float[]){1, 3, 4, 6}, 4);
        expect_values("y", d->target, (float[]){2, 5}, 2);
        lk_dataset_free(&d);
        remove_test_files();
    }
}

Test(csv, ignored_columns_are_left_out_whatever_they_hold)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", ",id,a,y\n0,caf\xE9,1,2\n1,,3,4\n"));
    spec.ignore = words(2, "id", "0");
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    cr_assert_eq(lk_dataset_n_input(d), 1);
    expect_values("x", d->x, (float[]){1, 3}, 2);
    lk_dataset_free(&d);
}

Test(csv, categories_become_one_hot_columns_in_place_sorted_by_bytes)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "c,a,y\nb,1,0\n\xC3\xA4,2,0\nB,3,0\nb,4,0\n"));
    spec.categorical = words(1, "c");
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    cr_assert_eq(lk_dataset_n_input(d), 4);
    expect_values("x", d->x, (float[]){0, 1, 0, 1, 0, 0, 1, 2, 1, 0, 0, 3, 0, 1, 0, 4}, 16);
    lk_dataset_free(&d);
}

Test(csv, missing_cells_are_dropped_or_filled_from_the_training_part)
{
    const char *text = "a,c,y\n1,u,0\n,u,1\n2,v,2\nNA,,3\n9,v,4\n4,v,5\n";
    const struct { lk_missing missing; float fill; } fills[] = {
        {LK_MISSING_MEAN, 4.0f}, {LK_MISSING_MEDIAN, 3.0f}, {LK_MISSING_ZERO, 0.0f}};

    lk_data_spec spec = csv_spec(write_test_text("t.csv", text));
    strings[2] = "c", strings[3] = "NA";
    spec.categorical = (lk_words){strings + 2, 1};
    spec.missing_values = (lk_words){strings + 3, 1};
    spec.missing = LK_MISSING_DROP;
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
    cr_assert_eq(lk_dataset_n(d), 4);
    expect_values("x", d->x, (float[]){1, 1, 0, 2, 0, 1, 9, 0, 1, 4, 0, 1}, 12);
    expect_values("y", d->target, (float[]){0, 2, 4, 5}, 4);
    lk_dataset_free(&d);

    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        const float fill = fills[i].fill;
        spec.missing = fills[i].missing;
        d = open_train(&spec, LK_LOSS_MSE);
        cr_assert_eq(lk_dataset_n(d), 6);
        expect_values("x", d->x, (float[]){1, 1, 0, fill, 1, 0, 2, 0, 1, fill, 0, 0, 9, 0, 1, 4, 0, 1}, 18);
        lk_dataset_free(&d);
    }
}

Test(csv, labels_are_whole_numbers_and_the_ignored_one)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "a,y\n1,0\n2,4\n3,-100\n4,2.0\n"));
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
    const int32_t want[] = {0, 4, -100, 2};

    cr_expect(lk_dataset_has_labels(d));
    cr_expect_eq(lk_dataset_n_output(d), 5, "classes: got %zu, want 5", lk_dataset_n_output(d));
    for (int i = 0; i < 4; i++)
        cr_expect_eq(d->label[i], want[i], "label %d: got %d, want %d", i, d->label[i], want[i]);
    lk_dataset_free(&d);
}

Test(csv, classes_count_the_labels_of_validation_too)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "a,y\n1,0\n2,1\n"));
    lk_dataset *train, *validation;
    spec.validation = write_test_text("v.csv", "a,y\n1,6\n");

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &validation), LK_OK, "%s",
                 lk_error_message());
    cr_expect_eq(lk_dataset_n_output(train), 7);
    cr_expect_eq(lk_dataset_n_output(validation), 7);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

/* Two roundings, by way of double, would give 1 + 2^-23. */
Test(csv, numbers_are_rounded_once)
{
    lk_data_spec spec =
        csv_spec(write_test_text("t.csv", "a,y\n1.00000005960464477540,0\n1.00000005960464477538,0\n"));
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    expect_values("x", d->x, (float[]){1.0f + 0x1p-23f, 1.0f}, 2);
    lk_dataset_free(&d);
}

/* ------------------------------------------------------------- further files */

Test(csv, later_files_are_matched_by_name)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "a,b,y\n1,2,3\n4,5,6\n"));
    lk_dataset *train, *validation, *file;
    spec.validation = write_test_text("v.csv", "y,extra,b,a\n30,text,20,10\n");

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_OK, "%s", lk_error_message());
    expect_values("x", validation->x, (float[]){10, 20}, 2);
    expect_values("y", validation->target, (float[]){30}, 1);

    char *unlabelled = write_test_text("p.csv", "b,a\n200,100\n");
    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train), unlabelled, NULL, false, &file),
                 LK_OK, "%s", lk_error_message());
    expect_values("x", file->x, (float[]){100, 200}, 2);
    cr_expect_null(file->target);
    cr_expect_eq(lk_dataset_n_output(file), 1);
    lk_dataset_free(&file);

    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train), unlabelled, NULL, true, &file),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "has no column y (data.target)"), "%s", lk_error_message());
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train),
                                      write_test_text("q.csv", "a,y\n1,2\n"), NULL, false, &file),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "has no column b (of the training data)"), "%s", lk_error_message());
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

Test(csv, a_headerless_file_to_predict_may_lack_the_target)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "1,2,3\n4,5,6\n"));
    lk_dataset *file;
    spec.header = false;
    spec.target = "1";
    lk_dataset *train = open_train(&spec, LK_LOSS_MSE);

    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train),
                                      write_test_text("p.csv", "7,9\n"), NULL, false, &file),
                 LK_OK, "%s", lk_error_message());
    expect_values("x", file->x, (float[]){7, 9}, 2);
    lk_dataset_free(&file);
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train),
                                      write_test_text("q.csv", "1,2,3,4\n"), NULL, false, &file),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "has 4 columns, the training file had 3"), "%s", lk_error_message());
    lk_dataset_free(&train);
}

Test(csv, an_unseen_category_is_an_error_that_names_it)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "c,y\nu,1\nv,2\n"));
    lk_dataset *train, *validation;
    spec.categorical = words(1, "c");
    spec.validation = write_test_text("w.csv", "c,y\nu,1\nw,2\n");

    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(),
                     "w.csv:3: column c: `w` does not occur in the training part, which has 2 values: u, v"),
              "%s", lk_error_message());
}

Test(csv, a_row_to_predict_is_never_dropped)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "a,y\n1,2\n,4\n3,4\n"));
    lk_dataset *file;
    spec.missing = LK_MISSING_DROP;
    lk_dataset *train = open_train(&spec, LK_LOSS_MSE);

    cr_assert_eq(lk_dataset_n(train), 2);
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train),
                                      write_test_text("p.csv", "a\n1\n2\n \n"), NULL, false, &file),
                 LK_OK, "%s", lk_error_message());
    lk_dataset_free(&file);
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train),
                                      write_test_text("q.csv", "a,y\n1,\n,\n"), NULL, false, &file),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "q.csv:3: a is empty; a row to predict is never dropped"), "%s",
              lk_error_message());
    lk_dataset_free(&train);
}

/* ----------------------------------------------------------------------- bad */

Test(csv, bad_cells_are_named_with_line_and_column)
{
    lk_data_spec spec = csv_spec(NULL);
    const struct { const char *text, *want;
    } cases[] = {
        {"x3,y\n1,2\nabc,3\n",
         "FILE:3: column x3: `abc` is not a number; name the column in data.categorical or data.ignore, "
         "or the spelling in data.missing_values"},
        {"x3,y\n1.5.2,3\n",
         "FILE:2: column x3: `1.5.2` is not a number; name the column in data.categorical or data.ignore, "
         "or the spelling in data.missing_values"},
        {"x3,y\n0x10,3\n",
         "FILE:2: column x3: `0x10` is not a number; name the column in data.categorical or data.ignore, "
         "or the spelling in data.missing_values"},
        {"x3,y\nnan,3\n",
         "FILE:2: column x3: `nan` is not a number; name the column in data.categorical or data.ignore, "
         "or the spelling in data.missing_values"},
        {"x3,y\n-inf,3\n",
         "FILE:2: column x3: `-inf` is not a number; name the column in data.categorical or data.ignore, "
         "or the spelling in data.missing_values"},
        {"x3,y\n1,abc\n",
         "FILE:2: column y: `abc` is not a number; the target must be a number; if this means a missing one, "
         "name it in data.missing_values"},
        {"x3,y\n1e39,3\n", "FILE:2: column x3: `1e39` is too large for fp32"},
        {"x3,y\n1,2\n,3\n", "FILE:3: x3 is empty; set data.missing to drop, mean, median or zero"},
        {"x3,y\n1,\n", "FILE:2: y is empty; a target is never filled: set data.missing to drop"},
        {"x3,z,y\n1,\"a\nb\",2\n1,2\n",
         "FILE:2: column z: `a\nb` is not a number; name the column in data.categorical or "
         "data.ignore, or the spelling in data.missing_values"},
        {"x3,y\n1,2\n1,2,3\n", "FILE:3: 3 cells, but the header has 2; is data.delimiter right?"},
        {"x3,y\n1,2\n1\n", "FILE:3: 1 cells, but the header has 2; is data.delimiter right?"},
        {"x3,y\n1,2\n\"1,2\n3,4\n", "FILE:3: a quote opens in cell 1 and never closes"},
        {"x3,y\n1,\"2\"3\n", "FILE:2: text after the closing quote of cell 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_message(&spec, LK_LOSS_MSE, cases[i].text, cases[i].want);
}

Test(csv, bad_files_and_headers_are_named)
{
    lk_data_spec spec = csv_spec(NULL);
    const struct { const char *text, *want;
    } cases[] = {
        {"", "FILE is empty"},
        {"\xEF\xBB\xBF\n \n", "FILE is empty"},
        {"a,y\n", "FILE has no rows below its header"},
        {"a,ys\n1,2\n", "FILE has no column y (data.target); line 1 names `a`, `ys`"},
        {"a,a,y\n1,2,3\n", "FILE:1: two columns are named a"},
        {",a,y\n0,2,3\n",
         "FILE:1: column 0 has no name (a row index?): name it, or leave it out with data.ignore: [0]"},
        {"caf\xE9,y\n0,2\n", "FILE:1: the name of column 0 is not UTF-8"},
        {"y\n1\n", "FILE has no column left beside the target"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_message(&spec, LK_LOSS_MSE, cases[i].text, cases[i].want);
}

Test(csv, keys_that_name_no_column_suggest_the_nearest)
{
    lk_data_spec spec = csv_spec(NULL);
    const char *text = "price,rooms,median_value\n1,2,3\n";

    spec.target = "median_valu";
    expect_message(&spec, LK_LOSS_MSE, text,
                   "FILE has no column median_valu (data.target); did you mean median_value?");
    spec.target = "median_value";
    spec.ignore = words(1, "prices");
    expect_message(&spec, LK_LOSS_MSE, text, "FILE has no column prices (data.ignore); did you mean price?");
    spec.ignore = (lk_words){0};
    spec.categorical = words(1, "room");
    expect_message(&spec, LK_LOSS_MSE, text, "FILE has no column room (data.categorical); did you mean rooms?");
    spec.categorical = (lk_words){0};
    spec.header = false;
    expect_message(&spec, LK_LOSS_MSE, text,
                   "FILE has no column median_value (data.target); with data.header: false columns are "
                   "numbered 0 to 2");
}

Test(csv, missing_spellings_and_bad_words_are_named)
{
    lk_data_spec spec = csv_spec(NULL);

    spec.missing_values = words(1, "NA");
    expect_message(&spec, LK_LOSS_MSE, "a,y\nNA,1\n",
                   "FILE:2: a is missing (`NA`); set data.missing to drop, mean, median or zero");
    spec.missing = LK_MISSING_MEAN;
    expect_message(&spec, LK_LOSS_MSE, "a,b,y\nNA,1,1\n,2,1\n",
                   "FILE: column a has no value in the training part; add it to data.ignore");
    expect_message(&spec, LK_LOSS_MSE, "a,y\n1,NA\n",
                   "FILE:2: y is missing (`NA`); a target is never filled: set data.missing to drop");
    spec.missing = LK_MISSING_DROP;
    expect_message(&spec, LK_LOSS_MSE, "a,y\nNA,1\n1,NA\n", "FILE has no rows without missing cells");
    spec.categorical = words(1, "a");
    expect_message(&spec, LK_LOSS_MSE, "a,y\ncaf\xE9,1\n", "FILE:2: column a: `caf\xE9` is not UTF-8");
}

Test(csv, bad_labels_are_named)
{
    lk_data_spec spec = csv_spec(NULL);

    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,1.5\n",
                   "FILE:2: column y: 1.5 is not a label; labels are whole numbers from 0 (or -100: ignored)");
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,-1\n",
                   "FILE:2: column y: -1 is not a label; labels are whole numbers from 0 (or -100: ignored)");
    expect_message(
        &spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,2147483647\n",
        "FILE:2: column y: 2.14748365e+09 is not a label; labels are whole numbers from 0 (or -100: ignored)");
    expect_message(
        &spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,cat\n",
        "FILE:2: column y: `cat` is not a label; labels are whole numbers from 0, or words if data.categorical "
        "names their column");
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,-100\n",
                   "FILE: every label is -100, loss.ignore_index, and counts for nothing");
}

Test(csv, a_file_with_nul_bytes_is_no_text)
{
    lk_data_spec spec = csv_spec(write_test_file("t.csv", "a,y\n1\0,2\n", 9));
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "t.csv:2: a NUL byte: not a text file, or UTF-16; save it as UTF-8"), "%s",
              lk_error_message());
}

Test(csv, an_absent_file_is_named_and_where_paths_start)
{
    lk_data_spec spec = csv_spec("/nowhere/train.csv");
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect_str_eq(
        lk_error_message(),
        "cannot open /nowhere/train.csv: No such file or directory; names in a recipe count from its folder, those on "
        "the command line from the current one");
    spec.train = "/";
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect_str_eq(lk_error_message(), "cannot read /: Is a directory");
}

Test(csv, recipe_mistakes_are_usage_errors)
{
    lk_data_spec spec = csv_spec(write_test_text("t.csv", "a,y\n1,2\n"));
    lk_dataset *train, *validation;

    spec.delimiter = "::";
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.delimiter is `::`; it must be one character, tab or space");
    spec.delimiter = NULL;
    spec.ignore = words(1, "y");
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.ignore names y, which is the target");
    spec.ignore = (lk_words){0};
    spec.categorical = words(1, "y");
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_BCE, NULL, &train, &validation), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.categorical names y, which is the target: words as labels are for "
                     "loss.kind cross_entropy, every other loss wants numbers");
    spec.train = NULL;
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.train is missing: the file to learn from");
}

static lk_dataset *open_text(lk_data_spec spec, lk_loss_kind loss, const char *text)
{
    spec.train = write_test_text("text.csv", text);
    return open_train(&spec, loss);
}

Test(csv, blank_lines_are_no_records_and_comments_where_the_recipe_says_so)
{
    lk_data_spec spec = csv_spec(NULL);
    spec.comment = "#";
    lk_dataset *d = open_text(spec, LK_LOSS_MSE, "\n# made by hand\na,y\n1,2\n\n  \r\n#3,4\n5,6\n\n");

    cr_assert_eq(lk_dataset_n(d), 2);
    expect_values("x", d->x, (float[]){1, 5}, 2);
    lk_dataset_free(&d);
    spec.comment = NULL;
    expect_message(&spec, LK_LOSS_MSE, "# made by hand\na,y\n1,2\n",
                   "FILE has no column y (data.target); line 1 names `# made by hand`; is its first line a comment? "
                   "data.comment says how those begin");
}

Test(csv, line_ends_of_old_macs)
{
    lk_dataset *d = open_text(csv_spec(NULL), LK_LOSS_MSE, "a,y\r1,2\r3,4\r");

    cr_assert_eq(lk_dataset_n(d), 2);
    expect_values("x", d->x, (float[]){1, 3}, 2);
    lk_dataset_free(&d);
}

Test(csv, a_comma_can_be_the_decimal_sign)
{
    lk_data_spec spec = csv_spec(NULL);
    spec.decimal = ",";
    spec.delimiter = ";";
    lk_dataset *d = open_text(spec, LK_LOSS_MSE, "a;y\n1,5;-2,25\n3;4e1\n");

    expect_values("x", d->x, (float[]){1.5f, 3}, 2);
    expect_values("y", d->target, (float[]){-2.25f, 40}, 2);
    lk_dataset_free(&d);
    expect_message(
        &spec, LK_LOSS_MSE, "a;y\n1.5;2\n",
        "FILE:2: column a: `1.5` is not a number; name the column in data.categorical or data.ignore, or the "
        "spelling in data.missing_values");
    spec.decimal = ".";
    expect_message(&spec, LK_LOSS_MSE, "a;y\n1,5;2\n",
                   "FILE:2: column a: `1,5` is not a number; if a comma is the decimal sign, set data.decimal: \",\"");
}

Test(csv, a_file_of_another_form_is_described)
{
    lk_data_spec spec = csv_spec(NULL);

    expect_message(&spec, LK_LOSS_MSE, "a;y\n1;2\n",
                   "FILE has no column y (data.target); line 1 names `a;y`; is data.delimiter \";\"?");
    expect_message(&spec, LK_LOSS_MSE, "0.5,2.5\n1,2\n",
                   "FILE has no column y (data.target); line 1 names `0.5`, `2.5`; has it no header line? then set "
                   "data.header: false");
}

/* By the order of their bytes, whatever order they come in. */
Test(csv, labels_can_be_words)
{
    lk_data_spec spec = csv_spec(NULL);
    lk_dataset *train, *validation;
    spec.categorical = words(1, "y");
    spec.train = write_test_text("t.csv", "a,y\n1,dog\n2,bird\n3,dog\n4,cat\n");
    spec.validation = write_test_text("v.csv", "a,y\n1,cat\n2,dog\n");
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &validation), LK_OK, "%s",
                 lk_error_message());

    const int32_t want[] = {2, 0, 2, 1}, want_validation[] = {1, 2};
    for (int i = 0; i < 4; i++) cr_expect_eq(train->label[i], want[i], "label %d: got %d", i, train->label[i]);
    for (int i = 0; i < 2; i++) cr_expect_eq(validation->label[i], want_validation[i]);
    cr_expect_eq(lk_dataset_n_output(train), 3);
    cr_expect_str_eq(lk_dataset_class(train, 0), "bird");
    cr_expect_null(lk_dataset_class(train, 3));

    lk_dataset *again, *none;
    char *stats = strdup(lk_dataset_stats(train));
    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, stats, spec.validation, NULL, true, &again), LK_OK);
    cr_expect_eq(again->label[0], 1);
    spec.validation = write_test_text("w.csv", "a,y\n1,fish\n");
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &none, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "w.csv:2: column y: `fish` does not occur in the training part, which has 3 "
                                         "values: bird, cat, dog"), "%s", lk_error_message());
    free(stats);
    lk_dataset_free(&again);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

/* Whatever the number: 255 is no 256th class, and what is negative need not be -100. */
Test(csv, labels_to_be_ignored_are_not_counted)
{
    lk_data_spec spec = csv_spec(NULL);
    spec.ignore_index = 255;
    lk_dataset *d = open_text(spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,0\n2,255\n3,2\n");
    cr_expect_eq(lk_dataset_n_output(d), 3, "got %zu classes", lk_dataset_n_output(d));
    lk_dataset_free(&d);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,-100\n",
                   "FILE:2: column y: -100 is not a label; labels are whole numbers from 0 (or 255: ignored)");
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,255\n",
                   "FILE: every label is 255, loss.ignore_index, and counts for nothing");
    spec.ignore_index = -1;
    d = open_text(spec, LK_LOSS_CROSS_ENTROPY, "a,y\n1,0\n2,-1\n3,1\n");
    cr_expect_eq(lk_dataset_n_output(d), 2, "got %zu classes", lk_dataset_n_output(d));
    lk_dataset_free(&d);
}

Test(csv, labels_that_count_from_1_are_warned_of)
{
    lk_dataset *d = open_text(csv_spec(NULL), LK_LOSS_CROSS_ENTROPY, "a,y\n1,1\n2,2\n3,3\n");

    cr_assert_not_null(lk_dataset_warnings(d));
    cr_expect(strstr(lk_dataset_warnings(d), "text.csv: labels run from 1 to 3; they count from 0"), "%s",
              lk_dataset_warnings(d));
    lk_dataset_free(&d);
    d = open_text(csv_spec(NULL), LK_LOSS_CROSS_ENTROPY, "a,y\n1,0\n2,1\n");
    cr_expect_null(lk_dataset_warnings(d), "%s", lk_dataset_warnings(d));
    lk_dataset_free(&d);
}
