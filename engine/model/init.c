/*
 * First values of a model's tensors, by torch.nn.init's formulas.
 *
 *     default           U(-s, s), s = sqrt(1 / fan_in): what PyTorch's Linear and Conv2d do to weights and biases
 *     uniform           U(a, b)                    normal   N(mean, std^2)
 *     trunc_normal      N(mean, std^2) within [a, b]
 *     xavier_uniform    U(-s, s), s = sqrt(6 gain^2 / (fan_in + fan_out))
 *     xavier_normal     N(0, 2 gain^2 / (fan_in + fan_out))
 *     kaiming_uniform   U(-s, s), s = sqrt(3 gain^2 / fan)     kaiming_normal   N(0, gain^2 / fan)
 *     orthogonal        rows, or columns where they are fewer, of length gain and at right angles: the Q of a random
 *                       normal matrix whose R has a positive diagonal
 *     eye               1 where row and column are equal
 *     dirac             output channel c of a convolution takes input channel c as it is
 *     sparse            N(0, std^2), and in each column as many zeros as sparsity says, at random rows
 *
 * A kaiming gain follows from the nonlinearity: gain^2 = 2 (relu), 2 / (1 + a^2) (leaky_relu), 25 / 9 (tanh),
 * 9 / 16 (selu), 1 (linear, sigmoid).  Fans count a convolution's kernel: fan_in of (O, I, kh, kw) is I kh kw.
 *
 * Each tensor draws from a stream of its own, found by its name, so a tensor's values depend on seed, name and shape
 * alone, not on the rest of the network.
 *
 * Sources: Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015, arXiv:1502.01852; Saxe et al., ICLR 2014,
 * arXiv:1312.6120 (orthogonal); Martens, ICML 2010 (sparse); Knuth, TAOCP 2, 3.4.2, algorithm S (choosing rows);
 * torch/nn/init.py.
 */
#include "engine/model/model_impl.h"

#include <math.h>

/* FNV-1a, 32 bits. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

static void fill_constant(float *w, size_t n_elem, double value)
{
    for (size_t i = 0; i < n_elem; i++) w[i] = (float)value;
}

static void fill_uniform(lk_philox_key key, float *w, size_t n_elem, double low, double high)
{
    for (size_t i = 0; i < n_elem; i++) w[i] = (float)(low + (high - low) * (double)lk_uniform(key, i));
}

static void fill_normal(lk_philox_key key, float *w, size_t n_elem, double mean, double std)
{
    for (size_t i = 0; i < n_elem; i++) w[i] = (float)(mean + std * lk_normal(key, i));
}

/* Draws again, from behind the tensor's own draws, until the value is within bounds: with the default ones, at two
 * deviations, once in 22 elements. */
static void fill_trunc_normal(lk_philox_key key, float *w, size_t n_elem, const lk_fill *fill)
{
    for (size_t i = 0; i < n_elem; i++) {
        double value = fill->mean + fill->std * lk_normal(key, i);

        for (uint64_t draw = i + n_elem; value < fill->a || value > fill->b; draw += n_elem)
            value = fill->mean + fill->std * lk_normal(key, draw);
        w[i] = (float)value;
    }
}

/* ------------------------------------------------------------------ by shape */

/* Vector i of a matrix: `length` numbers, each `stride` behind the last. */
typedef struct vectors { float *w; size_t n, length, first, stride; } vectors;

static double dot(const vectors *v, size_t i, size_t j)
{
    const float *a = v->w + i * v->first, *b = v->w + j * v->first;
    double sum = 0.0;

    for (size_t k = 0; k < v->length; k++) sum += (double)a[k * v->stride] * (double)b[k * v->stride];
    return sum;
}

/* w_i = scale w_i - by w_j */
static void combine(const vectors *v, size_t i, double scale, size_t j, double by)
{
    float *a = v->w + i * v->first;
    const float *b = v->w + j * v->first;

    for (size_t k = 0; k < v->length; k++)
        a[k * v->stride] = (float)(scale * (double)a[k * v->stride] - by * (double)b[k * v->stride]);
}

/* Gram and Schmidt, each vector twice, which is enough (Giraud et al., 2005); it divides by positive lengths, so R's
 * diagonal is positive and Q is as evenly spread as the normal matrix it comes from. */
static void fill_orthogonal(lk_philox_key key, float *w, size_t rows, size_t columns, double gain)
{
    const vectors by_row = {w, rows, columns, columns, 1}, by_column = {w, columns, rows, 1, columns};
    const vectors *v = rows <= columns ? &by_row : &by_column;

    fill_normal(key, w, rows * columns, 0.0, 1.0);
    for (size_t i = 0; i < v->n; i++) {
        for (int pass = 0; pass < 2; pass++)
            for (size_t j = 0; j < i; j++) combine(v, i, 1.0, j, dot(v, i, j));
        combine(v, i, 1.0 / sqrt(dot(v, i, i)), i, 0.0);
    }
    for (size_t i = 0; i < rows * columns; i++) w[i] = (float)(gain * (double)w[i]);
}

