/* A runner must tell these apart: of four tests one holds, one is skipped. */
#include <criterion/criterion.h>

#include <stdlib.h>

Test(planted, a_claim_that_holds)
{
    cr_assert_eq(6 * 7, 42);
}

Test(planted, a_claim_that_does_not_hold)
{
    cr_expect_eq(6 * 7, 41, "got %d", 6 * 7);
}

Test(planted, a_crash)
{
    abort();
}

Test(planted, a_test_without_its_data)
{
    cr_skip("planted");
}
