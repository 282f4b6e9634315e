/* Whatever happens to the files of a checkpoint, or to the disk under a save, is one clear error that names the
 * file, and the older checkpoint still loads. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/ckpt_fixture.h"

enum { N = 3, FLIPS = 150, MOST_BYTES = 1 << 16 };

static char dir[64];

static void make_dir(void) { make_folder(dir); }
static void remove_dir(void)
{
    umount(dir); /* the full disk, also when its test failed */
    lk_remove_tree(dir);
}

TestSuite(checkpoint_faults, .init = make_dir, .fini = remove_dir);

/* ------------------------------------------------------------------- files */

typedef struct bytes {
    char path[512];
    size_t n;
    unsigned char byte[MOST_BYTES];
} bytes;

static void load_bytes(int64_t step, const char *file, bytes *out)
{
    snprintf(out->path, sizeof out->path, "%s/step-%08d/%s", dir, (int)step, file);
    FILE *stream = fopen(out->path, "rb");
    cr_assert_not_null(stream, "%s: %s", out->path, strerror(errno));
    out->n = fread(out->byte, 1, sizeof out->byte, stream);
    cr_assert_lt(out->n, sizeof out->byte);
    fclose(stream);
}

static void store_bytes(const char *path, const bytes *b, size_t n)
{
    FILE *stream = fopen(path, "wb");

    cr_assert_not_null(stream);
    cr_assert_eq(fwrite(b->byte, 1, n, stream), n);
    cr_assert_eq(fclose(stream), 0);
}

static void copy_file(int64_t from_step, const char *from, int64_t to_step, const char *to)
{
    bytes source, target;

    load_bytes(from_step, from, &source);
    load_bytes(to_step, to, &target);
    store_bytes(target.path, &source, source.n);
}

/* Opening must fail, with all these words in its message. */
static void expect_bad(const char *path, const char *first, const char *second)
{
    lk_checkpoint *checkpoint = NULL;
    const lk_status status = lk_checkpoint_open(path, &checkpoint);

    cr_expect_eq(status, LK_ERR_CHECKPOINT, "got status %d (%s), want %d; %s %s", status, lk_error_message(),
                 LK_ERR_CHECKPOINT, first, second);
    if (status != LK_OK)
        cr_expect(strstr(lk_error_message(), first) && strstr(lk_error_message(), second),
                  "message: %s, want: %s ... %s", lk_error_message(), first, second);
    lk_checkpoint_free(&checkpoint);
}

static void expect_good(const char *path)
{
    lk_checkpoint *checkpoint = NULL;

    OK(lk_checkpoint_open(path, &checkpoint));
    lk_checkpoint_free(&checkpoint);
}

static const char *const all_files[] = {"shard-00000-of-00003.h5", "shard-00001-of-00003.h5",
                                        "shard-00002-of-00003.h5", "leader.h5", "index.h5"};
enum { N_FILES = sizeof all_files / sizeof *all_files };

/* ------------------------------------------------------------------ damage */

Test(checkpoint_faults, a_missing_file_is_named)
{
    bytes file;

    save(dir, N, 1, 1);
    for (int i = 0; i < N_FILES; i++) {
        load_bytes(1, all_files[i], &file);
        cr_assert_eq(unlink(file.path), 0);
        if (i + 1 < N_FILES)
            expect_bad(dir, all_files[i], "is missing: restore it or resume from an older checkpoint");
        else
            expect_bad(dir, "index.h5", "is missing");
        store_bytes(file.path, &file, file.n);
        expect_good(dir);
    }
}

Test(checkpoint_faults, a_cut_file_is_named_with_both_lengths)
{
    bytes file;
    char lengths[128];

    save(dir, N, 1, 1);
    for (int i = 0; i < N_FILES; i++) {
        load_bytes(1, all_files[i], &file);
        const size_t cuts[] = {file.n - 1, file.n / 2, LK_FILE_HEADER_BYTES};
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            store_bytes(file.path, &file, cuts[c]);
            snprintf(lengths, sizeof lengths, "is cut: %zu of its %zu bytes", cuts[c], file.n);
            expect_bad(dir, all_files[i], lengths);
        }
        /* The index alone knows its length from its own seal, which is then gone. */
        store_bytes(file.path, &file, 0);
        expect_bad(dir, all_files[i], i + 1 < N_FILES ? "is cut: 0 of its" : "is damaged");
        store_bytes(file.path, &file, file.n);
    }
    expect_good(dir);
}

