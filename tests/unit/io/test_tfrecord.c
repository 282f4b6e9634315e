/* Event files byte by byte: published values of CRC-32C, and records that a reader can check. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "io/log/tfrecord.h"
#include "tests/support/temp_dir.h"

TestSuite(tfrecord, .init = make_temp_dir, .fini = remove_temp_dir);

/* RFC 3720, appendix B.4, and the check value of the polynomial. */
Test(tfrecord, crc32c_gives_the_published_values)
{
    uint8_t zeros[32] = {0}, ones[32], rising[32], falling[32];

    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++) rising[i] = i, falling[i] = (uint8_t)(31 - i);
    const struct { const void *bytes; size_t nbytes; uint32_t want; } known[] = {
        {"123456789", 9, 0xe3069283}, {zeros, 32, 0x8a9136aa},  {ones, 32, 0x62a8ab43},
        {rising, 32, 0x46dd794e},     {falling, 32, 0x113fdb5c}, {"", 0, 0},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const uint32_t got = lk_crc32c(known[i].bytes, known[i].nbytes);
        cr_expect_eq(got, known[i].want, "case %zu: got %08" PRIx32 ", want %08" PRIx32, i, got, known[i].want);
    }
}

static uint64_t little_endian(const uint8_t *bytes, int nbytes)
{
    uint64_t value = 0;

    for (int i = 0; i < nbytes; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* Records up to the end of the bytes, -1 when one is torn or a sum is wrong. */
static int count_records(const uint8_t *bytes, size_t nbytes)
{
    int n = 0;

    for (size_t at = 0; at < nbytes; n++) {
        if (nbytes - at < LK_TFRECORD_HEAD + LK_TFRECORD_FOOT) return -1;
        const uint64_t length = little_endian(bytes + at, 8);
        if (little_endian(bytes + at + 8, 4) != lk_tfrecord_mask(lk_crc32c(bytes + at, 8))) return -1;
        if (length > nbytes - at - LK_TFRECORD_HEAD - LK_TFRECORD_FOOT) return -1;
        const uint8_t *data = bytes + at + LK_TFRECORD_HEAD;
        if (little_endian(data + length, 4) != lk_tfrecord_mask(lk_crc32c(data, length))) return -1;
        at += LK_TFRECORD_HEAD + length + LK_TFRECORD_FOOT;
    }
    return n;
}

/* The file whose name sorts last, and how many there are. */
static const char *last_file(size_t *n)
{
    static char path[1024];
    struct dirent **names;
    const int found = scandir(temp_dir, &names, NULL, alphasort);

    cr_assert_gt(found, 2);
    *n = (size_t)found - 2; /* . and .. */
    snprintf(path, sizeof path, "%s/%s", temp_dir, names[found - 1]->d_name);
    for (int i = 0; i < found; i++) free(names[i]);
    free(names);
    return path;
}

/* The only file of the folder; release with free(). */
static uint8_t *read_events(size_t *nbytes)
{
    char *text;
    size_t n;

    cr_assert_eq(lk_read_file(last_file(&n), &text, nbytes), LK_OK, "%s", lk_error_message());
    cr_assert_eq(n, 1, "got %zu files, want 1", n);
    return (uint8_t *)text;
}

static void write_events(int64_t n_steps)
{
    static const char *const tags[] = {"step/train.loss", "step/lr"};
    lk_events *events;

    cr_assert_eq(lk_events_open(temp_dir, 1, &events), LK_OK, "%s", lk_error_message());
    for (int64_t step = 1; step <= n_steps; step++)
        cr_assert_eq(lk_events_scalars(events, step, tags, (double[]){0.5, 1e-3}, 2), LK_OK);
    cr_assert_eq(lk_events_close(&events), LK_OK);
}

/* A file's first record is 24 bytes in every writer, so its head is that of every event file. */
Test(tfrecord, a_file_begins_as_every_event_file_does)
{
    static const uint8_t want[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 0x09};
    size_t nbytes;

    write_events(0);
    uint8_t *bytes = read_events(&nbytes);
    cr_assert_gt(nbytes, sizeof want);
    for (size_t i = 0; i < sizeof want; i++)
        cr_expect_eq(bytes[i], want[i], "byte %zu: got %02x, want %02x", i, bytes[i], want[i]);
    cr_expect(memmem(bytes, 40, "\x1a\x0d" "brain.Event:2", 15), "the first record does not tell the version");
    free(bytes);
}

/* More records than fit in the file's buffer: those that were handed to the system in between are whole too. */
Test(tfrecord, each_event_is_one_record_with_right_sums)
{
    const int n_steps = 3000, n_before = 2; /* version and session */
    size_t nbytes;

    write_events(n_steps);
    uint8_t *bytes = read_events(&nbytes);
    const int n = count_records(bytes, nbytes);
    cr_expect_eq(n, n_before + n_steps, "got %d records, want %d", n, n_before + n_steps);
    free(bytes);
}

Test(tfrecord, any_changed_byte_is_noticed)
{
    size_t nbytes;

    write_events(2);
    uint8_t *bytes = read_events(&nbytes);
    cr_assert_eq(count_records(bytes, nbytes), 4);
    for (size_t i = 0; i < nbytes; i++) {
        bytes[i] ^= 0x10;
        cr_expect_eq(count_records(bytes, nbytes), -1, "byte %zu of %zu was changed and no sum is wrong", i, nbytes);
        bytes[i] ^= 0x10;
    }
    free(bytes);
}

/* A reader goes through files by name: the new one must come last, also when the clock stood still or went back. */
Test(tfrecord, a_new_file_sorts_behind_the_others)
{
    char future[1024];
    lk_events *events;
    size_t n = 0;

    write_events(1);
    snprintf(future, sizeof future, "%s/events.out.tfevents.9000000000.zzz.1", temp_dir);
    cr_assert_eq(lk_write_file_atomic(future, "", 0), LK_OK);
    cr_assert_eq(lk_events_open(temp_dir, 1, &events), LK_OK);
    cr_assert_eq(lk_events_close(&events), LK_OK);
    const char *last = last_file(&n);
    cr_expect_eq(n, 3, "got %zu files, want 3", n);
    cr_expect(strstr(last, "/events.out.tfevents.9000000001."), "the last file is %s", last);
}

Test(tfrecord, a_folder_that_cannot_be_made_is_an_error)
{
    lk_events *events;

    cr_expect_eq(lk_events_open("/proc/nowhere/tensorboard", 1, &events), LK_ERR_SYSTEM);
    cr_expect_null(events);
}
