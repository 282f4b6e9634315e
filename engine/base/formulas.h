/*
 * Formulas of single elements, written once for the C compiler and for nvcc: activations and their derivatives, the
 * exponential they need, dropout's choice, and the terms of the losses.  Backends supply the loops.
 *
 * Every function is straight-line code (a choice is a select, never a branch around work), so loops over them
 * vectorise without a vector library and without -ffast-math.  Products and sums are separate roundings: the build
 * forbids contraction, so an element has the same bits in the vectorised body of a loop, in its tail and in the plain
 * twin of a test.
 *
 * Errors named here are the largest found against libm's double functions, in units of the spacing of floats at the
 * result (ulp); tests/unit/engine/test_formulas.c checks them.
 */
#ifndef LK_FORMULAS_H
#define LK_FORMULAS_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define LK_FORMULA static __host__ __device__ __forceinline__
#else
#define LK_FORMULA static inline __attribute__((always_inline))
#endif

/* ------------------------------------------------------------- exponential */

LK_FORMULA uint32_t lk_bits_of_f32(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

LK_FORMULA float lk_f32_of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x for every float: 0 far below, infinity above, NaN for NaN; 1 ulp, subnormal results included.
 *
 * x = k ln 2 + r, |r| <= ln 2 / 2; ln 2 is taken off in two parts, the first short enough for k times it to be exact
 * (Cody and Waite).  e^r is the polynomial of Cephes' expf (Moshier, single/expf.c).  2^k is applied as two factors
 * because k itself may lie outside the exponents of normal floats. */
LK_FORMULA float lk_exp(float x)
{
    const float log2_e = 1.44269504088896341f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer kept in the low bits */
    const float lowest = -105.0f, highest = 89.0f; /* beyond them the result is 0 or infinity anyway */
    const float low_clamped = x < lowest ? lowest : x, t = low_clamped > highest ? highest : low_clamped;

    const float shifted = t * log2_e + to_integer, k = shifted - to_integer;
    const float r = (t - k * ln2_high) - k * ln2_low;
    const float p =
        ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r +
         1.6666665459e-1f) * r + 5.0000001201e-1f;
    const float exp_r = (p * (r * r) + r) + 1.0f;

    /* In units of one exponent; the bias of both keeps every shift on an unsigned number. */
    const uint32_t n = lk_bits_of_f32(shifted) - lk_bits_of_f32(to_integer) + 256u; /* k + 256 > 0 */
    const uint32_t half = n >> 1, rest = n - half;
    return (exp_r * lk_f32_of_bits((half - 1u) << 23)) * lk_f32_of_bits((rest - 1u) << 23);
}

/* ------------------------------------------------------------- activations */

/* NaN stays NaN. */
LK_FORMULA float lk_relu(float x) { return x < 0.0f ? 0.0f : x; }
/* From y; 0 where y is 0. */
LK_FORMULA float lk_relu_grad(float dy, float y) { return y <= 0.0f ? 0.0f : dy; }

/* 1 / (1 + e^-x); 2.5 ulp down to x = -87, 0 from -88.8 on. */
LK_FORMULA float lk_sigmoid(float x) { return 1.0f / (1.0f + lk_exp(-x)); }
LK_FORMULA float lk_sigmoid_grad(float dy, float y) { return dy * (y * (1.0f - y)); }

/* Cephes' tanhf (Moshier, single/tanhf.c): an odd polynomial below 0.625, where 1 - 2 / (e^2x + 1) would cancel;
 * 1.3 ulp. */
LK_FORMULA float lk_tanh(float x)
{
    const float z = x * x;
    const float odd = ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z +
                        1.33314422036e-1f) * z - 3.33332819422e-1f) * z * x + x;
    const float size = x < 0.0f ? -x : x;
    const float far = 1.0f - 2.0f / (lk_exp(size + size) + 1.0f);

    return size < 0.625f ? odd : x < 0.0f ? -far : far;
}
LK_FORMULA float lk_tanh_grad(float dy, float y) { return dy * (1.0f - y * y); }