Test(checkpoint_faults, a_longer_file_is_named)
{
    bytes file;

    save(dir, N, 1, 1);
    for (int i = 0; i < N_FILES; i++) {
        load_bytes(1, all_files[i], &file);
        file.byte[file.n] = 0;
        store_bytes(file.path, &file, file.n + 1);
        expect_bad(dir, all_files[i], "has been changed");
        store_bytes(file.path, &file, file.n);
    }
}

Test(checkpoint_faults, one_flipped_bit_anywhere_in_any_file_is_found)
{
    bytes file;
    uint64_t random = 1;

    save(dir, N, 1, 1);
    for (int i = 0; i < N_FILES; i++) {
        load_bytes(1, all_files[i], &file);
        for (int flip = 0; flip < FLIPS; flip++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            const size_t place = (size_t)(random >> 33) % file.n;
            const unsigned char bit = (unsigned char)(1 << (flip % 8));

            file.byte[place] ^= bit;
            store_bytes(file.path, &file, file.n);
            expect_bad(dir, all_files[i], "older checkpoint");
            file.byte[place] ^= bit;
        }
        store_bytes(file.path, &file, file.n);
    }
    expect_good(dir);
}

Test(checkpoint_faults, one_flipped_bit_anywhere_in_a_seal_is_found)
{
    bytes file;

    save(dir, N, 1, 1);
    for (int i = 0; i < N_FILES; i += 4) {
        load_bytes(1, all_files[i], &file);
        for (size_t place = 0; place < LK_FILE_HEADER_BYTES; place++) {
            file.byte[place] ^= (unsigned char)(1 << place % 8);
            store_bytes(file.path, &file, file.n);
            expect_bad(dir, all_files[i], "older checkpoint");
            file.byte[place] ^= (unsigned char)(1 << place % 8);
        }
        store_bytes(file.path, &file, file.n);
    }
}

/* Flips the last bit of the mantissa of one element, found by its value. */
static void damage_element(const char *name, size_t tensor, size_t element)
{
    const float value = value_of(tensor, element, 1);
    bytes file;

    load_bytes(1, name, &file);
    unsigned char *place = memmem(file.byte, file.n, &value, sizeof value);
    cr_assert_not_null(place, "%s does not hold %g", name, value);
    *place ^= 1;
    store_bytes(file.path, &file, file.n);
}

Test(checkpoint_faults, the_damaged_tensor_and_its_rows_are_named)
{
    save(dir, N, 1, 1);
    damage_element("shard-00001-of-00003.h5", 6, 3 * 5); /* rows 3 and 4 of 7 are part 1's */
    expect_bad(dir, "shard-00001-of-00003.h5: /optimizer/exp_avg/0.weight rows 3..4 is damaged (checksum)",
               "restore it or resume from an older checkpoint");
    save(dir, N, 1, 1);
    damage_element("leader.h5", N_SHARED, 34);
    expect_bad(dir, "leader.h5: /ema/0.weight rows 0..6 is damaged", "");
    save(dir, N, 1, 1);
    damage_element("shard-00000-of-00003.h5", 4, 0);
    expect_bad(dir, "shard-00000-of-00003.h5: /model/scalar rows 0..0 is damaged", "");
}

Test(checkpoint_faults, a_damage_after_opening_is_found_when_the_piece_is_read)
{
    lk_checkpoint *checkpoint;
    fixture f;

    fixture_blank(&f);
    save(dir, N, 1, 1);
    OK(lk_checkpoint_open(dir, &checkpoint));
    damage_element("shard-00002-of-00003.h5", 0, 34);
    cr_expect_eq(lk_checkpoint_load(checkpoint, f.shared, N_SHARED), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "shard-00002-of-00003.h5: /model/0.weight rows 5..6 is damaged"),
              "message: %s", lk_error_message());
    lk_checkpoint_free(&checkpoint);
}

/* ---------------------------------------------------------- intact but wrong */

/* By its name: the folder would fall back to step 1. */
static void expect_step_2_bad(const char *first, const char *second)
{
    char path[256];

    snprintf(path, sizeof path, "%s/step-00000002", dir);
    expect_bad(path, first, second);
}

