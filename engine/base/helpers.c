/* Small things every room needs: parts of rows, aligned storage, globs, the nearest word, threads. */
#include "engine/base/base.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CACHE_LINE = 64, LONGEST_WORD = 63 };

lk_status lk_part_rows(int64_t n_rows, int r, int n, int64_t *begin, int64_t *end)
{
    if (n < 1 || r < 0 || r >= n)
        return LK_FAIL(LK_ERR_USAGE, "part %d of %d does not exist: parts count from 0", r, n);

    /* The first n_rows % n parts take one extra row. */
    const int64_t base = n_rows / n, extra = n_rows % n;
    *begin = r * base + (r < extra ? r : extra);
    *end = *begin + base + (r < extra ? 1 : 0);
    return LK_OK;
}

void *lk_alloc(size_t nbytes)
{
    const size_t rounded = (nbytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

    if (rounded < nbytes) return NULL;
    void *p = aligned_alloc(CACHE_LINE, rounded ? rounded : CACHE_LINE);
    if (p) memset(p, 0, rounded ? rounded : CACHE_LINE);
    return p;
}

void lk_free(void *address_of_pointer)
{
    void **p = address_of_pointer;

    if (!p) return;
    free(*p);
    *p = NULL;
}

void lk_add_f32(float *restrict sum, const float *restrict term, size_t n_elem)
{
    for (size_t i = 0; i < n_elem; i++) sum[i] += term[i];
}

bool lk_glob(const char *pattern, const char *name) { return fnmatch(pattern, name, 0) == 0; }

/* Levenshtein's distance with the usual single row. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[LONGEST_WORD + 1];
    const size_t nb = strlen(b);

    if (strlen(a) > LONGEST_WORD || nb > LONGEST_WORD) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
            const size_t insert = row[j - 1] + 1, delete = row[j] + 1;
            size_t least = substitute < insert ? substitute : insert;

            if (delete < least) least = delete;
            diagonal = row[j];
            row[j] = least;
        }
    }
    return row[nb];
}

const char *lk_nearest(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 2 + 1; /* farther than half the word is no suggestion */

    for (size_t i = 0; i < n; i++) {
        const size_t distance = edit_distance(word, candidates[i]);
        if (distance < best_distance) best = candidates[i], best_distance = distance;
    }
    return best;
}

static _Atomic uint64_t alive;

void lk_alive(void) { atomic_fetch_add_explicit(&alive, 1, memory_order_relaxed); }

uint64_t lk_alive_count(void) { return atomic_load_explicit(&alive, memory_order_relaxed); }

int lk_thread_start(pthread_t *thread, void *(*body)(void *arg), void *arg)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(thread, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

double lk_seconds(void)
{
    struct timespec now;
    const double nanosecond = 1e-9;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + nanosecond * (double)now.tv_nsec;
}