/* P(Z > size) of a standard normal Z, for size >= 0, given e^(-size^2 / 2); relative error 5e-7 plus that of the
 * exponential.  The ratio of tail and exponential (Mills' ratio) is t P(t), t = 1 / (1 + 0.3 size): the form of
 * Abramowitz and Stegun 7.1.26 with more terms, coefficients by Lawson's iteration for the least relative error on
 * [0, 14] (1.5e-7 before rounding).  A tail and not an error function, because 1 + erf cancels for negative x. */
LK_FORMULA float lk_normal_tail(float size, float exp_half_square)
{
    const float t = 1.0f / (1.0f + 0.3f * size);
    const float ratio =
        ((((((3.567476956e-2f * t - 1.572030625e-1f) * t + 2.063534693e-1f) * t - 5.368360782e-2f) * t +
           1.285616060e-1f) * t + 9.991349877e-2f) * t + 1.207539549e-1f) * t + 1.196292989e-1f;

    return exp_half_square * (t * ratio);
}

/* x Phi(x), Phi the normal distribution (Hendrycks and Gimpel, 2016, arXiv:1606.08415); relative error 1.5e-6 for x
 * above -6, 5e-7 for x above 0. */
LK_FORMULA float lk_gelu(float x)
{
    const float tail = lk_normal_tail(x < 0.0f ? -x : x, lk_exp(-0.5f * (x * x)));

    return x * (x < 0.0f ? tail : 1.0f - tail);
}
/* From x: Phi(x) + x phi(x). */
LK_FORMULA float lk_gelu_grad(float dy, float x)
{
    const float e = lk_exp(-0.5f * (x * x)), tail = lk_normal_tail(x < 0.0f ? -x : x, e);
    const float cdf = x < 0.0f ? tail : 1.0f - tail, pdf = 0.39894228040143268f * e;

    return dy * (cdf + x * pdf);
}

/* The tanh form, 0.5 x (1 + tanh u) with u = sqrt(2 / pi) (x + 0.044715 x^3); 0.5 (1 + tanh u) is sigmoid(2 u), which
 * does not cancel for negative x. */
LK_FORMULA float lk_gelu_tanh(float x)
{
    const float two_u = 1.59576912160573071f * (x + 0.044715f * (x * x * x));

    return x * lk_sigmoid(two_u);
}
LK_FORMULA float lk_gelu_tanh_grad(float dy, float x)
{
    const float square = x * x;
    const float s = lk_sigmoid(1.59576912160573071f * (x + 0.044715f * (square * x)));
    const float d_two_u = 1.59576912160573071f * (1.0f + 0.134145f * square);

    return dy * (s + x * (s * (1.0f - s)) * d_two_u);
}

#define LK_LEAKY_RELU_SLOPE 0.01f
LK_FORMULA float lk_leaky_relu(float x) { return x > 0.0f ? x : LK_LEAKY_RELU_SLOPE * x; }
/* From y, which has x's sign. */
LK_FORMULA float lk_leaky_relu_grad(float dy, float y) { return y > 0.0f ? dy : LK_LEAKY_RELU_SLOPE * dy; }

/* x sigmoid(x), also called swish (Elfwing et al., 2018, arXiv:1702.03118). */
LK_FORMULA float lk_silu(float x) { return x * lk_sigmoid(x); }
LK_FORMULA float lk_silu_grad(float dy, float x)
{
    const float s = lk_sigmoid(x);

    return dy * (s * (1.0f + x * (1.0f - s)));
}

/* x, or e^x - 1 below 0 (Clevert et al., 2016, arXiv:1511.07289).  e^x - 1 = tanh(x / 2) (e^x + 1) does not cancel. */
LK_FORMULA float lk_elu(float x) { return x > 0.0f ? x : lk_tanh(0.5f * x) * (lk_exp(x) + 1.0f); }
/* From y: e^x = y + 1. */
LK_FORMULA float lk_elu_grad(float dy, float y) { return y > 0.0f ? dy : dy * (y + 1.0f); }

/* ------------------------------------------------------------------ dropout */

/*
 * Which random word an element of a sample gets.  The key is lk_philox_key_new(seed, LK_PURPOSE_DROPOUT, layer); the
 * counter is
 *
 *     c0  block of the element              c1  sample, low 32 bits
 *     c2  step, low 32 bits                 c3  step, next 16 bits, above sample, next 16 bits
 *
 * so different (seed, layer, step, sample, element) have different words as long as steps and samples stay below 2^48
 * and a sample below 2^34 elements.  Elements are counted in the order of memory (NHWC).  Of 32 neighbours, 8 blocks
 * give 4 words each, and word w covers elements 8 w to 8 w + 7: a vector of 8 blocks is stored without a shuffle.
 */