static void fill_eye(float *w, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows && i < columns; i++) w[i * columns + i] = 1.0f;
}

static void fill_dirac(float *w, const lk_tensor_info *info)
{
    const size_t in = (size_t)info->shape[1], area = info->n_elem / (size_t)info->shape[0] / in;
    size_t middle = 0;

    for (int d = 2; d < info->ndim; d++) middle = middle * (size_t)info->shape[d] + (size_t)info->shape[d] / 2;
    for (size_t c = 0; c < in && c < (size_t)info->shape[0]; c++) w[(c * in + c) * area + middle] = 1.0f;
}

/* Going down a column, a row becomes 0 with the probability (zeros left) / (rows left). */
static void fill_sparse(lk_philox_key key, float *w, size_t rows, size_t columns, const lk_fill *fill)
{
    const double zeros = ceil(fill->sparsity * (double)rows);

    fill_normal(key, w, rows * columns, 0.0, fill->std);
    for (size_t c = 0; c < columns; c++) {
        double left = zeros;

        for (size_t r = 0; r < rows; r++) {
            if ((double)lk_uniform(key, c * rows + r) * (double)(rows - r) >= left) continue;
            w[r * columns + c] = 0.0f;
            left--;
        }
    }
}

/* -------------------------------------------------------------------- by fans */

static double gain_squared(const lk_fill *fill)
{
    switch ((lk_nonlinearity)fill->nonlinearity) {
    case LK_GAIN_LEAKY_RELU: return 2.0 / (1.0 + fill->a * fill->a);
    case LK_GAIN_RELU: return 2.0;
    case LK_GAIN_TANH: return 25.0 / 9.0;
    case LK_GAIN_SELU: return 9.0 / 16.0;
    case LK_GAIN_SIGMOID: case LK_GAIN_LINEAR: break;
    }
    return 1.0;
}

static void fill_symmetric(lk_philox_key key, float *w, size_t n_elem, double bound)
{
    fill_uniform(key, w, n_elem, -bound, bound);
}

static void fill_tensor(lk_philox_key key, const lk_model_entry *entry, float *w)
{
    const lk_fill *fill = &entry->fill;
    const size_t n = entry->info.n_elem, rows = entry->info.ndim ? (size_t)entry->info.shape[0] : 1, columns = n / rows;
    const double in = (double)entry->fan_in, both = in + (double)entry->fan_out;
    const double fan = fill->mode == LK_FAN_OUT ? (double)entry->fan_out : in, gain = fill->gain * fill->gain;

    switch (fill->init) {
    case LK_INIT_DEFAULT: fill_symmetric(key, w, n, sqrt(1.0 / in)); break;
    case LK_INIT_ZEROS: break; /* as all of the arena is */
    case LK_INIT_ONES: fill_constant(w, n, 1.0); break;
    case LK_INIT_CONSTANT: fill_constant(w, n, fill->val); break;
    case LK_INIT_UNIFORM: fill_uniform(key, w, n, fill->a, fill->b); break;
    case LK_INIT_NORMAL: fill_normal(key, w, n, fill->mean, fill->std); break;
    case LK_INIT_TRUNC_NORMAL: fill_trunc_normal(key, w, n, fill); break;
    case LK_INIT_XAVIER_UNIFORM: fill_symmetric(key, w, n, sqrt(6.0 * gain / both)); break;
    case LK_INIT_XAVIER_NORMAL: fill_normal(key, w, n, 0.0, sqrt(2.0 * gain / both)); break;
    case LK_INIT_KAIMING_UNIFORM: fill_symmetric(key, w, n, sqrt(3.0 * gain_squared(fill) / fan)); break;
    case LK_INIT_KAIMING_NORMAL: fill_normal(key, w, n, 0.0, sqrt(gain_squared(fill) / fan)); break;
    case LK_INIT_ORTHOGONAL: fill_orthogonal(key, w, rows, columns, fill->gain); break;
    case LK_INIT_EYE: fill_eye(w, rows, columns); break;
    case LK_INIT_DIRAC: fill_dirac(w, &entry->info); break;
    case LK_INIT_SPARSE: fill_sparse(key, w, rows, columns, fill); break;
    }
}

void lk_model_init(const lk_model *model, uint64_t seed, float *params)
{
    fill_constant(params, model->n_elem, 0.0); /* padding too */
    for (size_t i = 0; i < model->n_entries; i++) {
        const lk_model_entry *entry = model->entries[i];
        const lk_philox_key key = lk_philox_key_new(seed, LK_PURPOSE_INIT, hash_name(entry->info.name));

        fill_tensor(key, entry, params + entry->info.offset);
    }
}
