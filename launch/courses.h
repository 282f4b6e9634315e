/* The course of a recipe's schedule, without training: what `lockstep lr` shows. */
#ifndef LK_COURSES_H
#define LK_COURSES_H

#include "launch/launch.h"

typedef struct course {
    char *name;              /* owned: the recipe's run.name, or its file where names are alike */
    int64_t n;               /* scheduler steps */
    bool by_step;            /* a scheduler step is a training step */
    double *epoch;           /* owned: (n + 1), epochs done when a step begins, and when the last one ends */
    double *lr;              /* owned: (n) */
    double *momentum;        /* owned: (n); NULL: not scheduled */
} course;

/* Reads a recipe and follows the schedules of its stages for --count steps or the run's length; warns on stderr of what people fall
 * into.  Release with course_free() also when it fails. */
lk_status course_follow(job *j, const options *opt, const char *path, course *out);
void      course_free(course *c);

#endif