#define LK_DROPOUT_BLOCKS 8u                      /* blocks of one group */
#define LK_DROPOUT_GROUP (4u * LK_DROPOUT_BLOCKS) /* elements of one group */

LK_FORMULA uint32_t lk_dropout_block(uint64_t element)
{
    return (uint32_t)(element / LK_DROPOUT_GROUP * LK_DROPOUT_BLOCKS + element % LK_DROPOUT_BLOCKS);
}
LK_FORMULA uint32_t lk_dropout_word(uint64_t element)
{
    return (uint32_t)(element % LK_DROPOUT_GROUP / LK_DROPOUT_BLOCKS);
}
LK_FORMULA uint32_t lk_dropout_high(int64_t step, int64_t sample)
{
    return ((uint32_t)((uint64_t)step >> 32) << 16) | ((uint32_t)((uint64_t)sample >> 32) & 0xffffu);
}

/* An element is kept if its word is not below the threshold: with probability 1 - p to within 2^-32. */
LK_FORMULA uint32_t lk_dropout_threshold(double p) { return (uint32_t)(p * 4294967296.0); }
LK_FORMULA uint8_t lk_dropout_keep(uint32_t word, uint32_t threshold) { return word >= threshold; }

/* Attention's probabilities are counted so that neither the number of queries nor that of keys matters: how far a lane
 * is filled up must not change what is dropped.  The group of 32 keys from 32 k on, for a query and a head: squares of
 * 32 queries by 32 keys go in shells around (0, 0) (Szudzik's pairing), the queries of one in order, then the heads.
 * Up to 8192 positions and 256 heads stay within the 2^29 groups of a sample. */
LK_FORMULA uint32_t lk_attention_group(uint32_t query, uint32_t k, uint32_t head, uint32_t heads)
{
    const uint32_t q = query / LK_DROPOUT_GROUP, square = q < k ? k * k + q : q * q + q + k;

    return (square * LK_DROPOUT_GROUP + query % LK_DROPOUT_GROUP) * heads + head;
}

/* ------------------------------------------------------------------- losses */

/* d|d| / dd, 0 at 0 as PyTorch has it; NaN stays NaN. */
LK_FORMULA float lk_sign(float d) { return d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : d; }

LK_FORMULA float lk_abs(float d) { return lk_f32_of_bits(lk_bits_of_f32(d) & 0x7fffffffu); }

/*
 * Huber and smooth L1 of a difference d, as torch.nn.HuberLoss and SmoothL1Loss have them: squares near 0, then lines.
 *
 *     huber      |d| <= delta: d^2 / 2           else delta (|d| - delta / 2)
 *     smooth_l1  |d| <  beta:  d^2 / (2 beta)    else |d| - beta / 2
 */
LK_FORMULA float lk_huber_term(float d, float delta)
{
    const float size = lk_abs(d);

    return size <= delta ? 0.5f * d * d : delta * (size - 0.5f * delta);
}
LK_FORMULA float lk_huber_grad(float d, float delta) { return lk_abs(d) <= delta ? d : delta * lk_sign(d); }
LK_FORMULA float lk_smooth_l1_term(float d, float beta)
{
    const float size = lk_abs(d);

    return size < beta ? 0.5f * d * d / beta : size - 0.5f * beta;
}
LK_FORMULA float lk_smooth_l1_grad(float d, float beta) { return lk_abs(d) < beta ? d / beta : lk_sign(d); }

/*
 * Binary cross-entropy of a logit x with target t in [0, 1] and weight p of what happens, as
 * torch.nn.BCEWithLogitsLoss has it with pos_weight; s is the logistic function:
 *
 *     term = -p t log s(x) - (1 - t) log(1 - s(x)) = (1 - t) x + (1 + (p - 1) t) (log(1 + e^-|x|) + max(-x, 0))
 *     dx   = (p t + 1 - t) s(x) - p t
 *
 * so that no exponential overflows.  log1p_exp is log(1 + e^-|x|), which each backend's mathematics has.
 */
