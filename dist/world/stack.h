/* Where the main thread of this process stands, for people who ask why it is stuck. */
#ifndef LK_DIST_STACK_H
#define LK_DIST_STACK_H

#include "engine/base/base.h"

/* By the main thread, once, before lk_stack_print().  Local, as all here. */
void lk_stack_open(void);
/* By another thread: writes the calls that the main thread is in to `fd`, a line each, innermost first; where it cannot
 * be interrupted, what the kernel says of it. */
void lk_stack_print(int fd, int rank);
/* The state of a process of this machine as the kernel names it ('T' stopped, 'D' waits for a disk, ...); 0: there is
 * no such process, '?': nobody may know. */
char lk_process_state(int pid);
/* A number of the namespace in which this process's pid counts; 0: unknown. */
uint64_t lk_pid_space(void);

#endif
