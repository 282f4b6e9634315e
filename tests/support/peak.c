/*
 * peak COMMAND...: runs it and prints, on the last line, the most memory that it held at once (VmHWM), in bytes.  Its
 * exit status.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 127, STRANGE = 126 };

int main(int argc, char **argv)
{
    struct rusage usage;
    int status;
    const pid_t child = argc > 1 ? fork() : -1;

    if (child == 0) {
        execvp(argv[1], argv + 1);
        _exit(CANNOT);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || getrusage(RUSAGE_CHILDREN, &usage) != 0) return STRANGE;
    printf("%ld\n", usage.ru_maxrss * 1024);
    return WIFEXITED(status) ? WEXITSTATUS(status) : STRANGE;
}
