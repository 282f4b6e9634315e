/* planted_memory KIND: a fault that a tool must see, or it is not at work. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int shared;

static void *count(void *unused)
{
    (void)unused;
    shared++;
    return NULL;
}

static void race(void)
{
    pthread_t other;
    pthread_create(&other, NULL, count, NULL);
    shared++;
    pthread_join(other, NULL);
}

/* The index comes from outside, so no compiler removes the access. */
static void overflow(volatile size_t n)
{
    volatile char *bytes = malloc(n);
    if (!bytes) return;
    bytes[n] = 1;
    free((void *)bytes);
}

static void uninitialised(volatile size_t n)
{
    volatile char *bytes = malloc(n);
    if (!bytes) return;
    if (bytes[n - 1]) puts("a byte that nobody set");
    free((void *)bytes);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    if (!strcmp(kind, "race")) race();
    else if (!strcmp(kind, "overflow")) overflow(16);
    else if (!strcmp(kind, "uninitialised")) uninitialised(16);
    else return fputs("planted_memory: race, overflow or uninitialised\n", stderr), 2;
    return 0;
}
