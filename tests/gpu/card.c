/*
 * What cuDNN knows of a card, as the JSON of its device-property descriptor.  Given back to cuDNN it stands for the
 * card in engines, heuristics and plans on a machine without one, so what a card is given can be looked into later.
 *
 *   card          of device 0
 *   card FILE     what cuDNN makes of the JSON in FILE; needs no device
 *   card hold     opens device 0 and keeps it until it is killed: with no process there each start begins the driver
 *                 anew
 */
#include <cuda_runtime.h>
#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 16 };

static void must(cudnnStatus_t status, const char *what)
{
    char message[512] = "";

    if (status == CUDNN_STATUS_SUCCESS) return;
    cudnnGetLastErrorString(message, sizeof message);
    fprintf(stderr, "card: %s: %s: %s\n", what, cudnnGetErrorString(status), message);
    exit(1);
}

static void must_cuda(cudaError_t error, const char *what)
{
    if (error == cudaSuccess) return;
    fprintf(stderr, "card: %s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

static void hold(void)
{
    must_cuda(cudaFree(NULL), "cannot open device 0"); /* the first call of any kind opens it */
    for (;;) pause();
}

static void describe_device(cudnnBackendDescriptor_t card)
{
    const int device = 0;

    must_cuda(cudaFree(NULL), "cannot open device 0");
    must(cudnnBackendSetAttribute(card, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &device),
         "set the device");
}

static void describe_file(cudnnBackendDescriptor_t card, const char *path)
{
    static char text[MOST_BYTES];
    FILE *file = fopen(path, "r");
    const size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

    if (n == 0) {
        fprintf(stderr, "card: cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
    must(cudnnBackendSetAttribute(card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)n, text),
         "set the JSON");
}

int main(int argc, char **argv)
{
    static char json[MOST_BYTES];
    cudnnBackendDescriptor_t card;
    int64_t n = 0;

    if (argc == 2 && strcmp(argv[1], "hold") == 0) hold();
    must(cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &card), "create a descriptor");
    if (argc == 2) describe_file(card, argv[1]);
    else describe_device(card);
    must(cudnnBackendFinalize(card), "finalize");
    must(cudnnBackendGetAttribute(card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, sizeof json - 1, &n,
                                  json), "get the JSON");
    printf("%s\n", json);
    cudnnBackendDestroyDescriptor(card);
    return 0;
}
