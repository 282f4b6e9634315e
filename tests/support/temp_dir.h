/* A folder for what a test writes: TestSuite(name, .init = make_temp_dir, .fini = remove_temp_dir). */
#ifndef LK_TEST_TEMP_DIR_H
#define LK_TEST_TEMP_DIR_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/checkpoint/parts.h"

static char temp_dir[64];

static inline void make_temp_dir(void)
{
    snprintf(temp_dir, sizeof temp_dir, "/tmp/lockstep-test-XXXXXX");
    cr_assert_not_null(mkdtemp(temp_dir));
}

static inline void remove_temp_dir(void) { lk_remove_tree(temp_dir); }

#endif