Test(checkpoint_faults, a_shard_of_another_step_is_told_from_a_damaged_one)
{
    save(dir, N, 1, 1);
    save(dir, N, 2, 2);
    copy_file(1, all_files[1], 2, all_files[1]);
    expect_step_2_bad(all_files[1], "is not of this checkpoint: it was saved as shard-00001-of-00003.h5 of step 1");
}

Test(checkpoint_faults, a_shard_of_another_run_at_the_same_step_is_told)
{
    bytes foreign;

    save(dir, N, 1, 5);
    load_bytes(1, all_files[2], &foreign);
    save(dir, N, 1, 1);
    store_bytes(foreign.path, &foreign, foreign.n);
    expect_bad(dir, all_files[2], "is not of this checkpoint: it was saved as shard-00002-of-00003.h5 of step 1 by "
                                  "another save");
}

Test(checkpoint_faults, swapped_shards_are_told)
{
    bytes first, second;

    save(dir, N, 1, 1);
    load_bytes(1, all_files[1], &first);
    load_bytes(1, all_files[2], &second);
    store_bytes(first.path, &second, second.n);
    store_bytes(second.path, &first, first.n);
    expect_bad(dir, all_files[1], "is not of this checkpoint: it was saved as shard-00002-of-00003.h5");
}

Test(checkpoint_faults, a_leader_file_or_an_index_of_another_step_is_told)
{
    save(dir, N, 1, 1);
    save(dir, N, 2, 2);
    copy_file(1, "leader.h5", 2, "leader.h5");
    expect_step_2_bad("leader.h5", "is not of this checkpoint");
    save(dir, N, 2, 2);
    copy_file(1, "index.h5", 2, "index.h5");
    expect_step_2_bad(all_files[0], "is not of this checkpoint: it was saved as shard-00000-of-00003.h5 of step 2");
}

Test(checkpoint_faults, a_shard_in_place_of_the_index_is_told)
{
    save(dir, N, 1, 1);
    copy_file(1, all_files[0], 1, "index.h5");
    expect_bad(dir, "index.h5", "is not of this checkpoint: it was saved as shard-00000-of-00003.h5");
}

/* --------------------------------------------------------------- falling back */

typedef struct warnings {
    int n;
    char last[2048];
} warnings;

static void count_warning(void *arg, const char *message)
{
    warnings *seen = arg;

    seen->n++;
    snprintf(seen->last, sizeof seen->last, "%s", message);
}

Test(checkpoint_faults, newest_warns_of_each_bad_one_and_falls_back_to_the_newest_good_one)
{
    lk_checkpoint *checkpoint;
    warnings seen = {0};
    bytes file;
    char partial[256];

    for (int step = 1; step <= 3; step++) save(dir, N, step, step);
    load_bytes(3, all_files[0], &file);
    unlink(file.path);
    load_bytes(2, "index.h5", &file);
    store_bytes(file.path, &file, file.n / 2);
    snprintf(partial, sizeof partial, "%s/step-00000009.partial", dir);
    cr_assert_eq(mkdir(partial, 0777), 0);

    OK(lk_checkpoint_newest(dir, count_warning, &seen, &checkpoint));
    cr_assert_not_null(checkpoint);
    cr_expect_eq(lk_checkpoint_step(checkpoint), 1);
    cr_expect_eq(seen.n, 2, "got %d warnings, want 2", seen.n);
    cr_expect(strstr(seen.last, "step-00000002/index.h5 is cut"), "warning: %s", seen.last);
    lk_checkpoint_free(&checkpoint);
}

Test(checkpoint_faults, newest_fails_when_there_are_some_and_none_is_good)
{
    lk_checkpoint *checkpoint = NULL;
    bytes file;

    for (int step = 1; step <= 2; step++) {
        save(dir, N, step, 1);
        load_bytes(step, all_files[step], &file);
        unlink(file.path);
    }
    cr_expect_eq(lk_checkpoint_newest(dir, NULL, NULL, &checkpoint), LK_ERR_CHECKPOINT);
    cr_expect_null(checkpoint);
    cr_expect(strstr(lk_error_message(), "none of the 2 checkpoints") && strstr(lk_error_message(), all_files[2]),
              "message: %s", lk_error_message());
}

/* ------------------------------------------------------------- saves that fail */

