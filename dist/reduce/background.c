/* The communication thread: asleep while there is nothing to do, so it costs the backward pass nothing. */
#include "dist/reduce/background.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048 };

struct lk_background {
    lk_status (*do_job)(void *arg, size_t i);
    void *arg;               /* borrowed */
    _Atomic bool *hurry;     /* borrowed */
    pthread_t thread;
    pthread_mutex_t lock;    /* guards all below */
    pthread_cond_t ready, done;
    size_t n_ready, n_done;
    bool stop;
    lk_status status;        /* of the first job that failed */
    char message[MESSAGE_BYTES];
};

/* Messages belong to threads, so the job's is kept for the owner. */
static void keep_result(lk_background *b, lk_status status)
{
    if (status == LK_OK) {
        b->n_done++;
    } else {
        b->status = status;
        snprintf(b->message, sizeof b->message, "%s", lk_error_message());
    }
}

static void *work(void *arg)
{
    lk_background *b = arg;

    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        if (b->status != LK_OK || b->n_done == b->n_ready) {
            pthread_cond_wait(&b->ready, &b->lock);
            continue;
        }
        const size_t job = b->n_done;

        pthread_mutex_unlock(&b->lock);
        const lk_status status = b->do_job(b->arg, job);
        pthread_mutex_lock(&b->lock);
        keep_result(b, status);
        pthread_cond_signal(&b->done);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

lk_status lk_background_new(lk_status (*do_job)(void *arg, size_t i), void *arg, _Atomic bool *hurry,
                            lk_background **out)
{
    lk_background *b = lk_alloc(sizeof *b);

    *out = NULL;
    LK_TRY_ALLOC(b, sizeof *b);
    b->do_job = do_job;
    b->arg = arg;
    b->hurry = hurry;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->ready, NULL);
    pthread_cond_init(&b->done, NULL);

    const int error = lk_thread_start(&b->thread, work, b);
    if (error) {
        lk_free(&b);
        return LK_FAIL(LK_ERR_SYSTEM, "cannot start the communication thread: %s", strerror(error));
    }
    *out = b;
    return LK_OK;
}

void lk_background_free(lk_background **address)
{
    lk_background *b = address ? *address : NULL;

    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->ready);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->done);
    pthread_cond_destroy(&b->ready);
    pthread_mutex_destroy(&b->lock);
    lk_free(address);
}

void lk_background_post(lk_background *b, size_t n_ready)
{
    pthread_mutex_lock(&b->lock);
    b->n_ready = n_ready;
    pthread_cond_signal(&b->ready);
    pthread_mutex_unlock(&b->lock);
}

lk_status lk_background_wait(lk_background *b, size_t n_jobs)
{
    atomic_store(b->hurry, true);
    pthread_mutex_lock(&b->lock);
    while (b->n_done < n_jobs && b->status == LK_OK) pthread_cond_wait(&b->done, &b->lock);
    b->n_ready = b->n_done = 0;
    const lk_status status = b->status;
    pthread_mutex_unlock(&b->lock);
    atomic_store(b->hurry, false);
    return status == LK_OK ? LK_OK : LK_FAIL(status, "%s", b->message);
}
