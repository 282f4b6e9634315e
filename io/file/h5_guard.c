/*
 * A last word before HDF5 takes the process down: on some damaged files the library overruns a buffer and aborts, or
 * follows a wild pointer, where no status can be returned.  While a file is guarded, such a death names it first.
 */
#include "io/file/h5.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LAST_WORD_BYTES = 1280 };

static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS};
enum { N_DEATHS = sizeof deaths / sizeof *deaths };

/* Of the last file begun; written before the handlers are there, which only write(2) it. */
static char last_word[LAST_WORD_BYTES];
static struct sigaction before[N_DEATHS];
static int n_guarded; /* files */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void say_and_die(int death)
{
    if (write(STDERR_FILENO, last_word, strlen(last_word)) < 0) _exit(LK_ERR_DATA);
    signal(death, SIG_DFL);
    raise(death);
}

void lk_h5_guard_begin(const char *path)
{
    struct sigaction action = {.sa_handler = say_and_die};

    pthread_mutex_lock(&lock);
    snprintf(last_word, sizeof last_word, "lockstep: the HDF5 library failed inside while reading %.1024s: the file is "
             "damaged; check it with h5dump, or write it again\n", path);
    sigemptyset(&action.sa_mask);
    for (int i = 0; n_guarded == 0 && i < N_DEATHS; i++) sigaction(deaths[i], &action, &before[i]);
    n_guarded++;
    pthread_mutex_unlock(&lock);
}

void lk_h5_guard_end(void)
{
    pthread_mutex_lock(&lock);
    n_guarded--;
    for (int i = 0; n_guarded == 0 && i < N_DEATHS; i++) sigaction(deaths[i], &before[i], NULL);
    pthread_mutex_unlock(&lock);
}
