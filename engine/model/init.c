/*
 * First values of a model's tensors, as torch.nn.init defines them with its default arguments.
 *
 *     xavier_uniform    U(-a, a), a = sqrt(6 / (fan_in + fan_out))      xavier_normal   N(0, 2 / (fan_in + fan_out))
 *     kaiming_uniform   U(-a, a), a = sqrt(6 / fan_in)                  kaiming_normal  N(0, 2 / fan_in)
 *     default           U(-a, a), a = sqrt(1 / fan_in): PyTorch's layers, kaiming_uniform with a = sqrt(5)
 *     normal            N(0, 1)           trunc_normal  N(0, 1) within [-2, 2]          uniform  U(0, 1)
 *
 * Biases are U(-a, a), a = sqrt(1 / fan_in), whatever the weights are.  Each tensor draws from a stream of its own,
 * found by its name, so a tensor's values depend on seed, name and shape alone, not on the rest of the network.
 *
 * Sources: Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015, arXiv:1502.01852; torch/nn/init.py.
 */
#include "engine/model/model_impl.h"

#include <math.h>

#define TRUNCATE_AT 2.0

/* FNV-1a, 32 bits. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

static void fill_constant(float *w, size_t n_elem, float value)
{
    for (size_t i = 0; i < n_elem; i++) w[i] = value;
}

static void fill_uniform(lk_philox_key key, float *w, size_t n_elem, double low, double high)
{
    for (size_t i = 0; i < n_elem; i++) w[i] = (float)(low + (high - low) * (double)lk_uniform(key, i));
}

static void fill_normal(lk_philox_key key, float *w, size_t n_elem, double std)
{
    for (size_t i = 0; i < n_elem; i++) w[i] = (float)(std * lk_normal(key, i));
}

/* Draws again, from behind the tensor's own draws, until the value is within bounds: once in 22 elements. */
static void fill_trunc_normal(lk_philox_key key, float *w, size_t n_elem)
{
    for (size_t i = 0; i < n_elem; i++) {
        double value = lk_normal(key, i);

        for (uint64_t draw = i + n_elem; fabs(value) > TRUNCATE_AT; draw += n_elem) value = lk_normal(key, draw);
        w[i] = (float)value;
    }
}

static void fill_weight(lk_init init, lk_philox_key key, const lk_model_entry *entry, float *w)
{
    const size_t n = entry->info.n_elem;
    const double in = (double)entry->fan_in, both = in + (double)entry->fan_out;

    switch (init) {
    case LK_INIT_DEFAULT: fill_uniform(key, w, n, -sqrt(1.0 / in), sqrt(1.0 / in)); break;
    case LK_INIT_XAVIER_NORMAL: fill_normal(key, w, n, sqrt(2.0 / both)); break;
    case LK_INIT_XAVIER_UNIFORM: fill_uniform(key, w, n, -sqrt(6.0 / both), sqrt(6.0 / both)); break;
    case LK_INIT_KAIMING_NORMAL: fill_normal(key, w, n, sqrt(2.0 / in)); break;
    case LK_INIT_KAIMING_UNIFORM: fill_uniform(key, w, n, -sqrt(6.0 / in), sqrt(6.0 / in)); break;
    case LK_INIT_NORMAL: fill_normal(key, w, n, 1.0); break;
    case LK_INIT_TRUNC_NORMAL: fill_trunc_normal(key, w, n); break;
    case LK_INIT_UNIFORM: fill_uniform(key, w, n, 0.0, 1.0); break;
    case LK_INIT_ZEROS: fill_constant(w, n, 0.0f); break;
    case LK_INIT_ONES: fill_constant(w, n, 1.0f); break;
    }
}

void lk_model_init(const lk_model *model, uint64_t seed, float *params)
{
    fill_constant(params, model->n_elem, 0.0f); /* padding too */
    for (size_t i = 0; i < model->n_entries; i++) {
        const lk_model_entry *entry = model->entries[i];
        const lk_philox_key key = lk_philox_key_new(seed, LK_PURPOSE_INIT, hash_name(entry->info.name));
        float *w = params + entry->info.offset;

        switch (entry->fill) {
        case LK_FILL_WEIGHT: fill_weight(model->spec.init, key, entry, w); break;
        case LK_FILL_BIAS:
            fill_uniform(key, w, entry->info.n_elem, -sqrt(1.0 / (double)entry->fan_in),
                         sqrt(1.0 / (double)entry->fan_in));
            break;
        case LK_FILL_ZEROS: break;
        case LK_FILL_ONES: fill_constant(w, entry->info.n_elem, 1.0f); break;
        }
    }
}
