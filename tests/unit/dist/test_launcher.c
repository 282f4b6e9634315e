/* What libraries say of themselves, as doctor shows it. */
#include "dist/world/world.h"

#include <criterion/criterion.h>
#include <string.h>

Test(launcher, library_is_a_name_and_a_number)
{
    static const struct { const char *said, *want; } known[] = {
        {"Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022", "Open MPI 4.1.4"},
        {"MPICH Version:      5.0.2\nMPICH Release date: Tue Feb 11 2026\n", "MPICH 5.0.2"},
        {"Intel(R) MPI Library 2021.11 for Linux* OS\n", "Intel(R) MPI Library 2021.11 for Linux* OS"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char said[256], name[64];

        strcpy(said, known[i].said);
        lk_mpi_library_name(said, name, sizeof name);
        cr_expect_str_eq(name, known[i].want, "got `%s`, want `%s`", name, known[i].want);
    }
}
