/*
 * index.h5 is a plain state dict to h5py, and equal to what was saved, from whichever folder it is read.
 *
 * The script runs from / on a checkpoint whose folder was moved, so that absolute names or names relative to the
 * working folder would fail: a virtual data set then silently reads zeros, and no value saved here is zero.
 */
#include <inttypes.h>
#include <stdint.h>
#include <sys/wait.h>

#include "tests/support/ckpt_fixture.h"

enum { LINE_BYTES = 1 << 13 };

static char dir[64];

static void make_dir(void) { make_folder(dir); }
static void remove_dir(void) { lk_remove_tree(dir); }

TestSuite(h5py, .init = make_dir, .fini = remove_dir);

static int by_path(const void *a, const void *b)
{
    return strcmp(((const lk_ckpt_tensor *)a)->path, ((const lk_ckpt_tensor *)b)->path);
}

/* The line that the script prints for a tensor. */
static void print_tensor(const lk_ckpt_tensor *tensor, char line[LINE_BYTES])
{
    size_t used = (size_t)snprintf(line, LINE_BYTES, "%s (", tensor->path);

    for (int d = 0; d < tensor->ndim; d++)
        used += (size_t)snprintf(line + used, LINE_BYTES - used, d ? ",%" PRId64 : "%" PRId64, tensor->shape[d]);
    used += (size_t)snprintf(line + used, LINE_BYTES - used, ")");
    for (size_t i = 0; i < tensor->n_elem; i++) {
        uint32_t word;

        memcpy(&word, &tensor->data[i], sizeof word);
        used += (size_t)snprintf(line + used, LINE_BYTES - used, " %08" PRIx32, word);
    }
}

static void compare(FILE *output, int salt)
{
    fixture f;
    lk_ckpt_tensor all[N_SHARED + N_LEADER];
    char got[LINE_BYTES], want[LINE_BYTES];

    fixture_set(&f, salt);
    memcpy(all, f.shared, sizeof f.shared);
    memcpy(all + N_SHARED, f.leader, sizeof f.leader);
    qsort(all, N_SHARED + N_LEADER, sizeof *all, by_path);
    for (size_t t = 0; t < N_SHARED + N_LEADER; t++) {
        cr_assert_not_null(fgets(got, sizeof got, output), "h5py shows no %s", all[t].path);
        got[strcspn(got, "\n")] = '\0';
        print_tensor(&all[t], want);
        cr_expect_str_eq(got, want);
    }
    cr_expect_null(fgets(got, sizeof got, output), "h5py shows more than was saved: %s", got);
}

static const char *find_python(void)
{
    const char *candidates[] = {getenv("LK_PYTHON"), "python3", "/usr/bin/python3"};
    char command[512];

    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        if (!candidates[i]) continue;
        snprintf(command, sizeof command, "%s -c 'import h5py, numpy' 2>/dev/null", candidates[i]);
        if (system(command) == 0) return candidates[i];
    }
    return NULL;
}

static void check(int n, const char *python)
{
    char saved[256], moved[256], command[1024];

    save(dir, n, n, n);
    snprintf(saved, sizeof saved, "%s/step-%08d", dir, n);
    snprintf(moved, sizeof moved, "%s/moved-%d", dir, n);
    cr_assert_eq(rename(saved, moved), 0);
    snprintf(command, sizeof command, "cd / && %s %s/tests/golden/check_h5py.py %s/index.h5", python, LK_SOURCE_DIR,
             moved);
    FILE *output = popen(command, "r");
    cr_assert_not_null(output);
    compare(output, n);
    const int status = pclose(output);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d", command, status);
}

Test(h5py, index_reads_as_a_plain_state_dict)
{
    const char *python = find_python();

    if (!python) cr_skip_test("no python3 with h5py was found: apt-get install python3-h5py, or set LK_PYTHON");
    for (int n = 1; n <= 5; n++) check(n, python);
}
