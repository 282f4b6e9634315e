/* The ground floor: status and messages, small helpers, random numbers.  Every file of every room may include it. */
#ifndef LK_BASE_H
#define LK_BASE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ status */

/* Every status with the exit status of the program and its family in words. */
#define LK_STATUS_LIST(X)                                      \
    X(LK_OK, 0, "done")                                        \
    X(LK_ERR_SYSTEM, 1, "memory, files or a library")          \
    X(LK_ERR_USAGE, 2, "usage or recipe")                      \
    X(LK_ERR_DATA, 3, "data")                                  \
    X(LK_ERR_CHECKPOINT, 4, "checkpoint")                      \
    X(LK_ERR_NUMBERS, 5, "numbers")                            \
    X(LK_ERR_PEER, 6, "another worker or the network")         \
    X(LK_ERR_BUSY, 7, "another process trains in the run's folder: try again later") \
    X(LK_STOPPED, 75, "stopped on request")

typedef enum lk_status {
#define LK_STATUS_ENUM(name, exit_status, text) name = exit_status,
    LK_STATUS_LIST(LK_STATUS_ENUM)
#undef LK_STATUS_ENUM
} lk_status;

/* Records one message (printf form) for this thread, replacing any earlier one, and returns `status`. */
lk_status lk_fail(lk_status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, and the key of the recipe that is at fault ("engine.precision"): a string that stays. */
lk_status lk_fail_key(lk_status status, const char *key, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Adds a line to this thread's trace and returns `status`. */
lk_status lk_trace(lk_status status, const char *file, int line);
/* The message of this thread's last failure, "" if none; valid until the next failure of this thread. */
const char *lk_error_message(void);
/* The key at fault, NULL: not known.  It goes with the message, also into one that quotes it. */
const char *lk_error_key(void);
/* "file:line < file:line": where it failed and by way of what. */
const char *lk_error_trace(void);

#define LK_FAIL(status, ...) lk_fail((status), __FILE__, __LINE__, __VA_ARGS__)
#define LK_FAIL_KEY(status, key, ...) lk_fail_key((status), (key), __FILE__, __LINE__, __VA_ARGS__)
#define LK_TRY(expr)                                                       \
    do {                                                                   \
        const lk_status lk_try_ = (expr);                                  \
        if (lk_try_ != LK_OK) return lk_trace(lk_try_, __FILE__, __LINE__); \
    } while (0)
/* Storage that must exist: `pointer` NULL is LK_ERR_SYSTEM, naming the bytes asked for and, where it is large enough to
 * matter, in words what they are for: LK_TRY_ALLOC(params, nbytes, "parameters"). */
#define LK_TRY_ALLOC(pointer, nbytes, ...)                                                          \
    do {                                                                                            \
        if (!(pointer))                                                                             \
            return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes%s" __VA_ARGS__, (size_t)(nbytes), \
                           sizeof "" __VA_ARGS__ > 1 ? " for " : "");                               \
    } while (0)

/* ------------------------------------------------------------------- helpers */

/* Rows [*begin, *end) of n_rows that part r of n holds; parts differ by at most one row and the first are longer.
 * Errors: LK_ERR_USAGE (no such part). */
lk_status lk_part_rows(int64_t n_rows, int r, int n, int64_t *begin, int64_t *end);

/* Zeroed storage aligned to a cache line (64 bytes), NULL when there is none; release with lk_free(), which
 * takes the address of the pointer, accepts NULL and leaves NULL. */
void *lk_alloc(size_t nbytes);
void  lk_free(void *address_of_pointer);

/* sum[i] += term[i], one rounding each, so the bits do not depend on how a range is cut. */
void lk_add_f32(float *sum, const float *term, size_t n_elem);

/* Matches `name` against a glob pattern: *, ?, [abc], as fnmatch(3). */
bool lk_glob(const char *pattern, const char *name);

/* The candidate nearest to `word` (edit distance), or NULL when none is near enough to suggest. */
const char *lk_nearest(const char *word, const char *const *candidates, size_t n);

/* Text put together piece by piece in a buffer of the caller's; what does not fit is cut off. */
typedef struct lk_text {
    char *at; /* borrowed */
    size_t nbytes, used;
} lk_text;

/* Begins one, empty; nbytes >= 1. */
lk_text lk_text_in(char *buffer, size_t nbytes);
void    lk_text_add(lk_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "a, b, c"; returns out. */
const char *lk_print_list(const char *const *words, size_t n, char *out, size_t nbytes);
enum { LK_SHAPE_BYTES = 144 }; /* 6 dimensions of up to 20 digits, and what is between them */
/* "(64, 20)"; returns out. */
const char *lk_print_shape(int ndim, const int64_t *shape, char out[LK_SHAPE_BYTES]);

/* Seconds of a clock that only goes forward: for spans, not for dates. */
double lk_seconds(void);
/* Says that work goes on where there is no step to tell: for each file or block read, each kernel bound.  A watchdog
 * counts it as progress.  Any thread; one relaxed add. */
void     lk_alive(void);
uint64_t lk_alive_count(void);

/* Starts a thread that takes no signals: those are the main thread's business.  Returns pthread_create()'s error. */
int lk_thread_start(pthread_t *thread, void *(*body)(void *arg), void *arg);

/* Elements [begin, end) of an array. */
typedef struct lk_range { size_t begin, end; } lk_range;

/* Turns a list X(NAME, "recipe word", ...) into the members of an enum. */
#define LK_WORD_ENUM(name, ...) name,

/* --------------------------------------------------------------------- build */

/* "commit 1a2b3c4d5e6f, gcc 12.2.0, -march=native (x86-64-v4)"; writes at most nbytes. */
void lk_build_describe(char *text, size_t nbytes);
/* Whether this processor lacks something that the library is compiled for; text then says what, and how to build.  A
 * program asks before anything else, from a file compiled for any processor. */
bool lk_processor_lacks(char *text, size_t nbytes);

/* -------------------------------------------------------------------- random */

/* Counter-based random numbers, Philox4x32-10 (Salmon et al., SC 2011).  A stream is (seed, purpose); a draw is
 * addressed, never consumed, so it does not matter which worker asks. */
typedef enum lk_purpose {
    LK_PURPOSE_INIT = 1,    /* parameters */
    LK_PURPOSE_DROPOUT = 2, /* masks */
    LK_PURPOSE_SHUFFLE = 3, /* order of samples */
    LK_PURPOSE_DATA = 4,    /* generated data sets */
    LK_PURPOSE_AUGMENT = 5,
    LK_PURPOSE_GENERATE = 6, /* tokens of a text */
} lk_purpose;

typedef struct lk_philox_key { uint32_t k[2]; } lk_philox_key;

/* `sub` tells streams of one purpose apart: the number of a dropout layer, the hash of a tensor's name. */
lk_philox_key lk_philox_key_new(uint64_t seed, lk_purpose purpose, uint32_t sub);
/* Four words for the counter (c0, c1, c2, c3). */
void   lk_philox(lk_philox_key key, const uint32_t counter[4], uint32_t out[4]);
/* Draw number i of a stream, in [0, 1) with 24 bits. */
float  lk_uniform(lk_philox_key key, uint64_t i);
/* Draw number i of a stream, standard normal (Box-Muller on two words of one counter). */
double lk_normal(lk_philox_key key, uint64_t i);

#ifdef __cplusplus
}
#endif
#endif