LK_FORMULA float lk_bce_term(float x, float t, float p, float log1p_exp)
{
    return (1.0f - t) * x + (1.0f + (p - 1.0f) * t) * (log1p_exp + (x < 0.0f ? -x : 0.0f));
}
LK_FORMULA float lk_bce_grad(float x, float t, float p)
{
    const float e = lk_exp(-lk_abs(x)), chance = (x < 0.0f ? e : 1.0f) / (1.0f + e);

    return (p * t + (1.0f - t)) * chance - p * t;
}

/* Byte v of an image, operation by operation as torchvision's ToTensor and Normalize. */
LK_FORMULA float lk_normalize_pixel(unsigned char v, float mean, float std) { return ((float)v / 255.0f - mean) / std; }

/*
 * Cross-entropy of one row of V logits with label l and label smoothing s, as torch.nn.CrossEntropyLoss has it:
 *
 *     term  = log(sum_j e^x_j) - (1 - s) x_l - s mean_j(x_j)
 *     dx_j  = softmax_j - (1 - s) [j = l] - s / V
 *
 * taken from z = x - max(x), so that nothing overflows.  z_label is z_l; sum_exp and sum_z are sums over the row.  The
 * smoothed part is left out when s is 0: a logit of -infinity is then allowed.
 */
LK_FORMULA float lk_cross_entropy_term(float log_sum_exp, float z_label, float sum_z, float smoothing, float inv_v)
{
    return log_sum_exp - (1.0f - smoothing) * z_label - (smoothing > 0.0f ? smoothing * (sum_z * inv_v) : 0.0f);
}
LK_FORMULA float lk_cross_entropy_grad(float z, float inv_sum_exp, int is_label, float smoothing, float inv_v)
{
    return lk_exp(z) * inv_sum_exp - smoothing * inv_v - (is_label ? 1.0f - smoothing : 0.0f);
}

/*
 * The same with a weight w_j for each class, as its parameter `weight` has it; W is the sum of all weights:
 *
 *     a = (1 - s) w_l,   b = s / V
 *     term  = (a + b W) log(sum_j e^x_j) - a x_l - b sum_j(w_j x_j)
 *     dx_j  = (a + b W) softmax_j - a [j = l] - b w_j
 *
 * The mean of such terms divides by the sum of the labels' weights.  sum_wz is the sum of w_j z_j over the row.
 */
LK_FORMULA float lk_weighted_cross_entropy_term(float log_sum_exp, float z_label, float w_label, float sum_wz,
                                                float sum_w, float smoothing, float inv_v)
{
    const float a = (1.0f - smoothing) * w_label, b = smoothing * inv_v;

    return (a + b * sum_w) * log_sum_exp - a * z_label - (smoothing > 0.0f ? b * sum_wz : 0.0f);
}
LK_FORMULA float lk_weighted_cross_entropy_grad(float z, float inv_sum_exp, int is_label, float w, float w_label,
                                                float sum_w, float smoothing, float inv_v)
{
    const float a = (1.0f - smoothing) * w_label, b = smoothing * inv_v;

    return (a + b * sum_w) * (lk_exp(z) * inv_sum_exp) - b * w - (is_label ? a : 0.0f);
}

/*
 * The same where the target is a probability t_j for each class, as torch.nn.CrossEntropyLoss takes it; the mean
 * divides by the number of rows, whatever the weights:
 *
 *     q_j   = w_j ((1 - s) t_j + s / V),   Q = sum_j q_j
 *     term  = Q log(sum_j e^x_j) - sum_j q_j x_j
 *     dx_j  = Q softmax_j - q_j
 */
LK_FORMULA float lk_soft_target(float t, float w, float smoothing, float inv_v)
{
    return w * ((1.0f - smoothing) * t + smoothing * inv_v);
}
LK_FORMULA float lk_soft_cross_entropy_term(float log_sum_exp, float sum_q, float sum_qz)
{
    return sum_q * log_sum_exp - sum_qz;
}
LK_FORMULA float lk_soft_cross_entropy_grad(float z, float inv_sum_exp, float sum_q, float q)
{
    return sum_q * (lk_exp(z) * inv_sum_exp) - q;
}

#endif
