/*
 * Any bytes are a safetensors file whose tensors can be read, or a clean error that names the file.
 *
 * The entry is libFuzzer's; build as tests/fuzz/fuzz_recipe.c says, then
 *
 *     build-fuzz/tests/fuzz_safetensors -max_total_time=3600 CORPUS tests/fuzz/weights
 *
 * The first byte says how the rest is taken: 'h': as a header, in front of which its length and behind which so much
 * data as its last tensor needs is put, so that mutations get beyond both; else as a whole file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/io.h"

enum { MOST_DATA = 1 << 16, PATH_BYTES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

static void must(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, lk_error_message());
    abort();
}

static void put(int fd, const void *bytes, size_t nbytes)
{
    must(write(fd, bytes, nbytes) == (ssize_t)nbytes, "write");
}

/* The largest number in the text that a file may be long: the end of the last tensor, in headers that are right. */
static size_t data_of(const uint8_t *header, size_t nbytes)
{
    size_t most = 0;

    for (size_t i = 0; i < nbytes; i++) {
        size_t value = 0;

        for (; i < nbytes && header[i] >= '0' && header[i] <= '9' && value < MOST_DATA; i++)
            value = value * 10 + (size_t)(header[i] - '0');
        if (value > most && value < MOST_DATA) most = value;
    }
    return most;
}

static void put_wrapped(int fd, const uint8_t *header, size_t nbytes)
{
    static const unsigned char data[MOST_DATA];
    const uint64_t length = nbytes;

    put(fd, &length, sizeof length);
    put(fd, header, nbytes);
    put(fd, data, data_of(header, nbytes));
}

static void read_all(lk_weights *weights)
{
    for (size_t i = 0; i < lk_weights_n(weights); i++) {
        const lk_ckpt_tensor *t = lk_weights_tensor(weights, i);
        float *numbers = malloc(t->n_elem * sizeof *numbers + 1);

        must(numbers != NULL, "a tensor larger than the file");
        must(lk_weights_read(weights, i, numbers) == LK_OK || strstr(lk_error_message(), "its type is"), "unreadable");
        free(numbers);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    const int fd = memfd_create("fuzz", 0);
    char path[PATH_BYTES];
    lk_weights *weights;

    must(fd >= 0, "memfd_create");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (nbytes > 0 && bytes[0] == 'h') put_wrapped(fd, bytes + 1, nbytes - 1);
    else put(fd, bytes, nbytes);
    if (lk_weights_open(path, &weights) == LK_OK) {
        read_all(weights);
        lk_weights_free(&weights);
    } else {
        must(weights == NULL, "a failure that leaves weights");
        must(strncmp(lk_error_message(), path, strlen(path)) == 0, "an error that does not name the file");
    }
    close(fd);
    return 0;
}
