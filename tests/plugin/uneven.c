/*
 * A network that is another one on rank 1 of mpirun's, which nothing that compares files can see: its dropout is
 * another. For tests of what finds such a worker.
 */
#include <lockstep/engine/nn/nn.h>

#include <stdlib.h>

static const char *const args[] = {"inputs", "width", NULL};

static void sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_field x = {.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1};

    (void)lk_arg_whole(spec, "inputs", 4, 1, &x.shape[0]);
    lk_sample_add(out, &x);
}

static lk_status build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    int64_t width;
    int x;

    LK_TRY(lk_arg_whole(spec, "width", 8, 1, &width));
    LK_TRY(lk_layer_linear(b, "fc1", in[0], &(lk_linear){.n_out = width}, &x));
    LK_TRY(lk_layer_dropout(b, "drop", rank && *rank == '1' ? 0.5 : 0.1, x, &x));
    return lk_layer_linear(b, "fc2", x, &(lk_linear){.n_out = 1}, y);
}

static const lk_network network = {.word = "uneven", .args = args, .sample = sample, .build = build};
LK_PLUGIN(network)
