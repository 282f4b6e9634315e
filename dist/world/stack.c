/*
 * The stack of the main thread, taken by another one.
 *
 * A signal interrupts the main thread, whose handler only notes return addresses; the thread that asked finds their
 * names.  So nothing that may wait for a lock runs in the thread that is stuck.  A thread that sleeps in the kernel
 * without being interruptible (a file system that does not answer) takes no signal: then the kernel is asked where it
 * is.
 *
 * Names are those a program or library shows to others; of the rest addr2line -e FILE +OFFSET tells the place.
 */
#include "dist/world/stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_FRAMES = 48,
    OWN_FRAMES = 2,                 /* the handler, and what the kernel returns to behind it */
    LINE_BYTES = 512,
    NAP_NS = 10 * 1000 * 1000,
    NAPS = 100,                     /* a second for the main thread to be interrupted */
};

static pthread_t main_thread;
static pid_t main_tid;
static bool opened;
static void *frame[MOST_FRAMES];
static _Atomic int n_frames;

/* Real-time signals are for programs to use; nobody else here does. */
static int stack_signal(void) { return SIGRTMAX - 1; }

static void note_frames(int signal_number)
{
    const int error = errno;

    (void)signal_number;
    atomic_store(&n_frames, backtrace(frame, MOST_FRAMES));
    errno = error;
}

void lk_stack_open(void)
{
    struct sigaction action = {.sa_handler = note_frames, .sa_flags = SA_RESTART}, before;

    main_thread = pthread_self();
    main_tid = gettid();
    if (sigaction(stack_signal(), NULL, &before) != 0 ||
        (before.sa_handler != SIG_DFL && before.sa_handler != note_frames))
        return; /* the program around us uses it */
    backtrace(frame, MOST_FRAMES); /* the first call loads a library, which no handler may */
    opened = sigaction(stack_signal(), &action, NULL) == 0;
}

/* ------------------------------------------------------------------- printing */

static void say(int fd, const char *line)
{
    if (write(fd, line, strlen(line)) < 0) return; /* nobody reads */
}

static void print_frame(int fd, void *address)
{
    char line[LINE_BYTES];
    Dl_info info;

    if (!dladdr(address, &info) || !info.dli_fname) {
        snprintf(line, sizeof line, "    %p\n", address);
        say(fd, line);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    const size_t offset = (size_t)((char *)address - (char *)info.dli_fbase);
    snprintf(line, sizeof line, "    %s (%s+0x%zx)\n", info.dli_sname ? info.dli_sname : "?",
             slash ? slash + 1 : info.dli_fname, offset);
    say(fd, line);
}

/* Reads a short file of /proc; false: it is not there, or not for us. */
static bool read_short(const char *path, char *text, size_t nbytes)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0) return false;
    const ssize_t n = read(file, text, nbytes - 1);
    close(file);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static char state_in(const char *path)
{
    char text[LINE_BYTES];

    if (!read_short(path, text, sizeof text)) return errno == ENOENT ? '\0' : '?';
    const char *name_end = strrchr(text, ')'); /* "pid (name) S ..." */
    return name_end && name_end[1] ? name_end[2] : '?';
}

static void print_kernel(int fd, int rank)
{
    char path[LINE_BYTES], line[LINE_BYTES], where[LINE_BYTES / 4];

    snprintf(path, sizeof path, "/proc/self/task/%d/wchan", (int)main_tid);
    if (!read_short(path, where, sizeof where) || strcmp(where, "0") == 0) snprintf(where, sizeof where, "unknown");
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)main_tid);
    snprintf(line, sizeof line, "  the main thread of rank %d takes no signal: state %c, place in the kernel %s\n",
             rank, state_in(path), where);
    say(fd, line);
}

void lk_stack_print(int fd, int rank)
{
    const struct timespec nap = {0, NAP_NS};
    char line[LINE_BYTES];
    int n = 0;

    if (!opened) return;
    atomic_store(&n_frames, 0);
    if (pthread_kill(main_thread, stack_signal()) != 0) return;
    for (int i = 0; i < NAPS && (n = atomic_load(&n_frames)) == 0; i++) nanosleep(&nap, NULL);
    if (n == 0) {
        print_kernel(fd, rank);
        return;
    }
    snprintf(line, sizeof line, "  where rank %d is (process %d), innermost first:\n", rank, (int)getpid());
    say(fd, line);
    for (int i = OWN_FRAMES; i < n; i++) print_frame(fd, frame[i]);
}

/* ------------------------------------------------------------------- processes */

char lk_process_state(int pid)
{
    char path[LINE_BYTES];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return state_in(path);
}

uint64_t lk_pid_space(void)
{
    struct stat info;

    return stat("/proc/self/ns/pid", &info) == 0 ? (uint64_t)info.st_ino : 0;
}