/* A save of step 2 fails while it is written; step 1 still loads, nothing of step 2 is left. */
static void expect_failing_save(lk_saver *saver, const char *first, const char *second)
{
    lk_ckpt_entry *entries;
    char partial[256];
    size_t n;

    begin_all(&saver, 1, 2, 2);
    const lk_status status = lk_saver_wait(saver);
    cr_expect_eq(status, LK_ERR_SYSTEM, "got status %d, want %d", status, LK_ERR_SYSTEM);
    cr_expect(strstr(lk_error_message(), first) && strstr(lk_error_message(), second),
              "message: %s, want: %s ... %s", lk_error_message(), first, second);
    cr_expect_eq(lk_saver_publish(saver, -1), LK_ERR_SYSTEM, "a failed save was published");
    cr_expect_not(lk_saver_busy(saver));
    snprintf(partial, sizeof partial, "%s/step-00000002.partial", dir);
    cr_expect(access(partial, F_OK) != 0, "%s is left", partial);
    OK(lk_checkpoint_list(dir, &entries, &n));
    cr_expect_eq(n, 1);
    cr_expect_eq(entries[0].step, 1);
    free(entries);
    expect_good(dir);
}

static void limit_file_size(rlim_t nbytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = nbytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(checkpoint_faults, a_file_over_the_limit_is_an_error_and_the_next_save_works)
{
    lk_saver *saver;

    save(dir, 1, 1, 1);
    OK(lk_saver_new(dir, 0, 1, 5, &saver));
    limit_file_size(1000);
    expect_failing_save(saver, "shard-00000-of-00001.h5: File too large after 1000 of ", " bytes");
    limit_file_size(RLIM_INFINITY);
    begin_all(&saver, 1, 3, 3);
    publish_all(&saver, 1, -1);
    expect_good(dir);
    lk_saver_free(&saver);
}

Test(checkpoint_faults, a_full_disk_is_an_error_that_says_what_to_do)
{
    lk_saver *saver;

    if (mount("tmpfs", dir, "tmpfs", 0, "size=64k") != 0)
        cr_skip_test("a small file system needs root: %s", strerror(errno));
    save(dir, 1, 1, 1);
    OK(lk_saver_new(dir, 0, 1, 5, &saver));

    char path[256];
    static const char block[1024] = "";
    snprintf(path, sizeof path, "%s/filler", dir);
    const int fd = open(path, O_CREAT | O_WRONLY, 0666);
    while (write(fd, block, sizeof block) > 0) {}
    close(fd);
    expect_failing_save(saver, "No space left on device", "make room, or keep fewer checkpoints");
    unlink(path);
    begin_all(&saver, 1, 3, 3);
    publish_all(&saver, 1, -1);
    expect_good(dir);
    lk_saver_free(&saver);
}

Test(checkpoint_faults, a_folder_that_cannot_be_written_is_an_error)
{
    enum { NOBODY = 65534 };
    lk_saver *saver;

    save(dir, 1, 1, 1);
    OK(lk_saver_new(dir, 0, 1, 5, &saver));
    cr_assert_eq(chmod(dir, 0555), 0);
    const bool root = geteuid() == 0;
    if (root) cr_assert_eq(seteuid(NOBODY), 0);
    expect_failing_save(saver, "cannot make the folder", "step-00000002.partial: Permission denied");
    if (root) cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chmod(dir, 0755), 0);
    lk_saver_free(&saver);
}

Test(checkpoint_faults, a_shard_that_part_0_cannot_see_is_an_error)
{
    lk_saver *savers[2];

    new_savers(savers, dir, 2, 5);
    begin_all(savers, 2, 1, 1);
    for (int r = 0; r < 2; r++) OK(lk_saver_wait(savers[r]));

    char path[256];
    snprintf(path, sizeof path, "%s/step-00000001.partial/shard-00001-of-00002.h5", dir);
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(lk_saver_publish(savers[0], -1), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "shard-00001-of-00002.h5 is missing"), "message: %s", lk_error_message());
    free_savers(savers, 2);
}

Test(checkpoint_faults, a_folder_below_a_file_is_a_system_error)
{
    lk_saver *saver;
    char path[256], below[512];

    snprintf(path, sizeof path, "%s/file", dir);
    fclose(fopen(path, "w"));
    snprintf(below, sizeof below, "%s/checkpoints", path);
    cr_expect_eq(lk_saver_new(below, 0, 1, 1, &saver), LK_ERR_SYSTEM);
    cr_expect(strstr(lk_error_message(), path), "message: %s", lk_error_message());
}
